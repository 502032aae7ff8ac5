"""Weights against class imbalance, from how often each class occurs in the training split."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from edge.runtime.errors import ConfigError
from edge.runtime.model_io import EventOutput, GridOutput, SoftmaxOutput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from edge.compress.scoring.imbalance import ClassWeights, OutputWeights

    LabelledOutput = GridOutput | EventOutput | SoftmaxOutput

logger = logging.getLogger(__name__)


def settings_by_output(weights: ClassWeights, outputs: Sequence[LabelledOutput]) -> Mapping[str, OutputWeights]:
    """What is asked for each output, by its tensor's name.

    Raises:
        ConfigError: An output is unknown, or one list of numbers is given for several.
    """
    names = [output.tensor for output in outputs]
    if isinstance(weights, dict):
        unknown = [name for name in weights if name not in names]
        if unknown:
            raise ConfigError(f"class_weights names {unknown}, which are no outputs", f"choose from {names}")
        return weights
    if isinstance(weights, tuple) and len(names) > 1:
        raise ConfigError(
            f"class_weights is one list and there are {len(names)} outputs", f"give each its own, by name: {names}"
        )
    return dict.fromkeys(names, weights)


def output_weights(output: LabelledOutput, setting: OutputWeights, classes: Tensor) -> Tensor | None:
    """float32 `[classes]` for the loss of one output; None where it is not weighted.

    `balanced` is, for one of several classes, `samples / (classes that occur * samples of the class)`: the mean over
    samples is 1, and all classes weigh alike (King and Zeng 2001; as scikit-learn's `balanced`). Cells of a grid count
    as samples, background as a class. For an event it is the weight of its occurrences, `absent / present`.

    Args:
        output: Its classes.
        setting: As configured; numbers are taken as they are. A grid's begin with the background's.
        classes: The output's targets in the training split, as its loss takes them.

    Raises:
        ConfigError: There are more or fewer numbers than classes.
    """
    if setting == "none":
        return None
    counts = class_counts(output, classes)
    if setting == "balanced":
        _tell_absent(output, counts)
        return _event_weights(counts, len(classes)) if isinstance(output, EventOutput) else _mean_one(counts)
    if len(setting) != len(counts):
        raise ConfigError(
            f"class_weights of '{output.tensor}' has {len(setting)} numbers for {len(counts)} classes",
            "give one for each, in the order of io.yaml; a grid's begin with the background's",
        )
    return torch.tensor(setting, dtype=torch.float32)


def class_counts(output: LabelledOutput, classes: Tensor) -> Tensor:
    """How often each class occurs, float64; a grid's cells are counted, its background first."""
    if isinstance(output, EventOutput):
        return (classes > 0.5).sum(0).double()
    several = len(output.classes) + isinstance(output, GridOutput)
    return torch.bincount(classes.flatten(), minlength=several).double()


def rarity(output: LabelledOutput, classes: Tensor) -> Tensor:
    """Of each sample the inverse frequency of its rarest class, float64 `[N]`.

    A sample has the classes of its events, or of its grid's objects; one with none is of a class of its own.
    """
    if isinstance(output, SoftmaxOutput):
        has = torch.nn.functional.one_hot(classes, len(output.classes)).bool()
    elif isinstance(output, EventOutput):
        has = classes > 0.5
    else:
        cells = classes.flatten(1)
        has = torch.stack([(cells == which).any(1) for which in range(1, len(output.classes) + 1)], 1)
    has = torch.cat([has, ~has.any(1, keepdim=True)], 1)
    inverse = 1.0 / has.sum(0).double().clamp(min=1)
    return (has * inverse).amax(1)


def _mean_one(counts: Tensor) -> Tensor:
    occurring = (counts > 0).sum()
    weights = counts.sum() / (occurring * counts.clamp(min=1))
    return torch.where(counts > 0, weights, 1.0).float()


def _event_weights(counts: Tensor, samples: int) -> Tensor:
    usable = (counts > 0) & (counts < samples)
    return torch.where(usable, (samples - counts) / counts.clamp(min=1), 1.0).float()


def _tell_absent(output: LabelledOutput, counts: Tensor) -> None:
    names = ("background", *output.classes) if isinstance(output, GridOutput) else output.classes
    absent = [name for name, count in zip(names, counts.tolist(), strict=True) if count == 0]
    if absent:
        logger.warning("'%s': the training split has no sample of %s; they keep weight 1", output.tensor, absent)
