"""Latency of stages' deployed graphs: one thread, interleaved in one process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.statistics import Comparison, Distribution, compare, interleave

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from edge.compress.stages.measure import MeasuredStage


@dataclass(frozen=True)
class StageTimings:
    """What `time_stages` found.

    Attributes:
        latency_ms: By stage name.
        first_over_last: How many times as long the first stage takes as the last; A is the last.
    """

    latency_ms: dict[str, Distribution]
    first_over_last: Comparison


def time_stages(
    stages: Sequence[MeasuredStage],
    feed: Mapping[str, NDArray[Any]],
    rounds: int = 300,
    on_round: Callable[[], None] | None = None,
) -> StageTimings:
    """Times one inference of each stage, all stages in turn within each round, then first against last.

    Args:
        stages: In the order of the recipe.
        feed: One sample, by tensor name.
        rounds: Samples of each stage.
        on_round: Called after each of the `2 * rounds` rounds.
    """
    engines = {s.record.name: OnnxRuntimeEngine(s.deployed, s.deployed_dialect) for s in stages}
    sides = {name: _runner(engine, feed) for name, engine in engines.items()}
    timings = interleave(sides, rounds=rounds, on_round=on_round)
    first, last = stages[0].record.name, stages[-1].record.name
    ratio = compare(sides[last], sides[first], rounds=rounds, on_round=on_round)
    return StageTimings({name: timing.distribution_ms for name, timing in timings.items()}, ratio)


def _runner(engine: OnnxRuntimeEngine, feed: Mapping[str, NDArray[Any]]) -> Callable[[], object]:
    return lambda: engine.run(feed)
