"""What each stage's config class runs."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

from edge.calibration.drawing import DrawConfig, SampleSource, draw_set
from edge.compress.distill.teaching import teach
from edge.compress.learning.progress import TRAINING_NOTE, training_summary
from edge.compress.parallel.collectives import spread
from edge.compress.prune.slimming import PruningPlan, apply, plan
from edge.compress.quantize.tracing import quiet
from edge.compress.samples import draw_present
from edge.compress.sparsify.masks import held_masks
from edge.compress.sparsify.sparsifying import sparsify
from edge.compress.stages.rivals import rival_judge
from edge.compress.stages.stage import Artifact, DistillStage, PruneStage, QuantizeStage, SparsifyStage, apply_stage
from edge.compress.tuning.record import TUNING_NOTE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn
    from torch.fx import GraphModule

    from edge.calibration.dataset import CalibrationSet
    from edge.compress.fitting import EpochReport, FitConfig
    from edge.compress.prune.importance import Losses
    from edge.compress.stages.stage import CompressionContext

LOSS_PARTS = "loss_parts"  # of the stage's record: what each part of the loss came to
TAYLOR_BATCHES = 8
CALIBRATION_BATCH = 16


@apply_stage.register(DistillStage)
def _(config: DistillStage, artifact: Artifact, context: CompressionContext) -> Artifact:
    """The teacher is replaced by a student that learned from it."""
    torch.manual_seed(config.fit.seed)
    student = context.build_student()
    with context.adapted(student):
        notes = teach_stage(student, config, context)
    return Artifact(config.name, student, notes=notes)


@apply_stage.register(PruneStage)
def _(config: PruneStage, artifact: Artifact, context: CompressionContext) -> Artifact:
    """Channels that matter least to the loss go; the teacher then teaches what is left."""

    def choose(_: None) -> dict[str, Any]:
        example, losses = context.example_inputs(2), taylor_losses(config.fit, context)
        judge = rival_judge(config, artifact.model, context) if config.prune.rivals else None
        found = plan(artifact.model, example, config.prune, losses=losses, estimate=context.estimate, judge=judge)
        return found.model_dump(mode="json", by_alias=True)

    chosen = PruningPlan.model_validate(spread([None], choose)[0])  # one rank's: clocks of several would disagree
    pruned = apply(artifact.model, chosen)
    notes = teach_stage(pruned, config, context)
    return Artifact(config.name, pruned, plan=chosen, notes=notes)


@apply_stage.register(SparsifyStage)
def _(config: SparsifyStage, artifact: Artifact, context: CompressionContext) -> Artifact:
    """Two of each four weights are zeroed; the teacher then teaches the others, and the zeros stay."""
    losses = taylor_losses(config.fit, context)
    sparse, masks, record = sparsify(artifact.model, context.example_inputs(2), config.sparsify, losses)
    with held_masks(sparse, masks):
        notes = teach_stage(sparse, config, context)
    return Artifact(config.name, sparse, artifact.plan, notes=notes, sparsity=record)


def teach_stage(
    student: nn.Module, config: DistillStage | PruneStage | SparsifyStage, context: CompressionContext
) -> dict[str, Any]:
    """What all three of these stages do: the recipe's teacher teaches, as the stage says; notes for its record."""
    reports: list[EpochReport] = []
    history = teach(
        student,
        context.teacher,
        context.train,
        context.task,
        config.distill,
        config.fit,
        context.on_step(config.name),
        augment=context.augment,
        validation=context.validation,
        on_epoch=reports.append,
    )
    stopping = config.fit.early_stopping
    ended = {} if stopping is None else {TRAINING_NOTE: training_summary(reports, stopping)}
    return {LOSS_PARTS: history.notes(), **ended}


def taylor_losses(fit: FitConfig, context: CompressionContext) -> Losses:
    """Losses of a few training batches in drawn modality states, for importance by Taylor expansion."""

    def losses(model: nn.Module) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(fit.seed)
        train = context.train
        for rows in train.batch_rows(fit.batch_size, generator)[:TAYLOR_BATCHES]:
            present = draw_present(len(rows), len(train.inputs), fit.modality_dropout, generator)
            yield context.task.loss(model(*train.masked(rows, present)), tuple(t[rows] for t in train.targets))

    return losses


@apply_stage.register(QuantizeStage)
def _(config: QuantizeStage, artifact: Artifact, context: CompressionContext) -> Artifact:
    """Scales are collected on training samples in every modality state; the model then computes in INT8."""
    with quiet():  # torchao logs what CUDA libraries it misses
        from edge.compress.quantize.pt2e import convert_static, prepare_static
        from edge.compress.sensitivity.stage_plans import planned_quantization

    calibration = draw_calibration_set(config, artifact.model, context)
    tensors = [torch.from_numpy(array) for array in calibration.tensors.values()]
    batches = list(zip(*(t.split(CALIBRATION_BATCH) for t in tensors), strict=True))
    model, example = artifact.model, context.example_inputs(2)
    planned = planned_quantization(
        config.plan, config.search, model, example, batches, config.quantize, context.task, context.validation
    )
    prepared = prepare_static(model, example, batches, planned.settings)
    notes = {**planned.notes, **_tuned(prepared, config, artifact, context)}
    quantized, sparsity = convert_static(prepared), artifact.sparsity
    return Artifact(config.name, quantized, artifact.plan, calibration.digest, planned.settings, notes, sparsity)


def _tuned(
    prepared: GraphModule, config: QuantizeStage, artifact: Artifact, context: CompressionContext
) -> dict[str, Any]:
    """Tunes a calibrated graph in place if the stage asks for it; what the stage's record notes of that."""
    if config.tune is None:
        return {}
    from edge.compress.tuning.tuned_graph import tune_prepared

    # A copy, for a teacher is frozen and laid out anew, and the stage before is to stay as it is.
    teacher = context.teacher if config.tune.teacher == "recipe" else copy.deepcopy(artifact.model)
    sparse = () if artifact.sparsity is None else tuple(f"{found.layer}.weight" for found in artifact.sparsity.layers)
    step = context.on_step(config.name)
    record, history = tune_prepared(prepared, teacher, context.train, context.task, config.tune, step, sparse)
    return {LOSS_PARTS: history.notes(), TUNING_NOTE: record.model_dump(mode="json")}


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
    arrays = {name: tensor.numpy() for name, tensor in zip(names, train.inputs, strict=True)}
    available = None if train.available is None else train.available.numpy()
    source = SampleSource(train.split, train.ids, arrays, available=available)
    if config.selection == "random":
        return draw_set(source, draw)
    from edge.compress.quantize.shared_ranges import SharedRangeFinder

    return draw_set(source, draw, SharedRangeFinder(model, context.example_inputs(2), config.quantize).by_sample)
