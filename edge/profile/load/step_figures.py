"""From the counters and roads of a step to its figures."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.profile.load.contents import StepFigures
from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.statistics import Distribution
from edge.runtime.synchronize.tally import OVERRUN
from edge.runtime.trace.road_recorder import ABSENT
from edge.runtime.trace.spans import (
    TAKE,
    ages_ns,
    latencies_ns,
    result_rate_hz,
    stage_durations_ns,
    take_durations_ns,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.profile.load.contents import Resource
    from edge.runtime.rig import Rig
    from edge.runtime.trace.road_recorder import Roads

_STARVED = (":ring_full", ":no_frame")
_LEAST_AGES = 15  # results in which a growth of ages can be seen
_LEAST_TAKES = 5


@dataclass(frozen=True)
class StepReading:
    """Counters that only grow, at one instant.

    Attributes:
        at_ns: On the run's axis.
        matching_ns: Processor time of the thread that matches; None where the system does not tell.
        process_ns: And of the whole process.
        deadline_misses: Of the run's trace.
        counts: Of the runtime.
    """

    at_ns: int
    matching_ns: int | None
    process_ns: int
    deadline_misses: int
    counts: Mapping[str, int]


def figures_of_step(
    factor: float,
    rig: Rig,
    roads: Roads,
    pushes_ns: Mapping[str, list[int]],
    delivered_hz: float | None,
    readings: tuple[StepReading, StepReading],
) -> StepFigures:
    """What happened between two readings.

    Args:
        factor: Times the rig's rates at factor 1.
        rig: With the rates of this step.
        roads: Of the results between both.
        pushes_ns: What each push took, by stream.
        delivered_hz: Rate of the anchor's samples.
        readings: Before and after.
    """
    before, after = readings
    asked_hz = rig.stream(rig.anchor).rate_hz
    lost = {name: after.counts.get(name, 0) - before.counts.get(name, 0) for name in after.counts}
    results = len(roads.fields["ready"])
    overruns = lost.get(OVERRUN, 0)
    stages, takes = stage_durations_ns(roads, rig.anchor), take_durations_ns(roads)
    if len(takes) >= _LEAST_TAKES:
        stages[TAKE] = takes
    return StepFigures(
        factor=factor,
        asked_hz=asked_hz,
        delivered_hz=delivered_hz,
        results_hz=result_rate_hz(roads),
        sets=results + overruns,
        overruns=overruns,
        deadline_misses=after.deadline_misses - before.deadline_misses,
        untrue=int(((roads.fields["engine"] == ABSENT) | (roads.fields["last_arrival"] == ABSENT)).sum()),
        starved=sum(n for name, n in lost.items() if name.endswith(_STARVED)),
        latency_ms=Distribution.of(latencies_ns(roads), NS_PER_MS),
        age_growth_ms=_age_growth_ms(roads),
        stages_ms={name: float(np.median(taken)) / NS_PER_MS for name, taken in stages.items()},
        utilisation=_utilisation(rig, roads, pushes_ns, before, after),
    )


def _age_growth_ms(roads: Roads) -> float | None:
    ages = ages_ns(roads).get("result")
    if ages is None or len(ages) < _LEAST_AGES:
        return None
    third = len(ages) // 3
    return float(np.median(ages[-third:]) - np.median(ages[:third])) / NS_PER_MS


def _utilisation(
    rig: Rig, roads: Roads, pushes_ns: Mapping[str, list[int]], before: StepReading, after: StepReading
) -> dict[Resource, float]:
    elapsed_ns = max(1, after.at_ns - before.at_ns)
    cores = len(os.sched_getaffinity(0))
    found: dict[Resource, float] = {"cores": (after.process_ns - before.process_ns) / (elapsed_ns * cores)}
    found["producer"] = sum(
        statistics.median(taken) * rig.stream(name).rate_hz / NS_PER_S for name, taken in pushes_ns.items()
    )
    if before.matching_ns is not None and after.matching_ns is not None:
        found["matching"] = (after.matching_ns - before.matching_ns) / elapsed_ns
    run = roads.fields["engine"] != ABSENT
    if run.any():
        takes = take_durations_ns(roads)
        taken_ns = float(np.median((roads.fields["ready"] - roads.fields["taken"])[run]))
        taken_ns += float(np.median(takes)) if len(takes) >= _LEAST_TAKES else 0.0
        found["inference"] = taken_ns * rig.stream(rig.anchor).rate_hz / NS_PER_S
    return found
