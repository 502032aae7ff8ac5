"""The last samples of a stream, ordered by host time."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from edge.runtime.rig import Stream
    from edge.runtime.sample import Sample

# The shortest time between two samples, as a share of the declared period.
SHORTEST = 0.97
# A sample further than this from the anchor, as a share of the period, is not the one that belongs to it.
NEAR = 0.75


class Match(NamedTuple):
    """A sample, and the instant in host time that it stands for."""

    stamp_ns: int
    sample: Sample


class History(Protocol):
    """What the synchronizer asks of a stream's past."""

    def insert(self, stamp_ns: int, sample: Sample) -> str:
        """Takes a sample; returns why it was dropped, `reordered` where it came out of turn, or nothing."""

    def is_settled(self, stamp_ns: int) -> bool:
        """Whether nothing that may still arrive could change what `match` gives."""

    def match(self, stamp_ns: int) -> Match | None:
        """What belongs to that instant, or None."""

    def latest(self, stamp_ns: int) -> Match | None:
        """The newest that is not after that instant, however old."""

    def newest_ns(self) -> int | None:
        """Up to when the stream is known."""


class SampleHistory:
    """Of a stream of single samples: images, sweeps, readings.

    Args:
        stream: Gives the rate.
        keep_ns: How far back samples may still be wanted.
    """

    __slots__ = ("_capacity", "_near_ns", "_samples", "_shortest_ns", "_stamps")

    def __init__(self, stream: Stream, keep_ns: int) -> None:
        self._shortest_ns = round(SHORTEST * stream.period_ns)
        self._near_ns = round(NEAR * stream.period_ns)
        self._capacity = 4 + keep_ns // self._shortest_ns
        self._stamps: list[int] = []
        self._samples: list[Sample] = []

    def insert(self, stamp_ns: int, sample: Sample) -> str:
        """Takes a sample; one of the same stamp as another is a `duplicate`, one older than all is `backward`."""
        stamps = self._stamps
        if not stamps or stamp_ns > stamps[-1]:
            stamps.append(stamp_ns)
            self._samples.append(sample)
            if len(stamps) > self._capacity:
                del stamps[0], self._samples[0]
            return ""
        return self._insert_between(stamp_ns, sample)

    def _insert_between(self, stamp_ns: int, sample: Sample) -> str:
        at = bisect_left(self._stamps, stamp_ns)
        if self._stamps[at] == stamp_ns:
            return "duplicate"
        if at == 0:
            return "backward"
        self._stamps.insert(at, stamp_ns)
        self._samples.insert(at, sample)
        if len(self._stamps) > self._capacity:
            del self._stamps[0], self._samples[0]
        return "reordered"

    def is_settled(self, stamp_ns: int) -> bool:
        """Whether the newest is after that instant, or nearer to it than the next can be."""
        if not self._stamps:
            return False
        newest = self._stamps[-1]
        return newest >= stamp_ns or newest + self._shortest_ns - stamp_ns >= stamp_ns - newest

    def match(self, stamp_ns: int) -> Match | None:
        """The nearest sample, if it is near."""
        stamps = self._stamps
        at = bisect_left(stamps, stamp_ns)
        if at == len(stamps) or (at > 0 and stamp_ns - stamps[at - 1] <= stamps[at] - stamp_ns):
            at -= 1
        if at < 0 or abs(stamps[at] - stamp_ns) > self._near_ns:
            return None
        return Match(stamps[at], self._samples[at])

    def latest(self, stamp_ns: int) -> Match | None:
        """The newest sample that is not after that instant."""
        at = bisect_left(self._stamps, stamp_ns + 1) - 1
        return Match(self._stamps[at], self._samples[at]) if at >= 0 else None

    def newest_ns(self) -> int | None:
        """The newest stamp."""
        return self._stamps[-1] if self._stamps else None
