"""Integrated gradients: which pixels, cells, fields and words an answer rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edge.compress.samples import mask_modalities
from edge.explain.answered_figure import AnsweredFigure
from edge.runtime.capabilities import require_module

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from edge.compress.samples import SampleSet
    from edge.explain.config import GradientConfig
    from edge.models.fusion_model import FusionModel
    from edge.runtime.model_io import ModelIO

_ROWS = 8  # forward passes at once: samples times steps are many
_TINY = 1e-3  # logits; a smaller change of the answer has no causes to share


@dataclass(frozen=True, eq=False)
class SampleAttribution:
    """One sample.

    Attributes:
        row: In the split.
        parts: Of each modality what its tensor's elements add to the answer's logit, shaped like the tensor; of a text
            `[length]`, a number a token.
        change: Logit of the answer minus that of the baseline, which the parts add up to.
        steps: Of the integral.
        off: What the parts miss of `change`, as a share of it.
    """

    row: int
    parts: tuple[Tensor, ...]
    change: float
    steps: int
    off: float


def attribute_samples(
    model: FusionModel,
    model_io: ModelIO,
    data: SampleSet,
    rows: Sequence[int],
    config: GradientConfig,
    on_step: Callable[[int], None] = lambda _done: None,
) -> list[SampleAttribution]:
    """Integrates gradients from the baseline, zeros, to each sample (Sundararajan, Taly and Yan 2017), by captum.

    `present` is the sample's own all along: the baseline is a sensor that shows the mean, not one that is absent.
    Attributions must add up to the change of the answer; where they miss it by more than the tolerance, that sample is
    done again with twice the steps, up to the most that are allowed, and the last miss is told.

    Args:
        model: In eval mode.
        model_io: Its tensors.
        data: The split.
        rows: Of the samples.
        config: Steps and tolerance.
        on_step: Called with 1 after each sample.

    Raises:
        MissingDependencyError: captum is not installed.
        ModelError: A text's encoder has no embedding layer of its vocabulary.
    """
    figure = AnsweredFigure(model, model_io)
    found = []
    for row in rows:
        steps = config.steps
        attribution = _attribute(figure, model, data, row, steps)
        while attribution.off > config.tolerance and steps < config.max_steps:
            steps = min(2 * steps, config.max_steps)
            attribution = _attribute(figure, model, data, row, steps)
        found.append(attribution)
        on_step(1)
    return found


def _attribute(figure: AnsweredFigure, model: FusionModel, data: SampleSet, row: int, steps: int) -> SampleAttribution:
    inputs, _ = data.rows(torch.tensor([row]))
    present = torch.ones(1, len(inputs)) if data.available is None else data.available[row : row + 1].clone()
    *masked, _ = mask_modalities(inputs, present)
    with torch.no_grad():
        entered, baselines = figure.enter(masked), figure.enter([torch.zeros_like(x) for x in masked])
        tokens = [x for x, item in zip(masked, figure.items, strict=True) if item.stream in figure.embeddings]
        rest = (*tokens, present, figure.answered(model(*masked, present)))
        change = float(figure(*entered, *rest) - figure(*baselines, *rest))
    parts = (
        require_module("captum.attr")
        .IntegratedGradients(figure)
        .attribute(
            inputs=entered,
            baselines=baselines,
            additional_forward_args=rest,
            n_steps=steps,
            internal_batch_size=_ROWS,
        )
    )
    shaped = tuple(_of_tensor(part[0].detach(), x[0]) for part, x in zip(parts, masked, strict=True))
    missed = abs(sum(float(part.double().sum()) for part in shaped) - change)
    return SampleAttribution(row, shaped, change, steps, missed / max(abs(change), _TINY))


def _of_tensor(attribution: Tensor, x: Tensor) -> Tensor:
    """A text's embeddings hold several numbers a token, which add up to the token's."""
    return attribution.sum(-1) if attribution.dim() > x.dim() else attribution
