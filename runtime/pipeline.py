"""The RUN path: source, sanity gate, synchronizer, model, sinks; in virtual time, or at the pace of the recording.

Virtual time stands still while the model runs, so a run repeats byte for byte (`edge.runtime.virtual_run`). In real
time a recording is pushed into the same `Runtime` that live streams are (`edge.runtime.live.runtime`): samples are
read ahead, pushed when they are due, matched on a thread of the C++ core, and of sets that queue up the latest wins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.errors import RunError
from edge.runtime.faults.recovery import recovery_watch
from edge.runtime.faults.source import FaultySource
from edge.runtime.fusion import Fusion, complete_rig, series_steps, sound_windows_ns
from edge.runtime.live.feeder import Feeder
from edge.runtime.live.read_ahead import ReadAhead, frames_ahead
from edge.runtime.live.runtime import Runtime
from edge.runtime.live_clock import HostClock
from edge.runtime.memory_budget import Kept, plan_memory, with_engine, with_process
from edge.runtime.run_steps import RunSteps
from edge.runtime.states import choose_state
from edge.runtime.synchronize.live import LiveSynchronizer
from edge.runtime.synchronizer import Synchronizer
from edge.runtime.virtual_run import VirtualRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge.runtime.bundle import Bundle
    from edge.runtime.engines.base import Engine
    from edge.runtime.fusion import Inference
    from edge.runtime.live_clock import LiveClock
    from edge.runtime.memory_budget import MemoryPlan
    from edge.runtime.result import FusedResult
    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample
    from edge.runtime.sinks.base import Sink
    from edge.runtime.sources.base import Source
    from edge.runtime.trace.trace import Trace

SHOWN = 2  # sets that who watches a run may keep: one to look at, and the latest


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a run goes.

    Attributes:
        realtime: At the recording's pace, with measured ages; otherwise in virtual time.
        duration_s: Stop after so much time from the first arrival; None for all there is.
        compute_ms: How long the model takes in virtual time.
        memory_limit: Bytes that the run may take; None for any.
    """

    realtime: bool = False
    duration_s: float | None = None
    compute_ms: float = 10.0
    memory_limit: int | None = None


