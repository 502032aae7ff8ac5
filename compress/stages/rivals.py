"""Judges plans of equal latency by what each loses after a short training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge.compress.distill.held_back import HeldBackLoss, divide_split
from edge.compress.distill.teaching import teach
from edge.compress.parallel.ranks import working_alone
from edge.compress.prune.plan import apply

if TYPE_CHECKING:
    from torch import nn

    from edge.compress.prune.latency_plan import Judge
    from edge.compress.prune.plan import PruningPlan
    from edge.compress.samples import SampleSet
    from edge.compress.stages.stage import CompressionContext, PruneStage


def rival_judge(config: PruneStage, model: nn.Module, context: CompressionContext) -> Judge:
    """What the model loses, pruned by a plan and taught once from some training samples, on others.

    All plans are taught by the same batches at the stage's own pace. The process does this by itself, whatever others
    it works with.

    Args:
        config: With rivals.
        model: Not pruned yet.
        context: Teacher, task, training split.

    Raises:
        DataError: The training split has one sample, or what rivals learn from fills no batch.
    """
    rivals = config.prune.rivals
    assert rivals is not None
    divided = divide_split(context.train, rivals.held_back, config.fit.seed)
    learning = _drawn(divided.learning, rivals.samples, config.fit.seed)
    fit_config = config.fit.model_copy(update={"epochs": 1, "early_stopping": None, "log_dir": None})
    loss = HeldBackLoss(context.teacher, divided.judging, context.task, config.distill, fit_config)

    def judge(plan: PruningPlan) -> float:
        pruned = apply(model, plan)
        with working_alone():
            teach(pruned, context.teacher, learning, context.task, config.distill, fit_config, augment=context.augment)
        return sum(loss.parts(pruned).values())

    return judge


def _drawn(data: SampleSet, samples: int, seed: int) -> SampleSet:
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    return data.subset(sorted(order[:samples].tolist()))
