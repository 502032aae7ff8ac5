"""Keeps a run alive when the engine fails: results that are not valid, a new engine, or the end, but never silence."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.errors import first_line
from edge.runtime.fusion import Inference
from edge.runtime.result import Decoded
from edge.runtime.states import BLIND

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.engines.base import Engine
    from edge.runtime.fusion import Fusion
    from edge.runtime.synchronize.synced import SyncedSet

# One failure may be the input's; so many in a row are the engine's.
FAILURES = 3
FIRST_PAUSE_NS = 100 * NS_PER_MS
LONGEST_PAUSE_NS = 10 * NS_PER_S
_log = logging.getLogger(__name__)


class EngineGuard:
    """Runs a fusion; a set for which the engine fails gives a result that is not valid and says why.

    After three failures in a row the engine counts as broken. Where it can be reopened that is tried when the next
    set comes, then after 0.1 s, 0.2 s and so on up to 10 s; meanwhile every set gives a result that is not valid. The
    broken one is closed before, if it has a `close`: a board may not have the memory for two. Where it cannot be
    reopened, `broken` holds what it raised, and the run is to end.

    Args:
        fusion: Runs the model.
        reopen: Makes a new engine of the same graph; None where there is no way.
        now_ns: The host's time.

    Attributes:
        failures: Inferences that raised.
        reopened: How often there was a new engine.
        broken: What the engine raised last, once it is given up.
        last_error: What the engine, or its reopening, raised last.
    """

    def __init__(self, fusion: Fusion, reopen: Callable[[], Engine] | None, now_ns: Callable[[], int]) -> None:
        self._fusion, self._reopen, self._now_ns = fusion, reopen, now_ns
        self._in_a_row = 0
        self._pause_ns = 0
        self._retry_ns = 0
        self._is_let_go = False
        self.failures = 0
        self.reopened = 0
        self.broken: Exception | None = None
        self.last_error: Exception | None = None

    def run(self, synced: SyncedSet) -> Inference:
        """What the model says of a set; never raises."""
        if self._in_a_row >= FAILURES and not self._has_reopened():
            return _invalid(synced, f"the engine is broken: {first_line(self.last_error or RuntimeError())}")
        try:
            inference = self._fusion.run(synced)
        except Exception as error:  # whatever an engine raises, the run goes on
            return _invalid(synced, self._note(error))
        if inference.times is not None:
            self._in_a_row, self._pause_ns = 0, 0
        return inference

    def _note(self, error: Exception) -> str:
        self.failures += 1
        self._in_a_row += 1
        self.last_error = error
        _log.error("inference failed, %d in a row", self._in_a_row, exc_info=error)
        if self._in_a_row >= FAILURES and self._reopen is None:
            self.broken = error
        return f"inference failed: {first_line(error)}"

    def _has_reopened(self) -> bool:
        if self._reopen is None or self._now_ns() < self._retry_ns:
            return False
        self._pause_ns = min(max(2 * self._pause_ns, FIRST_PAUSE_NS), LONGEST_PAUSE_NS)
        self._let_go()
        try:
            self._fusion.use(self._reopen())
        except Exception as error:  # tried again after the pause
            self.last_error = error
            _log.error("the engine could not be reopened", exc_info=error)
            self._retry_ns = self._now_ns() + self._pause_ns
            return False
        # Not yet trusted: one more failure and it is broken again, with the next pause.
        self._retry_ns = self._now_ns() + self._pause_ns
        self._in_a_row = FAILURES - 1
        self._is_let_go = False
        self.reopened += 1
        return True

    def _let_go(self) -> None:
        """Closes the broken engine, once; what it says to that hides nothing and stops nothing."""
        close = getattr(self._fusion.engine, "close", None)
        if close is None or self._is_let_go:
            return
        self._is_let_go = True
        try:
            close()
        except Exception as error:
            _log.error("the broken engine could not be closed", exc_info=error)


def _invalid(synced: SyncedSet, reason: str) -> Inference:
    return Inference(synced, BLIND, (), Decoded(), reason, None)
