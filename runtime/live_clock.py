"""Time for live code: the host's, ahead of it by a constant where a recording is played back, or one that is moved.

The thread that matches watches its clock without running Python, so such a clock is an object of the C++ core.
"""

from __future__ import annotations

import time
from typing import Protocol

from edge.runtime import _core
from edge.runtime.clock import NS_PER_S


class LiveClock(Protocol):
    """What live code asks of time.

    Attributes:
        core: The same clock for the core.
    """

    core: _core.Clock

    def now_ns(self) -> int:
        """Nanoseconds on the axis of arrivals."""

    def wait_until_ns(self, deadline_ns: int) -> None:
        """Returns at `deadline_ns` or later."""


class HostClock:
    """The host's CLOCK_MONOTONIC, or so much ahead of it: a recording's axis, laid so that it begins now.

    Args:
        ahead_ns: Added to the host's time.
    """

    def __init__(self, ahead_ns: int = 0) -> None:
        self.core: _core.Clock = _core.MonotonicClock(ahead_ns)
        self._ahead_ns = ahead_ns

    def now_ns(self) -> int:
        """The present."""
        return time.monotonic_ns() + self._ahead_ns

    def wait_until_ns(self, deadline_ns: int) -> None:
        """Sleeps until `deadline_ns`."""
        while (left := deadline_ns - self.now_ns()) > 0:
            time.sleep(left / NS_PER_S)


class ManualClock:
    """Time that stands still until it is told to move, for tests of live code."""

    def __init__(self, start_ns: int = 0) -> None:
        self._manual = _core.ManualClock(start_ns)
        self.core: _core.Clock = self._manual

    def now_ns(self) -> int:
        """The instant it stands at."""
        return self.core.now_ns()

    def move_to(self, now_ns: int) -> None:
        """Moves on, never back, and wakes whom it is time for."""
        self._manual.move_to(now_ns)

    def wait_until_ns(self, deadline_ns: int) -> None:
        """Moves there at once."""
        self.move_to(deadline_ns)
