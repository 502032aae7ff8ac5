"""A bounded queue of results between threads: the oldest gives way, and is counted."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.runtime.result import FusedResult


class ResultQueue:
    """Putting never waits; taking waits for a result or for the end.

    Args:
        limit: Most results that wait.
    """

    def __init__(self, limit: int) -> None:
        self._results: deque[FusedResult] = deque()
        self._limit = limit
        self._changed = threading.Condition()
        self._closed = False
        self.dropped = 0

    def put(self, result: FusedResult) -> None:
        """Adds a result; after `close` it is ignored."""
        with self._changed:
            if self._closed:
                return
            if len(self._results) >= self._limit:
                self._results.popleft()
                self.dropped += 1
            self._results.append(result)
            self._changed.notify()

    def take(self) -> FusedResult | None:
        """The oldest result; None once it is closed and empty."""
        with self._changed:
            while not self._results and not self._closed:
                self._changed.wait()
            return self._results.popleft() if self._results else None

    def close(self, *, discard: bool = False) -> None:
        """No more results; what waits can still be taken, unless it is discarded (and counted)."""
        with self._changed:
            self._closed = True
            if discard:
                self.dropped += len(self._results)
                self._results.clear()
            self._changed.notify_all()
