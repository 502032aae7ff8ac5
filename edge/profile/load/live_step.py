"""One step of a search on this machine: sensors at one rate into the live runtime, and what became of it."""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from edge.profile.load.sensors import captured
from edge.profile.load.step_figures import StepReading, figures_of_step
from edge.profile.load.thread_time import thread_cpu_ns
from edge.profile.streaming.delivery import DeliveryMeter
from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.errors import RunError
from edge.runtime.fusion import Fusion, complete_rig
from edge.runtime.live.runtime import Runtime
from edge.runtime.live_clock import HostClock
from edge.runtime.realtime.applying import MATCHING_THREAD
from edge.runtime.realtime.system_calls import LinuxCalls
from edge.runtime.trace.road_recorder import RoadRecorder
from edge.runtime.trace.spans import select_roads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edge.profile.load.config import LoadConfig
    from edge.profile.load.contents import StepFigures
    from edge.profile.load.sensors import SyntheticSensors
    from edge.runtime.bundle import Bundle
    from edge.runtime.engines.base import Engine
    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample
    from edge.runtime.trace.road_recorder import Roads

# From asking for the first sample to its being measured.
_LEAD_NS = 50 * NS_PER_MS


@dataclass
class _Producer:
    """Pushes samples when they are due, on the thread that calls; what each stream's took is kept."""

    runtime: Runtime
    clock: HostClock
    taken_ns: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def push_all(self, samples: Iterable[Sample]) -> None:
        for sample in samples:
            self.clock.wait_until_ns(sample.arrival_ns)
            begin_ns = time.perf_counter_ns()
            self.runtime.push(captured(sample, self.clock.now_ns()))
            self.taken_ns[sample.stream].append(time.perf_counter_ns() - begin_ns)


class _Divided:
    """Samples that arrive before an instant, and those from it on."""

    def __init__(self, samples: Iterator[Sample], at_ns: int) -> None:
        self._samples, self._at_ns = samples, at_ns
        self._first_after: list[Sample] = []

    def before(self) -> Iterator[Sample]:
        for sample in self._samples:
            if sample.arrival_ns >= self._at_ns:
                self._first_after.append(sample)
                return
            yield sample

    def after(self) -> Iterator[Sample]:
        return chain(self._first_after, self._samples)


class _Results:
    """Takes a runtime's results on a thread, so that none waits; leaving finishes the runtime and takes the last."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._take, name="edge-load-results", daemon=True)

    def __enter__(self) -> _Results:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._runtime.finish()
        self._thread.join()

    def raise_failure(self) -> None:
        """Raises what ended the run before its time, if anything did."""
        if self._failure is not None:
            raise self._failure

    def _take(self) -> None:
        try:
            for _ in self._runtime:
                pass
        except RunError as error:
            self._failure = error.__cause__ or error


class LiveSteps:
    """Measures steps of a search with a bundle; call it with the factor of the rates.

    Args:
        bundle: The model.
        engine: Runs one of its graphs.
        sensors: What delivers.
        config: Length of a step.

    Raises:
        BundleError: The bundle has no validated state for these sensors.
        RigError: They do not fit it.
    """

    def __init__(self, bundle: Bundle, engine: Engine, sensors: SyntheticSensors, config: LoadConfig) -> None:
        self._bundle, self._engine, self._sensors, self._config = bundle, engine, sensors, config
        self._fusion_at(1.0)[0].warm_up()

    def __call__(self, factor: float) -> StepFigures:
        """One step.

        Raises:
            ModelError: The engine failed three times in a row.
        """
        fusion, rig = self._fusion_at(factor)
        roads = RoadRecorder(fusion.model_io.modalities, self._most_results(rig))
        clock, kernel = HostClock(), LinuxCalls()
        others = kernel.threads_named(MATCHING_THREAD)
        with (
            Runtime(fusion, rig, beside=self._sensors.added, clock=clock, roads=roads) as runtime,
            _Results(runtime) as results,
        ):
            begin_ns = clock.now_ns() + _LEAD_NS
            since_ns = begin_ns + round(self._config.settle_s * NS_PER_S)
            end_ns = since_ns + round(self._config.seconds * NS_PER_S)
            producer, meter = _Producer(runtime, clock), DeliveryMeter(rig.anchor, clock.now_ns)
            due = _Divided(self._sensors.samples(factor, begin_ns, end_ns), since_ns)
            producer.push_all(due.before())
            producer.taken_ns.clear()
            named = set(kernel.threads_named(MATCHING_THREAD)) - set(others)  # by now it has its name
            matching = min(named, default=None)
            before = _read(runtime, clock, matching)
            producer.push_all(meter.passing(due.after()))
            after = _read(runtime, clock, matching)
        results.raise_failure()
        counted = _between(roads.roads(), before.at_ns, after.at_ns)
        return figures_of_step(factor, rig, counted, producer.taken_ns, meter.rate_hz, (before, after))

    def _most_results(self, rig: Rig) -> int:
        """Room for all, and some at predicted ticks."""
        return math.ceil(2 * rig.stream(rig.anchor).rate_hz * (self._config.seconds + self._config.settle_s)) + 64

    def _fusion_at(self, factor: float) -> tuple[Fusion, Rig]:
        rig = complete_rig(self._sensors.rig_at(factor), self._bundle)
        return Fusion(self._bundle, rig, self._engine), rig


def _read(runtime: Runtime, clock: HostClock, matching: int | None) -> StepReading:
    return StepReading(
        at_ns=clock.now_ns(),
        matching_ns=None if matching is None else thread_cpu_ns(matching),
        process_ns=time.process_time_ns(),
        deadline_misses=runtime.trace.deadline_misses,
        counts=runtime.counts,
    )


def _between(roads: Roads, begin_ns: int, end_ns: int) -> Roads:
    ready = roads.fields["ready"]
    return select_roads(roads, (ready >= begin_ns) & (ready < end_ns))
