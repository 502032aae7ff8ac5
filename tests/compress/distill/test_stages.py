"""Stages that distil: their artifacts say what each part of the loss came to."""

from __future__ import annotations

import pytest
import torch

import edge.compress.stages.handlers  # noqa: F401  (registers what each stage runs)
from edge.compress.distill.config import DistillConfig
from edge.compress.fitting import FitConfig
from edge.compress.prune.slimming import PruneConfig
from edge.compress.stages.stage import Artifact, CompressionContext, DistillStage, PruneStage, StageConfig, apply_stage
from tests.compress.distill.small_models import ClassTask, Small, two_classes

FIT = FitConfig(epochs=2, batch_size=16, precision="float32")
TEACHING = DistillConfig(feature_points=("early",))
STAGES = (
    DistillStage(distill=TEACHING, fit=FIT),
    PruneStage(prune=PruneConfig(ratio=0.5, align=2), distill=TEACHING, fit=FIT),
)


@pytest.mark.parametrize("config", STAGES, ids=lambda config: config.name)
def test_a_stages_notes_hold_the_parts_of_the_first_and_the_last_epoch(config: StageConfig) -> None:
    torch.manual_seed(0)
    context = CompressionContext(ClassTask(), two_classes(), Small(8).eval(), lambda: Small(4))
    made = apply_stage(config, Artifact("before", Small(8).eval()), context)
    parts = made.notes["loss_parts"]
    assert set(parts) == {"first_epoch", "last_epoch"}
    assert list(parts["last_epoch"]) == ["labels", "logits", "features early"]
    assert parts["last_epoch"] != parts["first_epoch"]
