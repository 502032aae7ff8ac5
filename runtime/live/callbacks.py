"""Calls users' functions with results on a thread of their own, so that nothing they do delays anything else."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from edge.runtime.live.result_queue import ResultQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.result import FusedResult

KEPT_ERRORS = 16
_log = logging.getLogger(__name__)


class CallbackThread:
    """One thread that calls every function with every result, in the order in which they were added.

    What a function raises is logged, counted and kept, and the next call is made all the same. A function that is too
    slow loses the oldest results.

    Args:
        limit: Most results that wait to be called with.

    Attributes:
        failures: How many calls have raised.
        errors: The last of what they raised.
    """

    def __init__(self, limit: int) -> None:
        self._queue = ResultQueue(limit)
        self._functions: tuple[Callable[[FusedResult], object], ...] = ()
        self._thread = threading.Thread(target=self._run, name="edge-callbacks", daemon=True)
        self.failures = 0
        self.errors: deque[Exception] = deque(maxlen=KEPT_ERRORS)

    def add(self, function: Callable[[FusedResult], object]) -> None:
        """Calls `function` with every result from now on."""
        if not self._functions:
            self._thread.start()
        self._functions = (*self._functions, function)

    @property
    def active(self) -> bool:
        """Whether there is anything to call."""
        return bool(self._functions)

    @property
    def dropped(self) -> int:
        """Results that came too fast for the functions."""
        return self._queue.dropped

    def put(self, result: FusedResult) -> None:
        """Has all functions called with a result; never waits."""
        self._queue.put(result)

    def finish(self, *, discard: bool = False) -> None:
        """No more results; those that wait are still called with, unless they are discarded."""
        self._queue.close(discard=discard)

    def join(self, timeout_s: float | None) -> bool:
        """Waits until the last call has returned; False where the time was over before.

        From within a function it does not wait for itself.
        """
        if self.active and threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def _run(self) -> None:
        while (result := self._queue.take()) is not None:
            for function in self._functions:
                try:
                    function(result)
                except Exception as error:  # the user's code may raise anything
                    self._note(error)

    def _note(self, error: Exception) -> None:
        self.failures += 1
        self.errors.append(error)
        _log.error("a callback has raised, for the %d. time", self.failures, exc_info=error)
