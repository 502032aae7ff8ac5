"""Metrics by class skip the states that a split has no sample for, as scores do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edge.compress.samples import SampleSet
from edge.compress.scoring.evaluation import evaluate
from edge.runtime.model_io import ModelIO
from edge.training.detailed_metrics import detail_metrics
from edge.training.fusion_task import FusionTask


def test_both_tell_of_the_same_states() -> None:
    pytest.importorskip("sklearn")
    table = {"feature": "tensor", "shape": [1, 1], "fields": ["x"], "mean": [0], "std": [1]}
    io = ModelIO.model_validate(
        {
            "schema": 1,
            "inputs": [{**table, "tensor": name, "stream": name} for name in ("a", "b")],
            "outputs": [{"decoder": "softmax", "tensor": "state", "classes": ["no", "yes"]}],
        }
    )
    ids = ("0", "1", "2", "3")
    answers = torch.tensor([0, 1, 0, 1])
    has = torch.tensor([[1.0, 0.0]] * 4)
    data = SampleSet("test", ids, ids, (answers.float()[:, None], torch.zeros(4, 1)), (answers,), has)

    def run(first: Tensor, _second: Tensor, _present: Tensor) -> list[Tensor]:
        return [torch.cat([0.5 - first, first - 0.5], 1)]

    task = FusionTask(io)
    assert list(detail_metrics(run, data, task).states) == list(evaluate(run, data, task)) == ["all", "only_a"]
