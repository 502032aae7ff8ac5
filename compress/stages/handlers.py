"""What each stage's config class runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from edge.calibration.drawing import DrawConfig, SampleSource, draw_set
from edge.compress.distill.teaching import teach
from edge.compress.parallel.collectives import spread
from edge.compress.prune.slimming import PruningPlan, apply, plan
from edge.compress.quantize.tracing import quiet
from edge.compress.samples import draw_present, mask_modalities
from edge.compress.stages.stage import Artifact, DistillStage, PruneStage, QuantizeStage, apply_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from edge.calibration.dataset import CalibrationSet
    from edge.compress.stages.stage import CompressionContext

LOSS_PARTS = "loss_parts"  # of the stage's record: what each part of the loss came to
TAYLOR_BATCHES = 8
CALIBRATION_BATCH = 16


@apply_stage.register(DistillStage)
def _(config: DistillStage, artifact: Artifact, context: CompressionContext) -> Artifact:
    """The teacher is replaced by a student that learned from it."""
    torch.manual_seed(config.fit.seed)
    student = context.build_student()
    step = context.on_step(config.name)
    history = teach(student, context.teacher, context.train, context.task, config.distill, config.fit, step)
    return Artifact(config.name, student, notes={LOSS_PARTS: history.notes()})


@apply_stage.register(PruneStage)
def _(config: PruneStage, artifact: Artifact, context: CompressionContext) -> Artifact:
    """Channels that matter least to the loss go; the teacher then teaches what is left."""

    def losses(model: nn.Module) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(config.fit.seed)
        batches = context.train.batches(config.fit.batch_size, generator)
        for _batch, (inputs, targets) in zip(range(TAYLOR_BATCHES), batches, strict=False):
            present = draw_present(len(inputs[0]), len(inputs), config.fit.modality_dropout, generator)
            yield context.task.loss(model(*mask_modalities(inputs, present)), targets)

    def choose(_: None) -> dict[str, Any]:
        example = context.example_inputs(2)
        found = plan(artifact.model, example, config.prune, losses=losses, estimate=context.estimate)
        return found.model_dump(mode="json", by_alias=True)

    chosen = PruningPlan.model_validate(spread([None], choose)[0])  # one rank's: clocks of several would disagree
    pruned = apply(artifact.model, chosen)
    step = context.on_step(config.name)
    history = teach(pruned, context.teacher, context.train, context.task, config.distill, config.fit, step)
    return Artifact(config.name, pruned, plan=chosen, notes={LOSS_PARTS: history.notes()})


@apply_stage.register(QuantizeStage)
def _(config: QuantizeStage, artifact: Artifact, context: CompressionContext) -> Artifact:
    """Scales are collected on training samples in every modality state; the model then computes in INT8."""
    with quiet():  # torchao logs what CUDA libraries it misses
        from edge.compress.quantize.pt2e import quantize_static
        from edge.compress.sensitivity.stage_plans import planned_quantization

    calibration = draw_calibration_set(config, artifact.model, context)
    tensors = [torch.from_numpy(array) for array in calibration.tensors.values()]
    batches = list(zip(*(t.split(CALIBRATION_BATCH) for t in tensors), strict=True))
    model, example = artifact.model, context.example_inputs(2)
    planned = planned_quantization(
        config.plan, config.search, model, example, batches, config.quantize, context.task, context.validation
    )
    quantized = quantize_static(model, example, batches, planned.settings)
    return Artifact(config.name, quantized, artifact.plan, calibration.digest, planned.settings, planned.notes)


def draw_calibration_set(config: QuantizeStage, model: nn.Module, context: CompressionContext) -> CalibrationSet:
    """Draws samples of the training split, in every modality state.

    Args:
        config: How many, and how they are chosen.
        model: The one to be quantized; the selection `ranges` looks at its activations.
        context: Training split and task.

    Raises:
        ConfigError: More samples are asked for than the split has.
        DataError: The samples are of another split, or not finite.
    """
    draw = DrawConfig(samples=config.samples, selection=config.selection, complete=config.complete, seed=config.seed)
    train = context.train
    names = context.task.modalities
    source = SampleSource(train.split, train.ids, {n: t.numpy() for n, t in zip(names, train.inputs, strict=True)})
    if config.selection == "random":
        return draw_set(source, draw)
    from edge.compress.quantize.activation_ranges import RangeFinder

    return draw_set(source, draw, RangeFinder(model, context.example_inputs(2), config.quantize).by_sample)
