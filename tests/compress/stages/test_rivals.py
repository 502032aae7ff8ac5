"""Plans of one latency are judged after the same short training, on recordings that none of them learned from."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from edge.compress.distill.config import DistillConfig
from edge.compress.fitting import FitConfig
from edge.compress.prune.config import LatencyTarget, PruneConfig, RivalConfig
from edge.compress.prune.plan import PruningPlan
from edge.compress.prune.slimming import plan
from edge.compress.samples import SampleSet
from edge.compress.stages.rivals import rival_judge
from edge.compress.stages.stage import CompressionContext, PruneStage
from edge.runtime.errors import DataError
from tests.compress.distill.small_models import ClassTask, Small, two_classes

STAGE = PruneStage(
    prune=PruneConfig(latency=LatencyTarget(ratio=0.5), rivals=RivalConfig(samples=48, held_back=0.25)),
    distill=DistillConfig(features=0),
    fit=FitConfig(epochs=3, batch_size=16, learning_rate=0.02, precision="float32", modality_dropout=0.0),
)


def context(teacher: torch.nn.Module, train: SampleSet) -> CompressionContext:
    task: Any = ClassTask()
    return CompressionContext(task, train, teacher, lambda: teacher)


def plan_of(model: torch.nn.Module, ratio: float) -> PruningPlan:
    inputs = (two_classes().inputs[0][:2], torch.ones(2, 1))
    return plan(model, inputs, PruneConfig(ratio=ratio, importance="norm", align=1, minimum=1))


def test_a_plan_that_cuts_nearly_all_loses_more_and_nothing_else_changes() -> None:
    torch.manual_seed(3)
    model, teacher = Small(8).eval(), Small(8).eval()
    before = copy.deepcopy(model.state_dict())
    judge = rival_judge(STAGE, model, context(teacher, two_classes()))
    mild, harsh = plan_of(model, 0.25), plan_of(model, 0.8)
    losses = judge(mild), judge(harsh)
    assert losses[0] < losses[1]
    assert judge(mild) == losses[0], "the same plan is trained and judged alike again"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_rivals_learn_from_some_samples_and_are_judged_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[SampleSet] = []
    monkeypatch.setattr("edge.compress.stages.rivals.teach", lambda *given, **_: seen.append(given[2]))
    judged: list[SampleSet] = []

    class Noted:
        def __init__(self, _teacher: Any, data: SampleSet, *_: Any) -> None:
            judged.append(data)

        def parts(self, _model: Any) -> dict[str, float]:
            return {"labels": 1.0, "logits": 0.5}

    monkeypatch.setattr("edge.compress.stages.rivals.HeldBackLoss", Noted)
    model, data = Small(8).eval(), two_classes()
    assert rival_judge(STAGE, model, context(model, data))(plan_of(model, 0.25)) == 1.5
    assert len(seen[0]) == 48
    assert not set(seen[0].ids) & set(judged[0].ids)


def test_one_training_sample_is_too_few() -> None:
    model = Small(8).eval()
    with pytest.raises(DataError, match="one training sample"):
        rival_judge(STAGE, model, context(model, two_classes().subset([0])))
