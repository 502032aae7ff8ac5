"""Distillation: a student learns from the labels, from a teacher's outputs, and from its features."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from torch.nn import functional

from edge.compress.fitting import FitConfig, OnStep, fit, set_layout
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from edge.compress.samples import SampleSet
    from edge.compress.task import OutputKind, Task


class DistillConfig(BaseModel):
    """How much of what the student imitates.

    Attributes:
        labels: Weight of the task's own loss.
        logits: Weight of the imitation of the teacher's outputs.
        features: Weight of the imitation of its features.
        feature_points: Module names, present in both models, whose outputs are compared; a 1x1 projector
            bridges differing widths (FitNets, Romero et al. 2015).
        temperature: Softens categorical outputs; the loss carries its square, so that gradients keep
            their size (Hinton et al. 2015, section 2).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: float = Field(1.0, ge=0)
    logits: float = Field(1.0, ge=0)
    features: float = Field(0.5, ge=0)
    feature_points: tuple[str, ...] = ("fusion",)
    temperature: float = Field(2.0, gt=0)


def distill(
    student: nn.Module,
    teacher: nn.Module,
    data: SampleSet,
    task: Task,
    config: DistillConfig,
    fit_config: FitConfig,
    on_step: OnStep | None = None,
) -> nn.Module:
    """Trains `student` in place against `teacher`, both seeing the same modality dropout.

    Raises:
        ConfigError: A feature point is missing in one of the models, or its outputs cannot be compared.
    """
    set_layout(teacher.eval().requires_grad_(False), torch.channels_last)
    points = config.feature_points if config.features > 0 else ()
    with _captured(student, points) as student_features, _captured(teacher, points) as teacher_features:
        _run_once((student, teacher), data)
        projectors = _projectors(points, student_features, teacher_features)
        trained = nn.ModuleDict({"student": student, "projectors": projectors})

        def objective(inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
            assert not teacher.training, "the teacher's batch statistics must not move"
            with torch.no_grad():
                wanted = teacher(*inputs)
            outputs = student(*inputs)
            loss = config.labels * task.loss(outputs, targets)
            loss = loss + config.logits * imitation_loss(outputs, wanted, task.output_kinds, config.temperature)
            for name, projector in zip(points, projectors, strict=True):
                loss = loss + config.features * _feature_loss(projector(student_features[name]), teacher_features[name])
            return loss

        fit(trained, data, objective, fit_config, on_step)
    return student.eval()


def imitation_loss(
    outputs: Sequence[Tensor], wanted: Sequence[Tensor], kinds: Sequence[OutputKind], temperature: float
) -> Tensor:
    """Divergence of a student's outputs from a teacher's, averaged over outputs.

    Categorical outputs compare softened distributions over dim 1, weighted by how much the teacher sees there
    (1 minus its probability of class 0 on maps, so that empty background does not drown objects).
    """
    losses = [
        _imitate(o.float(), w.float(), kind, temperature) for o, w, kind in zip(outputs, wanted, kinds, strict=True)
    ]
    return torch.stack(losses).mean()


def _imitate(output: Tensor, wanted: Tensor, kind: OutputKind, temperature: float) -> Tensor:
    if kind == "regression":
        return functional.smooth_l1_loss(output, wanted)
    if kind == "multilabel":
        return functional.binary_cross_entropy_with_logits(output, wanted.sigmoid())
    soft = functional.softmax(wanted / temperature, dim=1)
    divergence = functional.kl_div(functional.log_softmax(output / temperature, dim=1), soft, reduction="none").sum(1)
    if output.dim() == 2:
        return divergence.mean() * temperature**2
    weight = 0.1 + 1.0 - functional.softmax(wanted, dim=1)[:, 0]
    return (divergence * weight).sum() / weight.sum() * temperature**2


def _feature_loss(projected: Tensor, wanted: Tensor) -> Tensor:
    """Distance of maps normalised per position over channels, as attention transfer does."""
    return functional.mse_loss(
        functional.normalize(projected.float(), dim=1),
        functional.normalize(wanted.float(), dim=1),
        reduction="sum",
    ) / (wanted.numel() / wanted.shape[1])


@contextmanager
def _captured(model: nn.Module, points: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Output of each named module at its last call."""
    modules = dict(model.named_modules())
    missing = [p for p in points if p not in modules]
    if missing:
        raise ConfigError(
            f"feature points {missing} are no modules of {type(model).__name__}",
            "name modules that teacher and student both have, or set features: 0",
        )
    captured: dict[str, Tensor] = {}
    handles = [
        modules[p].register_forward_hook(lambda _m, _i, output, name=p: captured.__setitem__(name, output))
        for p in points
    ]
    try:
        yield captured
    finally:
        for handle in handles:
            handle.remove()


def _run_once(models: Sequence[nn.Module], data: SampleSet) -> None:
    example = [t[:2] for t in data.inputs]
    example.append(torch.ones(len(example[0]), len(example)))
    with torch.no_grad():
        for model in models:
            model.eval()(*example)


def _projectors(points: Sequence[str], student: dict[str, Tensor], teacher: dict[str, Tensor]) -> nn.ModuleList:
    """One per point, in the order of `points`."""
    for point in points:
        shapes = [tuple(features[point].shape) for features in (student, teacher)]
        if len(shapes[0]) != 4 or shapes[0][2:] != shapes[1][2:]:
            raise ConfigError(
                f"feature point '{point}' gives {shapes[0]} in the student and {shapes[1]} in the teacher",
                "name modules whose outputs are maps [B, C, h, w] of one size in both",
            )
    return nn.ModuleList(nn.Conv2d(student[p].shape[1], teacher[p].shape[1], 1) for p in points)
