"""What results look like from outside: how long they were silent, and whether their stamps went on."""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from edge.runtime.statistics import LogHistogram
from tests.soak.vital_signs import waited_for_cpu_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.runtime.faults import Fault
    from edge.runtime.result import FusedResult

KEPT_GAPS = 8


class Gap(NamedTuple):
    """A silence between two results, or from the last one to the end.

    Attributes:
        own_ns: How long, less what our threads waited for a CPU meanwhile; by this they are ordered.
        length_ns: How long.
        begin_ns: Since when, on CLOCK_MONOTONIC.
        faults: What was wrong in its middle; empty until the life is over.
    """

    own_ns: int
    length_ns: int
    begin_ns: int
    faults: tuple[str, ...] = ()

    @property
    def middle_ns(self) -> int:
        """Half-way."""
        return self.begin_ns + self.length_ns // 2


class Witness:
    """Sees every result when it is ready, over the lives of many runtimes.

    Attributes:
        gaps: Lengths of all silences.
        longest: The longest of them that the host is not to blame for.
        states: Results by state.
        went_back: Results whose stamp was not later than the one before.
    """

    def __init__(self) -> None:
        self.gaps = LogHistogram()
        self.longest: list[Gap] = []
        self.states: Counter[str] = Counter()
        self.valid = 0
        self.went_back = 0
        self._lock = threading.Lock()
        self._last: tuple[int, int] | None = None
        self._watching = False
        self._waited_ns = 0

    @property
    def results(self) -> int:
        """How many there were."""
        return sum(self.states.values())

    def begin_of_life(self) -> None:
        """A runtime is about to be opened: stamps begin anew, and its first result ends no silence."""
        with self._lock:
            self._last, self._watching = None, True

    def see(self, ready_ns: int, result: FusedResult) -> None:
        """Takes note of a result; called on the inference thread."""
        with self._lock:
            self.states[result.state] += 1
            self.valid += result.valid
            self._add_gap(ready_ns)
            self.went_back += self._last is not None and result.stamp_ns <= self._last[1]
            self._last = ready_ns, result.stamp_ns

    def end_of_life(self) -> None:
        """The runtime is about to be closed: its last silence ends here, though no result comes after it."""
        with self._lock:
            self._add_gap(time.monotonic_ns())
            self._watching = False

    def explain(self, begun_ns: int, faults: Sequence[Fault]) -> None:
        """Tells by which faults the silences since an instant, the first arrival of a life, were surrounded."""
        self.longest = [
            gap if gap.begin_ns < begun_ns else gap._replace(faults=_active(faults, gap.middle_ns - begun_ns))
            for gap in self.longest
        ]

    def _add_gap(self, now_ns: int) -> None:
        waited_ns, before_ns = waited_for_cpu_ns(), self._waited_ns
        self._waited_ns = waited_ns
        if self._last is None or not self._watching:
            return
        length_ns = now_ns - self._last[0]
        self.gaps.add(length_ns)
        add = heapq.heappush if len(self.longest) < KEPT_GAPS else heapq.heappushpop
        add(self.longest, Gap(length_ns - max(0, waited_ns - before_ns), length_ns, self._last[0]))


def _active(faults: Sequence[Fault], since_ns: int) -> tuple[str, ...]:
    return tuple(str(fault) for fault in faults if fault.is_active(since_ns))