class Pipeline:
    """Runs a bundle over a source.

    Args:
        bundle: The model and its validated states.
        source: Gives the samples and the rig.
        engine: Runs one of the bundle's graphs.
        sinks: Receive every result; they are closed at the end of the run.
        settings: Pace and length.
        clock: Of real time, on the axis of the source's arrivals; by default the host's, laid so that the first sample
            arrives now.
        on_result: Called after each result, e.g. to show progress.
        on_sample: Called with every sample of the run as the source gave it, good or bad, also of streams that the
            model does not read, e.g. to record it; in real time by the thread that reads ahead.
        on_fused: Called with each inference and its result, e.g. to show what was fused; it must be quick and not
            raise, and may keep `SHOWN` of them.
        on_thread: Called first on the inference thread of a run in real time, see `Runtime`.

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
        clock: LiveClock | None = None,
        on_result: Callable[[], None] | None = None,
        on_sample: Callable[[Sample], None] | None = None,
        on_fused: Callable[[Inference, FusedResult], None] | None = None,
        on_thread: Callable[[], None] | None = None,
    ) -> None:
        modalities = bundle.model_io.modalities
        self._rig = complete_rig(source.rig, bundle)
        self._modalities = modalities
        self._streams = tuple(name for name in modalities if name in source.rig.streams)
        self._windows_ns, self._steps_of = sound_windows_ns(bundle.model_io), series_steps(bundle.model_io)
        self._fusion = Fusion(bundle, self._rig, engine)
        self._recovery = recovery_watch(source, choose_state(self._streams, modalities, bundle.states))
        self._steps = RunSteps(self._rig, modalities, self._recovery.add, on_fused)
        self._source, self._sinks, self._settings = source, tuple(sinks), settings
        self._clock, self._on_result, self._on_sample, self._on_fused = clock, on_result, on_sample, on_fused
        self._on_thread = on_thread
        self._first_ns: int | None = None  # the first arrival of the run

    @property
    def rig(self) -> Rig:
        """The source's sensors, completed from the bundle by those that stay silent."""
        return self._rig

    def plan_memory(self) -> MemoryPlan:
        """What the run may take: the process with the engine loaded, measured, and every buffer, computed.

        What an engine holds on a device is in it as far as the engine tells.

        The engine runs once, on nothing, so that what it allocates by then is in it.

        Raises:
            ModelError: The engine failed.
        """
        self._fusion.warm_up()
        live = LiveSynchronizer.memory(self._rig, self._streams, self._windows_ns, self._steps_of)
        ahead = frames_ahead(self._rig, self._streams) if self._settings.realtime else {}
        shown = 0 if self._on_fused is None else SHOWN
        kept = {name: self._kept(name, live.frames[name] + ahead.get(name, 0) + shown) for name in self._streams}
        plan = plan_memory(self._rig, self._fusion.model_io, kept, live.bytes)
        return with_process(with_engine(plan, self._fusion.engine))

    def _kept(self, stream: str, samples: int) -> Kept:
        window_ns = self._windows_ns.get(stream, 0)
        chunks = math.ceil(window_ns / self._rig.stream(stream).period_ns)
        return Kept(samples, in_window=chunks or self._steps_of.get(stream, 0))

    def run(self) -> Trace:
        """Runs to the end of the source.

        Sinks are closed as complete when all went well; on any exception, Ctrl-C included, as incomplete. No thread
        is left behind.

        Raises:
            ConfigError: It may take more memory than the limit allows.
            SourceError: The source broke off.
            ModelError: The engine failed; in real time three times in a row.
        """
        complete = False
        try:
            if self._settings.memory_limit is not None:
                self.plan_memory().check(self._settings.memory_limit)
            trace = self._run_realtime() if self._settings.realtime else self._run_virtually()
            complete = True
        finally:
            for sink in self._sinks:
                sink.close(complete=complete)
        trace.recovery_ns = self._recovery.recovery_ns()
        self._note_silenced_end(trace)
        return trace

    def _note_silenced_end(self, trace: Trace) -> None:
        """Where faults have silenced all streams, the run is over before its time: that is no way to pass."""
        duration_s = self._settings.duration_s
        end_ns = self._source.last_arrival_ns if isinstance(self._source, FaultySource) else None
        if end_ns is None or self._first_ns is None:
            return
        if duration_s is not None:
            end_ns = min(end_ns, self._first_ns + round(duration_s * NS_PER_S))
        trace.add_end(end_ns)

    def _run_virtually(self) -> Trace:
        sync = Synchronizer(self._rig, self._streams, self._windows_ns, self._steps_of)
        compute_ns = round(self._settings.compute_ms * NS_PER_MS)
        VirtualRun(self._steps, self._fusion, sync, compute_ns, self._deliver).go(self._samples())
        self._steps.complete(sync, self._streams)
        return self._steps.trace

    def _run_realtime(self) -> Trace:
        with ReadAhead(self._samples()) as ahead:
            first = next(ahead, None)
            if first is None:
                return self._steps.trace
            clock = self._clock or HostClock(first.arrival_ns - HostClock().now_ns())
            runtime = Runtime(
                self._fusion,
                self._rig,
                streams=self._streams,
                clock=clock,
                on_ready=self._recovery.add,
                on_fused=self._on_fused,
                on_thread=self._on_thread,
            )
            with runtime, Feeder(chain([first], ahead), runtime, clock) as feeder:
                for result in _unwrapped(runtime):
                    self._deliver(result)
                feeder.raise_failure()
        return runtime.trace

    def _deliver(self, result: FusedResult) -> None:
        for sink in self._sinks:
            sink.write(result)
        if self._on_result is not None:
            self._on_result()

    def _samples(self) -> Iterator[Sample]:
        """Samples of the streams that the model reads, and of the motion, up to the run's length."""
        limit_ns = None if self._settings.duration_s is None else round(self._settings.duration_s * NS_PER_S)
        read = {*self._streams, *self._steps.motion_streams}
        self._first_ns = None
        for sample in self._source.samples():
            if self._first_ns is None:
                self._first_ns = sample.arrival_ns
            if limit_ns is not None and sample.arrival_ns - self._first_ns > limit_ns:
                return
            if self._on_sample is not None:
                self._on_sample(sample)
            if sample.stream in read:
                yield sample


def _unwrapped(runtime: Runtime) -> Iterator[FusedResult]:
    """The runtime's results; what ended it is raised as it was."""
    try:
        yield from runtime
    except RunError as error:
        raise error.__cause__ or error from None
