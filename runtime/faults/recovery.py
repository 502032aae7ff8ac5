"""How long results stay incomplete after the last fault is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.runtime.clock import NS_PER_S
from edge.runtime.faults.source import FaultySource

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.result import FusedResult
    from edge.runtime.sources.base import Source

# Complete for so long is recovered: what goes wrong later has other causes.
LASTING_NS = NS_PER_S


class RecoveryWatch:
    """Looks at results as they become ready.

    Results are recovered with the first complete one at or after the end of the last fault after which all are
    complete, for one second or until the run ends. Without any loss it takes up to one period of the anchor.

    Args:
        over_ns: Gives the end of the last fault, on the axis of arrivals, or None where there is none.
        complete: The state of a complete result: the best that the healthy source allows.
    """

    def __init__(self, over_ns: Callable[[], int | None], complete: str) -> None:
        self._over_ns, self._complete = over_ns, complete
        self._since_ns: int | None = None
        self._lasted = False

    def add(self, ready_ns: int, result: FusedResult) -> None:
        """Takes note of a result that was ready at `ready_ns`."""
        over_ns = self._over_ns()
        if self._lasted or over_ns is None or ready_ns < over_ns:
            return
        if not result.valid or result.state != self._complete:
            self._since_ns = None
            return
        if self._since_ns is None:
            self._since_ns = ready_ns
        self._lasted = ready_ns - self._since_ns >= LASTING_NS

    def recovery_ns(self) -> int | None:
        """From the end of the last fault to recovery; None where it has no end, or nothing recovered."""
        over_ns = self._over_ns()
        return None if over_ns is None or self._since_ns is None else self._since_ns - over_ns


def recovery_watch(source: Source, complete: str) -> RecoveryWatch:
    """Watches the results of a source; of one without faults there is nothing to watch.

    Args:
        source: What is run on.
        complete: The state of a complete result.
    """
    if isinstance(source, FaultySource):
        return RecoveryWatch(lambda: source.recoverable_ns, complete)
    return RecoveryWatch(lambda: None, complete)
