"""Evaluation: each state shows the model what the state has, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch import Tensor

from edge.compress.samples import SampleSet
from edge.compress.scoring.evaluation import evaluate
from edge.compress.scoring.task import Task
from edge.runtime.errors import ConfigError
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
