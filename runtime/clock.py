"""Host time in int64 nanoseconds, injectable so that tests and replays never wait for a wall clock."""

from __future__ import annotations

import time
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Clock(Protocol):
    """What the runtime asks of time."""

    def now_ns(self) -> int:
        """Nanoseconds on the host's monotonic axis."""

    def wait_until_ns(self, deadline_ns: int) -> None:
        """Returns at `deadline_ns` or later."""


class MonotonicClock:
    """The machine's CLOCK_MONOTONIC."""

    def now_ns(self) -> int:
        """Nanoseconds on the host's monotonic axis."""
        return time.monotonic_ns()

    def wait_until_ns(self, deadline_ns: int) -> None:
        """Sleeps until `deadline_ns`."""
        while (left := deadline_ns - time.monotonic_ns()) > 0:
            time.sleep(left / NS_PER_S)


class VirtualClock:
    """Time that stands still until it is told to move: replays are then identical, byte for byte."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """The virtual instant."""
        return self._now_ns

    def wait_until_ns(self, deadline_ns: int) -> None:
        """Jumps to `deadline_ns`; never backwards."""
        self._now_ns = max(self._now_ns, deadline_ns)
