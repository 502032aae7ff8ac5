"""Evaluation: each state shows the model what the state has, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch import Tensor

from edge.compress.samples import SampleSet
from edge.compress.scoring.evaluation import evaluate, evaluate_by_recording, measurable_states
from edge.compress.scoring.task import Task
from edge.runtime.errors import ConfigError, DataError
from edge.runtime.states import all_states
from edge.training.metrics import AccuracyMetric

MODALITIES = ("camera", "lidar", "audio")
TASK = cast("Task", SimpleNamespace(modalities=MODALITIES, output_kinds=("categorical",), metric=AccuracyMetric))


def samples(count: int = 10) -> SampleSet:
    """Input m holds m + 1 everywhere; the class is 0."""
    ids = tuple(str(i) for i in range(count))
    inputs = tuple(torch.full((count, 1, 2, 2), m + 1.0) for m in range(3))
    return SampleSet("validation", ids, ids, inputs, (torch.zeros(count, dtype=torch.long),))


def test_absent_modalities_are_zeroed_and_marked() -> None:
    calls: dict[tuple[float, ...], set[tuple[float, ...]]] = {}

    def run(*tensors: Tensor) -> Sequence[Tensor]:
        *inputs, present = tensors
        rows = torch.stack([x.flatten(1).mean(1) for x in inputs], dim=1)
        calls.setdefault(tuple(present[0].tolist()), set()).update(tuple(r) for r in rows.tolist())
        return [torch.zeros(len(present), 2)]

    states = evaluate(run, samples(), TASK, batch_size=4)
    assert set(states) == {
        "all", "no_camera", "no_lidar", "no_audio", "only_camera", "only_lidar", "only_audio",
    }  # fmt: skip
    assert len(calls) == 7
    for present, shown in calls.items():
        assert shown == {tuple(p * (m + 1.0) for m, p in enumerate(present))}


def test_scores_are_of_the_state_they_stand_under() -> None:
    def run(*tensors: Tensor) -> Sequence[Tensor]:
        """Right where lidar is there."""
        lidar = tensors[-1][:, 1]
        return [torch.stack([lidar, 1 - lidar], dim=1)]

    metrics = evaluate(run, samples(), TASK, ["all", "no_lidar", "only_lidar", "only_audio"])
    assert {state: m["score"] for state, m in metrics.items()} == {
        "all": 100.0, "no_lidar": 0.0, "only_lidar": 100.0, "only_audio": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_every_sample_counts_once_whatever_the_batch(batch_size: int) -> None:
    counted, steps = [], []

    def run(*tensors: Tensor) -> Sequence[Tensor]:
        counted.append(len(tensors[0]))
        return [torch.zeros(len(tensors[0]), 2)]

    evaluate(run, samples(), TASK, ["all"], batch_size, lambda: steps.append(1))
    assert sum(counted) == 10
    assert max(counted) <= batch_size
    assert len(steps) == 1


def test_an_unknown_state_is_refused() -> None:
    with pytest.raises(ConfigError, match="no_radar"):
        evaluate(lambda *_t: [], samples(), TASK, ["all", "no_radar"])


def partly(available: list[list[float]]) -> SampleSet:
    """Samples that lack what they lack, zeros in their inputs; two a recording."""
    full, has = samples(len(available)), torch.tensor(available)
    inputs = tuple(x * has[:, m].reshape(-1, 1, 1, 1) for m, x in enumerate(full.inputs))
    recordings = tuple(f"r{i // 2}" for i in range(len(available)))
    return SampleSet("validation", full.ids, recordings, inputs, full.targets, has)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_a_state_is_scored_on_the_samples_that_have_any_of_it(batch_size: int) -> None:
    seen: dict[tuple[float, ...], int] = {}

    def run(*tensors: Tensor) -> Sequence[Tensor]:
        """Right where lidar is there."""
        *inputs, present = tensors
        for m, x in enumerate(inputs):
            assert torch.equal(x.flatten(1).mean(1), present[:, m] * (m + 1.0))
        for row in present.tolist():
            seen[tuple(row)] = seen.get(tuple(row), 0) + 1
        return [torch.stack([present[:, 1], 1 - present[:, 1]], dim=1)]

    data = partly([[1, 1, 1], [1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1]])
    assert evaluate(run, data, TASK, ["all"], batch_size)["all"]["score"] == pytest.approx(40)
    assert seen == {(1, 1, 1): 1, (1, 0, 0): 1, (0, 1, 0): 1, (1, 0, 1): 1, (0, 0, 1): 1}
    seen.clear()
    assert evaluate(run, data, TASK, ["no_audio"], batch_size)["no_audio"]["score"] == pytest.approx(50)
    assert seen == {(1, 1, 0): 1, (1, 0, 0): 2, (0, 1, 0): 1}, "the last sample has neither camera nor lidar"
    found = evaluate_by_recording(run, data, TASK, ["only_lidar"], batch_size)
    assert found.metrics["only_lidar"]["score"] == 100
    assert found.counts is not None
    assert found.counts.by_state["only_lidar"].tolist() == [[1, 1], [1, 1], [0, 0]], "recordings stay in their places"


def test_a_state_that_no_sample_has_anything_of_is_not_scored(caplog: pytest.LogCaptureFixture) -> None:
    data = partly([[1, 0, 1], [1, 0, 0]])

    def run(*tensors: Tensor) -> Sequence[Tensor]:
        return [torch.zeros(len(tensors[0]), 2)]

    assert "only_lidar" not in evaluate(run, data, TASK)
    assert "the 'validation' split has no sample for only_lidar: not scored" in caplog.text
    assert set(measurable_states(data, MODALITIES)) == {*all_states(MODALITIES)} - {"only_lidar"}
    with pytest.raises(DataError, match="no sample of the 'validation' split has anything of the state 'only_lidar'"):
        evaluate(run, data, TASK, ["only_lidar"])
