"""A stream of sound, kept in chunks, given as the window that ends at an instant."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.clock import NS_PER_S
from edge.runtime.sample import AudioChunk
from edge.runtime.synchronize.history import Match

if TYPE_CHECKING:
    from edge.runtime.rig import Stream
    from edge.runtime.sample import Sample

# Chunks follow without a hole where stamp and predecessor's end differ by less, as a share of the period.
SEAM = 0.25


class SoundHistory:
    """The last chunks of sound.

    Args:
        stream: Gives chunk and sample rate.
        window_ns: Length of the windows that are asked for; one chunk where it is 0.
        keep_ns: How far back a window may still have to end.
    """

    __slots__ = ("_capacity", "_ends", "_samples", "_seam_ns", "_stamps", "_window_ns")

    def __init__(self, stream: Stream, window_ns: int, keep_ns: int) -> None:
        self._seam_ns = round(SEAM * stream.period_ns)
        self._window_ns = window_ns or stream.period_ns
        self._capacity = 8 + (self._window_ns + keep_ns) * 5 // (4 * stream.period_ns)
        self._stamps: list[int] = []
        self._ends: list[int] = []
        self._samples: list[Sample] = []

    def insert(self, stamp_ns: int, sample: Sample) -> str:
        """Takes a chunk; one that overlaps another is a `duplicate`, one older than all is `backward`."""
        if not isinstance(sample.payload, AudioChunk) or sample.payload.rate_hz <= 0:
            return "unusable"
        end_ns = stamp_ns + sample.payload.samples.shape[-1] * NS_PER_S // sample.payload.rate_hz
        at = len(self._stamps) if not self._stamps or stamp_ns > self._stamps[-1] else self._place(stamp_ns)
        if at < 0:
            return "backward"
        is_last = at == len(self._stamps)
        if (at > 0 and self._ends[at - 1] - stamp_ns > self._seam_ns) or (
            not is_last and end_ns - self._stamps[at] > self._seam_ns
        ):
            return "duplicate"
        self._stamps.insert(at, stamp_ns)
        self._ends.insert(at, end_ns)
        self._samples.insert(at, sample)
        if len(self._stamps) > self._capacity:
            del self._stamps[0], self._ends[0], self._samples[0]
        return "" if is_last else "reordered"

    def _place(self, stamp_ns: int) -> int:
        at = bisect_left(self._stamps, stamp_ns)
        return at if at > 0 or self._stamps[0] == stamp_ns else -1

    def is_settled(self, stamp_ns: int) -> bool:
        """Whether there is sound beyond that instant."""
        return bool(self._ends) and self._ends[-1] >= stamp_ns

    def match(self, stamp_ns: int) -> Match | None:
        """The window that ends there; None where a part of it is missing."""
        if not self.is_settled(stamp_ns):
            return None
        last = bisect_left(self._ends, stamp_ns)
        window = self._cut(last, stamp_ns)
        if window is None:
            return None
        return Match(stamp_ns, self._as_sample(last, stamp_ns, window))

    def latest(self, stamp_ns: int) -> Match | None:
        """The window that ends with the newest sound before that instant."""
        at = bisect_left(self._ends, stamp_ns + 1) - 1
        return self.match(self._ends[at]) if at >= 0 else None

    def newest_ns(self) -> int | None:
        """The end of the newest chunk."""
        return self._ends[-1] if self._ends else None

    def _cut(self, last: int, end_ns: int) -> AudioChunk | None:
        """Whole chunks from the one that holds `end_ns` backwards; seams within the tolerance are closed."""
        newest = self._payload(last)
        rate, wanted = newest.rate_hz, round(self._window_ns * newest.rate_hz / NS_PER_S)
        inside = min(newest.samples.shape[-1], round((end_ns - self._stamps[last]) * rate / NS_PER_S))
        if inside < 0:
            return None
        parts, have, at = [newest.samples[..., :inside]], inside, last
        while have < wanted:
            at -= 1
            if at < 0 or abs(self._stamps[at + 1] - self._ends[at]) > self._seam_ns:
                return None
            chunk = self._payload(at)
            if chunk.rate_hz != rate or chunk.samples.shape[0] != newest.samples.shape[0]:
                return None
            parts.append(chunk.samples)
            have += chunk.samples.shape[-1]
        joined = np.concatenate(parts[::-1], axis=-1)
        return AudioChunk(joined[..., joined.shape[-1] - wanted :], rate)

    def _payload(self, at: int) -> AudioChunk:
        payload = self._samples[at].payload
        assert isinstance(payload, AudioChunk)  # insert took no other
        return payload

    def _as_sample(self, last: int, end_ns: int, window: AudioChunk) -> Sample:
        newest = self._samples[last]
        begin_ns = newest.stamp_ns + (end_ns - self._stamps[last]) - self._window_ns
        return replace(newest, stamp_ns=begin_ns, payload=window)
