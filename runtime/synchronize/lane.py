"""One stream inside the synchronizer: its clock, its past, and its policy where nothing matches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from edge.runtime.clock import NS_PER_MS
from edge.runtime.synchronize.clock_map import STEP_SAMPLES, ClockMap
from edge.runtime.synchronize.history import NEAR, SampleHistory
from edge.runtime.synchronize.sound import SoundHistory

if TYPE_CHECKING:
    from edge.runtime.rig import Stream
    from edge.runtime.sample import Sample
    from edge.runtime.synchronize.history import History, Match

# Reasons that mean a sample was not taken; `reordered` ones were.
DROPS = ("duplicate", "backward", "early", "late", "unusable")


class Placed(NamedTuple):
    """What a stream gives for one instant: a match, a held one, or the reason why there is none."""

    match: Match | None
    held: bool
    reason: str


class Lane:
    """State of one stream.

    Attributes:
        name: Of the stream.
        stream: What the rig says of it.
        counts: Samples by what was unusual about them.
        last_arrival_ns: When the last sample came; before the first, when the run began.
    """

    __slots__ = ("_clock", "_history", "_max_age_ns", "_taken", "counts", "last_arrival_ns", "name", "stream")

    def __init__(self, name: str, stream: Stream, window_ns: int, keep_ns: int) -> None:
        self.name = name
        self.stream = stream
        self.counts: dict[str, int] = {}
        self.last_arrival_ns = 0
        self._taken: list[Sample] = []  # of those whose delay was unusual
        self._max_age_ns = round(stream.max_age_ms * NS_PER_MS)
        keep_ns += self._max_age_ns if stream.policy == "hold" else 0
        self._clock = ClockMap(stream)
        self._history: History = (
            SoundHistory(stream, window_ns, keep_ns) if stream.kind == "audio" else SampleHistory(stream, keep_ns)
        )

    @property
    def offset_ns(self) -> int:
        """Added to the stream's stamps to bring them to host time."""
        return self._clock.offset_ns

    @property
    def near_ns(self) -> int:
        """How far a sample may be from the instant that it belongs to."""
        return round(NEAR * self.stream.period_ns)

    @property
    def newest_ns(self) -> int | None:
        """Up to when the stream is known, in host time."""
        return self._history.newest_ns()

    def push(self, sample: Sample) -> list[int]:
        """Takes a sample.

        Returns:
            Stamps in host time of the samples that this one made known: its own, none where it was dropped, and
            several where it proved that the clock has stepped.
        """
        self.last_arrival_ns = sample.arrival_ns
        if self._clock.is_usual(sample.stamp_ns, sample.arrival_ns):
            return self._insert([sample])
        proven = self._clock.suspect(sample)
        if proven:
            self._count("clock_step")
            return self._insert([s for s in proven if not any(s is taken for taken in self._taken)])
        return self._insert_unusual(sample)

    def _insert(self, samples: list[Sample]) -> list[int]:
        known = []
        for sample in samples:
            stamp_ns = sample.stamp_ns + self._clock.offset_ns
            current = sample if sample.epoch == self._clock.epoch else replace(sample, epoch=self._clock.epoch)
            reason = self._history.insert(stamp_ns, current)
            if reason:
                self._count(reason)
            if reason not in DROPS:
                known.append(stamp_ns)
        return known

    def _insert_unusual(self, sample: Sample) -> list[int]:
        """A stamp in the future would hide all that follow; a late one is useful where it still brings news."""
        newest = self._history.newest_ns()
        if self._clock.change_ns(sample) < 0:
            self._count("early")
            return []
        if newest is not None and sample.stamp_ns + self._clock.offset_ns <= newest:
            self._count("late")
            return []
        self._taken = [*self._taken[1 - STEP_SAMPLES :], sample]
        return self._insert([sample])

    def is_settled(self, stamp_ns: int, now_ns: int) -> bool:
        """Whether waiting on cannot change what this stream gives, or is not wanted."""
        if self.stream.policy == "mask" or self._history.is_settled(stamp_ns):
            return True
        return now_ns - self.last_arrival_ns > self._clock.limit_ns

    def place(self, stamp_ns: int) -> Placed:
        """What the stream gives for an instant, by its policy."""
        match = self._history.match(stamp_ns)
        if match is not None:
            return Placed(match, False, "")
        if self.stream.policy == "hold":
            last = self._history.latest(stamp_ns)
            if last is not None and stamp_ns - last.stamp_ns <= self._max_age_ns:
                return Placed(last, True, "")
        return Placed(None, False, self._why_missing(stamp_ns))

    def _why_missing(self, stamp_ns: int) -> str:
        newest = self._history.newest_ns()
        if newest is None:
            return "nothing came yet"
        if not self._history.is_settled(stamp_ns):
            return "silent" if stamp_ns - newest > self._clock.limit_ns else "late"
        return "incomplete" if self.stream.kind == "audio" else "lost"

    def count_late(self) -> None:
        """A sample of this stream came after the result that it belonged to."""
        self._count("late")

    def _count(self, reason: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1
