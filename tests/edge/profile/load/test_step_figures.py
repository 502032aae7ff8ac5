"""From roads and counters that are known to a step's figures."""

from __future__ import annotations

import os

import numpy as np
import pytest

from edge.profile.load.contents import StepFigures
from edge.profile.load.step_figures import StepReading, figures_of_step
from edge.runtime.simulate.rig import street_rig
from edge.runtime.trace.road_recorder import ABSENT, FIELDS, Roads

MS, S = 1_000_000, 1_000_000_000
N = 30


def roads(model_ms: float = 20.0, age_step_ms: float = 0.0) -> Roads:
    """Results at 10 Hz: matched 2 ms after the last arrival, taken 1 ms later, the model `model_ms`."""
    arrived = S + np.arange(N, dtype=np.int64) * 100 * MS
    fields = dict.fromkeys(FIELDS, np.full(N, ABSENT))
    fields["number"] = np.arange(N, dtype=np.int64)
    fields["last_arrival"] = arrived
    fields["emitted"], fields["taken"] = arrived + 2 * MS, arrived + 3 * MS
    fields["ready"] = fields["taken"] + round(model_ms * MS)
    fields["preprocess"] = np.full(N, 2 * MS)
    fields["engine"] = np.full(N, round((model_ms - 3) * MS))
    fields["decode"] = np.full(N, MS)
    stamps = (arrived - 80 * MS - np.arange(N) * round(age_step_ms * MS))[:, None]
    return Roads(("lidar",), fields, stamps, arrived[:, None], 0)


def reading(at_s: float, matching_ns: int | None, process_ns: int, misses: int = 1, **counts: int) -> StepReading:
    named = {name.replace("__", ":"): n for name, n in counts.items()}
    return StepReading(round(at_s * S), matching_ns, process_ns, misses, named)


BEFORE = reading(1.0, 7 * MS, 100 * MS, 1, set__overrun=2, lidar__ring_full=1)
PUSHES = {"lidar": [MS, MS, 50 * MS], "camera": [2 * MS] * 3}


def figures(kept: Roads, after: StepReading, before: StepReading = BEFORE) -> StepFigures:
    return figures_of_step(1.0, street_rig(), kept, PUSHES, 9.9, (before, after))


def test_counts_are_those_between_the_readings() -> None:
    after = reading(4.0, 37 * MS, 700 * MS, 4, set__overrun=7, lidar__ring_full=3, camera__no_frame=4, lidar__late=9)
    found = figures(roads(), after)
    assert (found.sets, found.overruns, found.deadline_misses, found.starved, found.untrue) == (N + 5, 5, 3, 6, 0)
    assert found.asked_hz == 10 and found.delivered_hz == 9.9 and found.results_hz == pytest.approx(10)
    assert found.latency_ms.p50 == pytest.approx(23) and found.age_growth_ms == pytest.approx(0)
    assert found.stages_ms == pytest.approx(
        {"arrival": 80, "sync_wait": 2, "queue": 1, "preprocess": 2, "engine": 17, "decode": 1}
    )


def test_how_full_each_resource_is() -> None:
    found = figures(roads(), reading(4.0, 37 * MS, 700 * MS))
    cores = len(os.sched_getaffinity(0))
    assert found.utilisation == pytest.approx(
        {
            "inference": 0.2,  # 20 ms at 10 Hz
            "producer": 0.001 * 10 + 0.002 * 29.97,  # medians: one slow push is a stall, not the rate
            "matching": 0.03 / 3,
            "cores": 0.6 / 3 / cores,
        }
    )


def test_what_the_system_does_not_tell_is_absent() -> None:
    found = figures(roads(), reading(4.0, None, 700 * MS))
    assert "matching" not in found.utilisation


def test_where_sets_wait_for_the_thread_its_own_work_counts_too() -> None:
    kept = roads(model_ms=95.0)
    late = kept.fields["ready"][:-1] + 4 * MS  # each set taken 4 ms after the result before it
    kept.fields["emitted"][1:] = kept.fields["ready"][:-1] - MS
    kept.fields["taken"][1:] = late
    kept.fields["ready"][1:] = late + 95 * MS
    kept.fields["emitted"][1:] = np.minimum(kept.fields["emitted"][1:], kept.fields["ready"][:-1])
    found = figures(kept, reading(4.0, 37 * MS, 700 * MS))
    assert found.stages_ms["take"] > 0
    assert found.utilisation["inference"] == pytest.approx(0.95 + found.stages_ms["take"] / 100)


def test_ages_that_grow_are_told() -> None:
    found = figures(roads(age_step_ms=3.0), reading(4.0, 37 * MS, 700 * MS))
    assert found.age_growth_ms == pytest.approx(3.0 * 20)  # from the middle of the first third to that of the last


def test_blind_and_predicted_results_are_not_true() -> None:
    kept = roads()
    kept.fields["engine"][3:5] = ABSENT
    kept.fields["last_arrival"][[4, 9]] = ABSENT
    assert figures(kept, reading(4.0, 37 * MS, 700 * MS)).untrue == 3


def test_a_step_without_a_result_says_so() -> None:
    empty = Roads(
        ("lidar",), dict.fromkeys(FIELDS, np.empty(0, np.int64)), np.empty((0, 1), np.int64), np.empty((0, 1), int), 0
    )
    found = figures(empty, reading(4.0, 37 * MS, 700 * MS))
    assert found.sets == 0 and found.results_hz is None and found.age_growth_ms is None
    assert found.stages_ms == {} and found.latency_ms.n == 0 and "inference" not in found.utilisation
