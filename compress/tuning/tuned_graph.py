"""Trains a calibrated graph through its rounding, and keeps what came of it only where that is better."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import torch

from edge.compress.distill.held_back import HeldBackLoss, divide_split
from edge.compress.distill.teaching import teach
from edge.compress.fitting import set_layout
from edge.compress.parallel.collectives import gather_values
from edge.compress.sparsify.masks import held_masks
from edge.compress.tuning.record import TuningRecord
from edge.compress.tuning.training_graph import TrainingGraph
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import nn
    from torch.fx import GraphModule

    from edge.compress.distill.held_back import DividedSplit
    from edge.compress.distill.history import LossHistory
    from edge.compress.fitting import OnStep
    from edge.compress.samples import SampleSet
    from edge.compress.scoring.task import Task
    from edge.compress.tuning.config import TuneConfig

logger = logging.getLogger(__name__)


def tune_prepared(
    prepared: GraphModule,
    teacher: nn.Module,
    data: SampleSet,
    task: Task,
    config: TuneConfig,
    on_step: OnStep | None = None,
    sparse: Collection[str] = (),
) -> tuple[TuningRecord, LossHistory]:
    """Tunes a prepared and calibrated graph, in place, before `convert_pt2e`.

    Its loss on held-back training samples, before and after, decides; where it did not fall, the graph has its
    calibrated weights and scales again. Under `joined_ranks()` all ranks tune one model, as `fit` says.

    Args:
        prepared: By `edge.compress.quantize.pt2e.prepare_static`; takes positional tensors, `present` last.
        teacher: The same inputs and outputs.
        data: The training split.
        task: Its loss, and how outputs are read.
        config: How.
        on_step: For progress bars.
        sparse: Paths of weights whose zeros stay.

    Returns:
        What was kept and why, and what each part of the loss came to in each epoch.

    Raises:
        DataError: The data is not a training split, or what is left of it fills no batch.
        ModelError: The loss became NaN or infinite; the message names the step.
    """
    divided = divide_split(data, config.held_back, config.fit.seed)
    model = TrainingGraph(prepared, learn_scales=config.scales == "learned")
    set_layout(teacher.eval(), torch.channels_last)  # as `teach` does: both losses are of one teacher, to the bit
    loss = HeldBackLoss(teacher, divided.judging, task, config.distill.whole, config.fit)
    untuned, start = loss.parts(model), model.state()
    try:
        with held_masks(prepared, model.masks(sparse)):
            history = teach(model, teacher, divided.learning, task, config.distill.whole, config.fit, on_step)
    except ModelError as error:
        raise ModelError(f"tuning the INT8 model: {error.problem}", f"in `tune.fit`, {error.remedy}") from error
    # The first rank's: ranks whose roundings differ could keep different models.
    record = _judged(divided, *gather_values([untuned, loss.parts(model)])[0])
    if record.kept == "untuned":
        model.restore(start)
    model.finish()
    return record, history


def _judged(divided: DividedSplit, untuned: dict[str, float], tuned: dict[str, float]) -> TuningRecord:
    """The tuned model is kept where its loss is lower; a NaN is not."""
    before, after = sum(untuned.values()), sum(tuned.values())
    better = after < before
    text = "tuning: loss %.4g -> %.4g on %d samples held back, the %s model is kept"
    kept: Literal["tuned", "untuned"] = "tuned" if better else "untuned"
    logger.log(logging.INFO if better else logging.WARNING, text, before, after, len(divided.judging), kept)
    return TuningRecord(
        held_back=len(divided.judging),
        by_recording=divided.by_recording,
        untuned=untuned,
        tuned=tuned,
        kept=kept,
    )
