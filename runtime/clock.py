"""Host time in int64 nanoseconds, and the virtual time of replays; live clocks are in `edge.runtime.live_clock`."""

from __future__ import annotations

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


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
