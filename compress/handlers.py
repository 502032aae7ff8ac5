"""What each stage's config class runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge.calibration.dataset import CalibrationSet
from edge.compress.distillation import distill
from edge.compress.prune.slimming import apply, plan
from edge.compress.quantize.tracing import quiet
from edge.compress.samples import draw_present, mask_modalities
from edge.compress.stage import Artifact, DistillStage, PruneStage, QuantizeStage, apply_stage
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from edge.compress.stage import CompressionContext

TAYLOR_BATCHES = 8
CALIBRATION_BATCH = 16
CALIBRATION_DROPOUT = 0.3  # so that the placeholders' ranges are seen as well


@apply_stage.register(DistillStage)
def _(config: DistillStage, artifact: Artifact, context: CompressionContext) -> Artifact:
    """The teacher is replaced by a student that learned from it."""
    torch.manual_seed(config.fit.seed)
    student = context.build_student()
    step = context.on_step(config.name)
    distill(student, context.teacher, context.train, context.task, config.distill, config.fit, step)
    return Artifact(config.name, student)


@apply_stage.register(PruneStage)
def _(config: PruneStage, artifact: Artifact, context: CompressionContext) -> Artifact:
    """Channels that matter least to the loss go; the teacher then teaches what is left."""

    def losses(model: nn.Module) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(config.fit.seed)
        batches = context.train.batches(config.fit.batch_size, generator)
        for _batch, (inputs, targets) in zip(range(TAYLOR_BATCHES), batches, strict=False):
            present = draw_present(len(inputs[0]), len(inputs), config.fit.modality_dropout, generator)
            yield context.task.loss(model(*mask_modalities(inputs, present)), targets)

    chosen = plan(artifact.model, context.example_inputs(2), config.prune, losses=losses)
    pruned = apply(artifact.model, chosen)
    step = context.on_step(config.name)
    distill(pruned, context.teacher, context.train, context.task, config.distill, config.fit, step)
    return Artifact(config.name, pruned, plan=chosen)


@apply_stage.register(QuantizeStage)
def _(config: QuantizeStage, artifact: Artifact, context: CompressionContext) -> Artifact:
    """Scales are collected on training samples in every modality state; the model then computes in INT8."""
    with quiet():  # torchao logs what CUDA libraries it misses
        from edge.compress.quantize.pt2e import quantize_static

    calibration = draw_calibration_set(config, context)
    tensors = [torch.from_numpy(array) for array in calibration.tensors.values()]
    batches = zip(*(t.split(CALIBRATION_BATCH) for t in tensors), strict=True)
    quantized = quantize_static(artifact.model, context.example_inputs(2), batches, config.quantize)
    return Artifact(config.name, quantized, artifact.plan, calibration.digest)


def draw_calibration_set(config: QuantizeStage, context: CompressionContext) -> CalibrationSet:
    """Draws samples of the training split without replacement, some of them with modalities missing.

    Raises:
        ConfigError: More samples are asked for than the split has.
        DataError: The samples are of another split, or not finite.
    """
    if config.samples > len(context.train):
        raise ConfigError(
            f"{config.samples} calibration samples are asked for, the train split has {len(context.train)}",
            "lower `samples` or add data",
        )
    generator = torch.Generator().manual_seed(config.seed)
    chosen = torch.randperm(len(context.train), generator=generator)[: config.samples].tolist()
    drawn = context.train.subset(chosen)
    present = draw_present(len(drawn), len(drawn.inputs), CALIBRATION_DROPOUT, generator)
    inputs = mask_modalities(drawn.inputs, present)
    names = (*context.task.modalities, "present")
    return CalibrationSet.from_samples(
        drawn.ids, [drawn.split] * len(drawn), {n: t.numpy() for n, t in zip(names, inputs, strict=True)}
    )
