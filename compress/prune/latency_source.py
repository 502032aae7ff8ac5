"""Who says how long a graph takes: ONNX Runtime on this machine, or an estimate of a device that is not here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge.compress.latency_table import LatencyTable
from edge.compress.precision_plan import PlannedPrecision, PrecisionPlan, PrecisionRule
from edge.compress.prune.config import MEASURED
from edge.compress.prune.layer_graph import random_feed
from edge.runtime.clock import NS_PER_MS
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.environment import describe_host
from edge.runtime.errors import ConfigError
from edge.runtime.statistics import WarmUp, compare, interleave

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from edge.compress.prune.config import LatencyTarget
    from edge.runtime.statistics.timing import NanosecondClock

# Name of a device and a graph to its layers' latencies at all precisions, source `estimate:<device>`.
EstimateLatency = Callable[[str, "onnx.ModelProto"], LatencyTable]

LAYERS_AT_ONCE = 16
LAYER_ROUNDS = 20
LAYER_WARM_UP = WarmUp(window=4, tolerance=0.1, max_calls=24, max_seconds=1.0)
CALLS = 3  # of a whole graph, whose median stands for the round
FIRST_ROUNDS, MOST_ROUNDS = 30, 240  # of a whole graph: doubled until the interval decides
NARROW = 0.06  # width of an interval that decides; a wider one would have more cut than the target needs


@dataclass(frozen=True, slots=True)
class LatencyShare:
    """What a graph takes of another's latency.

    Attributes:
        ratio: Its latency over the other's.
        interval: 95 % interval of `ratio`; both ends are `ratio` where it is computed.
        before_ms: The other's.
        after_ms: Its own.
    """

    ratio: float
    interval: tuple[float, float]
    before_ms: float
    after_ms: float

    def holds(self, target: float) -> bool:
        """Whether the whole interval is at most `target`."""
        return self.interval[1] <= target


class LatencySource(Protocol):
    """One clock. `name` is `measured:<machine>` or `estimate:<device>`."""

    name: str
    precision: PlannedPrecision

    def undisturbed_ms(self, graphs: Sequence[onnx.ModelProto]) -> list[float]:
        """Milliseconds of each of some graphs, most of them of one layer, where nothing else gets in the way."""
        ...

    def usual_ms(self, graph: onnx.ModelProto) -> float:
        """Milliseconds of a whole graph as it will be run."""
        ...

    def share(self, before: onnx.ModelProto, after: onnx.ModelProto, target: float) -> LatencyShare:
        """What `after` takes of the latency of `before`, as exactly as a decision about `target` needs."""
        ...


class MeasuredLatency:
    """ONNX Runtime on this machine's CPU, one thread, in FP32, what is compared in turn.

    Args:
        clock: Gives nanoseconds. By default those in which this thread computed, where ONNX Runtime's one thread
            works: what other processes took meanwhile is not in them.
    """

    precision: PlannedPrecision = "fp32"

    def __init__(self, clock: NanosecondClock = time.thread_time_ns) -> None:
        self.name = f"{MEASURED}:{machine_name()}"
        self._clock = clock

    def undisturbed_ms(self, graphs: Sequence[onnx.ModelProto]) -> list[float]:
        """Least time of this thread: others can only make it longer. Graphs that stand together are timed in turn."""
        found: list[float] = []
        for start in range(0, len(graphs), LAYERS_AT_ONCE):
            sides = {str(i): _runner(graph) for i, graph in enumerate(graphs[start : start + LAYERS_AT_ONCE])}
            timings = interleave(sides, rounds=LAYER_ROUNDS, warm_up=LAYER_WARM_UP, clock=self._clock)
            found += [float(timing.samples_ns.min()) / NS_PER_MS for timing in timings.values()]
        return found

    def usual_ms(self, graph: onnx.ModelProto) -> float:
        """Median."""
        timing = interleave({"graph": _runner(graph)}, rounds=CALLS * FIRST_ROUNDS, clock=self._clock)["graph"]
        return float(np.median(timing.samples_ns)) / NS_PER_MS

    def share(self, before: onnx.ModelProto, after: onnx.ModelProto, target: float) -> LatencyShare:
        """Rounds are doubled, up to a limit, until the interval is narrow and clear of the target."""
        sides = _runner(before), _runner(after)
        rounds = FIRST_ROUNDS
        while True:
            found = compare(*sides, rounds=rounds, calls=CALLS, clock=self._clock)
            low, high = found.interval
            decided = high - low <= NARROW and not low <= target < high
            if decided or rounds >= MOST_ROUNDS:
                break
            rounds *= 2
        medians = (float(np.median(side.samples_ns)) / NS_PER_MS for side in (found.a, found.b))
        return LatencyShare(found.ratio, found.interval, *medians)


class EstimatedLatency:
    """The roofline of a device, every layer at one precision.

    Args:
        device: Its name.
        precision: Of every layer.
        estimate: Makes the table of a graph.
    """

    def __init__(self, device: str, precision: PlannedPrecision, estimate: EstimateLatency) -> None:
        self.name, self.precision = f"estimate:{device}", precision
        self._device, self._estimate = device, estimate
        self._plan = PrecisionPlan(rules=(PrecisionRule(layers="*", precision=precision),), products=precision)

    def undisturbed_ms(self, graphs: Sequence[onnx.ModelProto]) -> list[float]:
        """Without what it takes to bring tensors into the layout of kernels: within a graph they are in it."""
        tables = [self._table(graph) for graph in graphs]
        return [table.total_ms(self._plan) - table.fixed_ms for table in tables]

    def usual_ms(self, graph: onnx.ModelProto) -> float:
        """All layers and the fixed cost."""
        return self._table(graph).total_ms(self._plan)

    def share(self, before: onnx.ModelProto, after: onnx.ModelProto, target: float) -> LatencyShare:
        """Computed, so that its interval is a point."""
        before_ms, after_ms = self.usual_ms(before), self.usual_ms(after)
        ratio = after_ms / before_ms
        return LatencyShare(ratio, (ratio, ratio), before_ms, after_ms)

    def _table(self, graph: onnx.ModelProto) -> LatencyTable:
        table = self._estimate(self._device, graph)
        if table.source != self.name:
            raise ConfigError(f"{self.name} was asked for, the table is of {table.source}", "pass that one's estimates")
        return table


def clock_of(target: LatencyTarget, estimate: EstimateLatency | None) -> LatencySource:
    """The clock that a target names.

    Args:
        target: Of a recipe.
        estimate: Needed where it names an estimate.
    """
    if target.source == MEASURED:
        return MeasuredLatency()
    assert estimate is not None
    return EstimatedLatency(target.source.partition(":")[2], target.precision, estimate)


def machine_name() -> str:
    """This machine as a source's name: its board, or else its processor."""
    host = describe_host()
    return re.sub(r"[^a-z0-9]+", "-", (host.board or host.cpu).lower()).strip("-") or host.machine


def _runner(graph: onnx.ModelProto) -> Callable[[], object]:
    engine, feed = OnnxRuntimeEngine(graph.SerializeToString()), random_feed(graph)
    return lambda: engine.run(feed)
