"""The RUN path: source, synchronizer, model, sinks; in virtual time, or at the pace of the recording.

Both modes share one loop. Virtual time stands still while the model runs and then moves by a fixed compute time, so
that a run repeats byte for byte. In real time samples are released when they are due, a thread reads ahead, and the
model runs on the calling thread; of the sets that queue up meanwhile the latest wins and the others are counted.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge.runtime.clock import NS_PER_MS, NS_PER_S, MonotonicClock, VirtualClock
from edge.runtime.deskew import MotionCompensation
from edge.runtime.faults.recovery import recovery_watch
from edge.runtime.fusion import Fusion, complete_rig, sound_windows_ns
from edge.runtime.health import HealthMonitor
from edge.runtime.read_ahead import ReadAhead
from edge.runtime.sanity import SanityGate
from edge.runtime.states import choose_state
from edge.runtime.synchronizer import Synchronizer
from edge.runtime.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from edge.runtime.bundle import Bundle
    from edge.runtime.clock import Clock
    from edge.runtime.engines.base import Engine
    from edge.runtime.fusion import Inference
    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample
    from edge.runtime.sinks.base import Sink
    from edge.runtime.sources.base import Source
    from edge.runtime.synchronize.synced import SyncedSet

OVERRUN = "set:overrun"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run goes.

    Attributes:
        realtime: At the recording's pace, with measured ages; otherwise in virtual time.
        duration_s: Stop after so much time from the first arrival; None for all there is.
        compute_ms: How long the model takes in virtual time.
    """

    realtime: bool = False
    duration_s: float | None = None
    compute_ms: float = 10.0


class Pacer(Protocol):
    """What time means in a run; on the axis of the source's arrivals."""

    def now_ns(self) -> int:
        """The present."""

    def wait_until_ns(self, at_ns: int) -> None:
        """Returns when it is `at_ns`."""

    def computed(self) -> None:
        """The model has run once."""


class Pipeline:
    """Runs a bundle over a source.

    Args:
        bundle: The model and its validated states.
        source: Gives the samples and the rig.
        engine: Runs one of the bundle's graphs.
        sinks: Receive every result; they are closed at the end of the run.
        settings: Pace and length.
        clock: Of real time; injectable.
        on_result: Called after each result, e.g. to show progress.
        on_sample: Called with every sample of the run as the source gave it, good or bad, also of streams that the
            model does not read, e.g. to record it; in real time by the thread that reads ahead.

    Raises:
        RigError: The rigs of source and bundle do not fit.
        BundleError: The bundle has no validated state for what the source gives.
    """

    def __init__(
        self,
        bundle: Bundle,
        source: Source,
        engine: Engine,
        sinks: Sequence[Sink] = (),
        settings: RunSettings = RunSettings(),
        *,
        clock: Clock | None = None,
        on_result: Callable[[], None] | None = None,
        on_sample: Callable[[Sample], None] | None = None,
    ) -> None:
        modalities = bundle.model_io.modalities
        self._rig = complete_rig(source.rig, bundle)
        self._periods_ns = {name: self._rig.stream(name).period_ns for name in modalities}
        self._streams = tuple(name for name in modalities if name in source.rig.streams)
        self._complete = choose_state(self._streams, modalities, bundle.states)
        self._read = {*self._streams, *MotionCompensation(self._rig).streams}
        self._windows_ns = sound_windows_ns(bundle.model_io)
        self._fusion = Fusion(bundle, self._rig, engine)
        self._source, self._sinks, self._settings = source, tuple(sinks), settings
        self._clock = clock or MonotonicClock()
        self._on_result, self._on_sample = on_result, on_sample

    @property
    def rig(self) -> Rig:
        """The source's sensors, completed from the bundle by those that stay silent."""
        return self._rig

    def run(self) -> Trace:
        """Runs to the end of the source.

        Sinks are closed as complete when all went well; on any exception, Ctrl-C included, as incomplete. No thread
        is left behind.

        Raises:
            SourceError: The source broke off.
            ModelError: The engine failed.
        """
        trace = Trace(self._rig.anchor, round(self._rig.budget_ms * NS_PER_MS))
        complete = False
        try:
            with ExitStack() as stack:
                samples = self._samples()
                if self._settings.realtime:
                    samples = stack.enter_context(ReadAhead(samples))
                _Run(self, samples, trace).go()
            complete = True
        finally:
            for sink in self._sinks:
                sink.close(complete=complete)
        return trace

    def _samples(self) -> Iterator[Sample]:
        """Samples of the streams that the model reads, and of the motion, up to the run's length."""
        limit_ns = None if self._settings.duration_s is None else round(self._settings.duration_s * NS_PER_S)
        first_ns: int | None = None
        for sample in self._source.samples():
            first_ns = sample.arrival_ns if first_ns is None else first_ns
            if limit_ns is not None and sample.arrival_ns - first_ns > limit_ns:
                return
            if self._on_sample is not None:
                self._on_sample(sample)
            if sample.stream in self._read:
                yield sample


