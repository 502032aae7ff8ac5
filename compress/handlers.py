"""What each stage's config class runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edge.calibration.dataset import CalibrationSet
from edge.calibration.selection import mix_states
from edge.compress.distill import distill
from edge.compress.prune.importance import taylor_importance
from edge.compress.prune.slimming import apply as apply_plan
from edge.compress.prune.slimming import plan
from edge.compress.quantize.pt2e import quantize_static
from edge.compress.samples import mask_modalities
from edge.compress.stage import Artifact, DistillStage, PruneStage, QuantizeStage, apply_stage
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from edge.compress.stage import CompressionContext, StageConfig


@apply_stage.register
def _(config: DistillStage, artifact: Artifact, context: CompressionContext) -> Artifact:
    """The teacher is replaced by a student that learned from it."""
    torch.manual_seed(config.fit.seed)
    student = context.build_student()
    distill(
        student, context.teacher, context.train, context.task, config.distill, config.fit, context.on_step(config.name)
    )
    return Artifact(config.name, student)
