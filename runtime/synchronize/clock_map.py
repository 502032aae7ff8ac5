"""One stream's clock against the host's: an offset, and a new one after the clock has stepped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.runtime.clock import NS_PER_MS

if TYPE_CHECKING:
    from edge.runtime.rig import Stream
    from edge.runtime.sample import Sample

# A step is what moves arrival minus stamp by more than both, for so many samples in a row.
STEP_PERIODS = 3
STEP_NS = 200 * NS_PER_MS
STEP_SAMPLES = 3
# Samples that queued up somewhere come closer together than this; after a step they come at the sensor's pace.
PACE = 0.7
_SMOOTHING_BITS = 3


class ClockMap:
    """Maps stamps of one stream to host time.

    The offset is the stream's declared latency until the clock steps: then the delay from stamp to arrival, which
    was followed slowly until then, is taken to be what it was before, and the epoch is incremented. Whether a
    clock lies an hour away from the start or steps later makes no difference.

    Attributes:
        offset_ns: Added to a stamp to bring it to host time.
        epoch: How often the clock has stepped.
        limit_ns: How far a delay may be from the usual one.
    """

    __slots__ = ("_delay_ns", "_pace_ns", "_suspects", "epoch", "limit_ns", "offset_ns")

    def __init__(self, stream: Stream) -> None:
        self.offset_ns = round(stream.latency_offset_ms * NS_PER_MS)
        self.epoch = 0
        self.limit_ns = max(STEP_PERIODS * stream.period_ns, STEP_NS)
        self._delay_ns = usual_delay_ns(stream)
        self._pace_ns = round(PACE * (STEP_SAMPLES - 1) * stream.period_ns)
        self._suspects: list[Sample] = []

    def is_usual(self, stamp_ns: int, arrival_ns: int) -> bool:
        """Whether a sample's delay is near the usual one, which then follows it."""
        change = arrival_ns - stamp_ns - self.offset_ns - self._delay_ns
        if -self.limit_ns <= change <= self.limit_ns:
            self._delay_ns += change >> _SMOOTHING_BITS
            if self._suspects:
                self._suspects.clear()
            return True
        return False

    def change_ns(self, sample: Sample) -> int:
        """How much longer than usual the sample took; negative where its stamp lies in the future."""
        return sample.arrival_ns - sample.stamp_ns - self.offset_ns - self._delay_ns

    def suspect(self, sample: Sample) -> list[Sample]:
        """Takes note of a sample with an unusual delay.

        Returns:
            Empty, or, where this one proves that the clock has stepped, the samples since then: `offset_ns` and
            `epoch` are then new, and they fit.
        """
        self._suspects = [*self._suspects[1 - STEP_SAMPLES :], sample]
        taken_ns = sample.arrival_ns - self._suspects[0].arrival_ns
        changes = sorted(self.change_ns(s) for s in self._suspects)
        they_agree = changes[-1] - changes[0] <= self.limit_ns // 2
        if len(self._suspects) < STEP_SAMPLES or taken_ns < self._pace_ns or not they_agree:
            return []
        self.offset_ns += changes[STEP_SAMPLES // 2]
        self.epoch += 1
        proven, self._suspects = self._suspects, []
        return proven


def usual_delay_ns(stream: Stream) -> int:
    """From a stamp to the arrival, as the rig declares it: the rest of the measurement, then the transport."""
    rest = {"start": 1.0, "first-sample": 1.0, "mid": 0.5, "end": 0.0}[stream.stamp]
    measuring = rest * stream.period_ns if stream.kind in ("lidar", "audio") else 0.0
    return round(measuring + stream.transport_ms * NS_PER_MS)