class _VirtualTime(VirtualClock):
    def __init__(self, compute_ms: float) -> None:
        super().__init__()
        self._compute_ns = round(compute_ms * NS_PER_MS)

    def computed(self) -> None:
        self.wait_until_ns(self.now_ns() + self._compute_ns)


class _RealTime:
    """The recording's axis, laid so that its first sample arrives now."""

    def __init__(self, clock: Clock, first_ns: int) -> None:
        self._clock = clock
        self._shift_ns = first_ns - clock.now_ns()

    def now_ns(self) -> int:
        return self._clock.now_ns() + self._shift_ns

    def wait_until_ns(self, at_ns: int) -> None:
        self._clock.wait_until_ns(at_ns - self._shift_ns)

    def computed(self) -> None:
        """Real time has passed by itself."""


class _Run:
    """State of one run."""

    def __init__(self, pipeline: Pipeline, samples: Iterable[Sample], trace: Trace) -> None:
        self._pipeline = pipeline
        self._samples = iter(samples)
        self._trace = trace
        self._gate = SanityGate(pipeline._rig)
        self._health = HealthMonitor(pipeline._periods_ns, pipeline._rig.health)
        self._sync = Synchronizer(pipeline._rig, pipeline._streams, pipeline._windows_ns)
        self._motion = MotionCompensation(pipeline._rig)
        self._next = next(self._samples, None)
        self._waiting: SyncedSet | None = None
        self._recovery = recovery_watch(pipeline._source, pipeline._complete)
        settings, first_ns = pipeline._settings, self._next.arrival_ns if self._next else 0
        self._pacer: Pacer = (
            _RealTime(pipeline._clock, first_ns) if settings.realtime else _VirtualTime(settings.compute_ms)
        )

    def go(self) -> None:
        while self._next is not None:
            due_ns = self._sync.next_deadline_ns()
            at_ns = self._next.arrival_ns if due_ns is None else min(self._next.arrival_ns, due_ns)
            self._pacer.wait_until_ns(at_ns)
            self._catch_up(self._pacer.now_ns())
            self._fuse_latest()
        for synced in self._sync.flush():
            self._queue(synced)
            self._fuse_latest()
        self._trace.dropped.update(self._sync.dropped)
        for stream in self._pipeline._streams:
            self._trace.add_health(stream, self._sync.health(stream))
        self._trace.recovery_ns = self._recovery.recovery_ns()
        self._motion.complete(self._trace)

    def _catch_up(self, now_ns: int) -> None:
        """Everything that was due up to now, in its order: while the model ran, time went on."""
        while True:
            due_ns = self._sync.next_deadline_ns()
            sample = self._next
            if sample is not None and sample.arrival_ns <= now_ns and (due_ns is None or sample.arrival_ns < due_ns):
                if self._pipeline._settings.realtime:
                    self._trace.add_lag(now_ns - sample.arrival_ns)
                self._push(sample)
                self._next = next(self._samples, None)
            elif due_ns is not None and due_ns <= now_ns and sample is not None:
                for synced in self._sync.advance(due_ns):
                    self._queue(synced)
            else:
                return

    def _push(self, sample: Sample) -> None:
        unmoved = self._motion.observe(sample)
        if unmoved is not None:
            self._trace.add_arrival(sample.stream, unmoved)
            return
        reason = self._gate.refusal(sample)
        self._trace.add_arrival(sample.stream, reason)
        if reason:
            return
        for synced in self._sync.push(sample):
            self._queue(synced)

    def _queue(self, synced: SyncedSet) -> None:
        """A mailbox of one: the latest wins."""
        if self._waiting is not None:
            self._trace.dropped[OVERRUN] += 1
        self._waiting = synced

    def _fuse_latest(self) -> None:
        if self._waiting is None:
            return
        synced, self._waiting = self._waiting, None
        inference = self._pipeline._fusion.run(self._motion.compensate(synced))
        if inference.times is not None:
            self._pacer.computed()
        self._emit(inference)

    def _emit(self, inference: Inference) -> None:
        ready_ns = self._pacer.now_ns()
        result = inference.result(self._trace.fused, ready_ns, self._health)
        if inference.times is not None:
            self._trace.add_stages(*inference.times)
            if self._pipeline._settings.realtime:
                arrived_ns = max(s.arrival_ns for s in inference.synced.samples.values())
                self._trace.add_overhead(ready_ns - arrived_ns - inference.times.engine_ns)
        for name in inference.refused:
            self._trace.add_refusal(name, "unusable")
        self._trace.add_result(inference.synced, result, ready_ns)
        self._recovery.add(ready_ns, result)
        for sink in self._pipeline._sinks:
            sink.write(result)
        if self._pipeline._on_result is not None:
            self._pipeline._on_result()
