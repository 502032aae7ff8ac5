"""What every run does around matching and the model, in virtual time, in real time and on live streams alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from edge.runtime.clock import NS_PER_MS
from edge.runtime.health import HealthMonitor
from edge.runtime.preprocess.deskew import MotionCompensation
from edge.runtime.sanity.gate import SanityGate
from edge.runtime.trace.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from edge.runtime.fusion import Inference
    from edge.runtime.result import FusedResult
    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample
    from edge.runtime.synchronize.messages import StreamHealth
    from edge.runtime.synchronize.synced import SyncedSet
    from edge.runtime.trace.road_recorder import RoadRecorder


class Matcher(Protocol):
    """What a run's figures need of what keeps streams: a synchronizer, or the compensation of motion."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Samples and sets that were not used, as `what:reason`."""

    def health(self, stream: str) -> StreamHealth:
        """Running facts of a stream."""


class Admission(NamedTuple):
    """What is to become of a sample.

    Attributes:
        accepted: It is sound.
        is_matched: It is to be matched; samples of motion are not.
    """

    accepted: bool
    is_matched: bool


class RunSteps:
    """Admits samples, deskews sets, judges results, and notes all of it. Admitting may be another thread's.

    Args:
        rig: All sensors of the run.
        modalities: Those of the model.
        on_ready: Called with each result and the instant at which it was ready, on the axis of arrivals.
        on_fused: Called after that with each inference and its result; it must be quick and not raise.
        roads: Takes the instants of each result, in real time; None where nobody wants them.

    Attributes:
        trace: The run's figures.
        motion_streams: What must be given beside the streams that are matched.
    """

    def __init__(
        self,
        rig: Rig,
        modalities: Iterable[str],
        on_ready: Callable[[int, FusedResult], None] = lambda _ready_ns, _result: None,
        on_fused: Callable[[Inference, FusedResult], None] | None = None,
        roads: RoadRecorder | None = None,
    ) -> None:
        self._roads = roads
        self.trace = Trace(rig.anchor, round(rig.budget_ms * NS_PER_MS))
        self._gate = SanityGate(rig)
        self._motion = MotionCompensation(rig)
        self._health = HealthMonitor({name: rig.stream(name).period_ns for name in modalities}, rig.health)
        self._on_ready, self._on_fused = on_ready, on_fused
        self.motion_streams = self._motion.streams

    def admit(self, sample: Sample) -> Admission:
        """Looks at a sample at its arrival; samples of one stream in their order, from one thread at a time."""
        unmoved = self._motion.observe(sample)
        reason = self._gate.refusal(sample) if unmoved is None else unmoved
        self.trace.add_arrival(sample.stream, reason, sample.arrival_ns)
        return Admission(not reason, not reason and unmoved is None)

    def compensate(self, synced: SyncedSet) -> SyncedSet:
        """The set with its sweeps deskewed, where the rig says by what."""
        return self._motion.compensate(synced)

    def conclude(self, inference: Inference, ready_ns: int, *, taken_ns: int | None = None) -> FusedResult:
        """The result of an inference, judged and noted.

        Args:
            inference: What the model said.
            ready_ns: When that was ready.
            taken_ns: When the model's thread had the set; None in virtual time, which wall times are not of.
        """
        trace = self.trace
        result = inference.result(trace.fused, ready_ns, self._health)
        if inference.times is not None:
            trace.add_stages(*inference.times)
            if taken_ns is not None:
                arrived_ns = max(s.arrival_ns for s in inference.synced.samples.values())
                in_engine_ns = inference.times.engine_ns + (inference.times.transfer_ns or 0)
                trace.add_overhead(ready_ns - arrived_ns - in_engine_ns)
        if taken_ns is not None:
            trace.add_queue(taken_ns - inference.synced.emitted_ns)
            if self._roads is not None:
                self._roads.add(trace.fused, inference, taken_ns, ready_ns)
        for name, reason in inference.refused.items():
            trace.add_refusal(name, reason)
        trace.add_result(inference.synced, result, ready_ns)
        self._on_ready(ready_ns, result)
        if self._on_fused is not None:
            self._on_fused(inference, result)
        return result

    def complete(self, matcher: Matcher, streams: Iterable[str]) -> None:
        """Ends the run's figures with what the synchronizer and the motion have to tell."""
        self.trace.deskew.update(self._motion.counts)
        for kept, names in ((matcher, streams), (self._motion, self._motion.streams)):
            self.trace.dropped.update(kept.dropped)
            for stream in names:
                self.trace.add_health(stream, kept.health(stream))
