"""What the tensors of each kind of output say of a sample, as numbers that add up over samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edge.runtime.errors import ConfigError
from edge.runtime.model_io import EventOutput, GridOutput, SoftmaxOutput
from edge.training.fusion_task import tensors_by_output
from edge.training.metrics import GridF1
from edge.training.reliability import BINS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from edge.runtime.model_io import ModelIO

HIT, SAID, ACTUAL = range(3)


@dataclass(frozen=True, eq=False)
class Readings:
    """Of B samples, float64.

    Attributes:
        truth: `[B]` probability that the model gives to what is true, mean over its outputs.
        error: `[B]` in 0..1, mean over its outputs: whether the class is wrong, or 1 minus F1 within the sample.
        classes: `[B, classes, 3]` how often each class was hit, said, and there.
        reliability: `[B, 3 * BINS]` of its decisions by confidence: how many, their confidence, how many right.
    """

    truth: Tensor
    error: Tensor
    classes: Tensor
    reliability: Tensor


class OutputReader:
    """Reads a model's output tensors against the targets.

    Args:
        model_io: Which outputs.

    Raises:
        ConfigError: An output has no truth to be held against.
    """

    def __init__(self, model_io: ModelIO) -> None:
        self._outputs = model_io.outputs
        unread = [o.tensor for o in self._outputs if not isinstance(o, GridOutput | EventOutput | SoftmaxOutput)]
        if unread:
            raise ConfigError(
                f"outputs {unread} are no decisions", "explain models with grid, events or softmax outputs"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of all outputs, in their order; with the output's name where there are several."""
        several = len(self._outputs) > 1
        return tuple(
            f"{output.tensor}: {name}" if several else name
            for output in self._outputs
            for name in getattr(output, "classes", ())
        )

    def chances(self, outputs: Sequence[Tensor]) -> Tensor:
        """float64 `[classes]`: how often a sample could have each class; the cells of a grid, else 1."""
        counts: list[float] = []
        for output, tensors, _ in tensors_by_output(self._outputs, outputs, outputs):
            cells = tensors[0][0, 0].numel() if isinstance(output, GridOutput) else 1
            counts += [float(cells)] * len(output.classes)  # type: ignore[union-attr]
        return torch.tensor(counts, dtype=torch.float64)

    def read(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Readings:
        """One batch."""
        found = [
            _READERS[type(o)](o, tensors, wanted)
            for o, tensors, wanted in tensors_by_output(self._outputs, outputs, targets)
        ]
        return Readings(
            torch.stack([f.truth for f in found]).mean(0),
            torch.stack([f.error for f in found]).mean(0),
            torch.cat([f.classes for f in found], 1),
            torch.stack([f.reliability for f in found]).sum(0),
        )


def _read_softmax(output: SoftmaxOutput, tensors: Sequence[Tensor], targets: Sequence[Tensor]) -> Readings:
    probability, wanted = tensors[0].double().softmax(1), targets[0]
    confidence, said = probability.max(1)
    right = said == wanted
    one_of = torch.eye(probability.shape[1], dtype=torch.float64)
    said_one, actual = one_of[said], one_of[wanted]
    return Readings(
        truth=probability.gather(1, wanted[:, None])[:, 0],
        error=(~right).double(),
        classes=torch.stack([said_one * actual, said_one, actual], 2),
        reliability=_by_confidence(confidence[:, None], right[:, None], torch.ones_like(right)[:, None]),
    )


def _read_events(output: EventOutput, tensors: Sequence[Tensor], targets: Sequence[Tensor]) -> Readings:
    probability, actual = tensors[0].double().sigmoid(), targets[0] > 0.5
    said = probability >= output.threshold
    classes = torch.stack([said & actual, said, actual], 2).double()
    return Readings(
        truth=torch.where(actual, probability, 1 - probability).mean(1),
        error=_one_minus_f1(classes),
        classes=classes,
        reliability=_by_confidence(
            torch.where(said, probability, 1 - probability), said == actual, torch.ones_like(said)
        ),
    )


def _read_grid(output: GridOutput, tensors: Sequence[Tensor], targets: Sequence[Tensor]) -> Readings:
    """Of the truth, the cells with an object count, or all where there is none: background would hide lost objects."""
    probability, wanted = tensors[0].double().softmax(1), targets[0]
    of_truth = probability.gather(1, wanted[:, None])[:, 0].flatten(1)
    objects = (wanted > 0).flatten(1)
    counted = torch.where(objects.any(1, keepdim=True), objects, True).double()
    counts = GridF1(output).sample_counts(tensors, targets).unflatten(1, (3, -1)).transpose(1, 2)
    best, index = probability[:, 1:].max(1)
    return Readings(
        truth=(of_truth * counted).sum(1) / counted.sum(1),
        error=_one_minus_f1(counts),
        classes=counts,
        reliability=_by_confidence(
            best.flatten(1), (index + 1 == wanted).flatten(1), (best >= output.threshold).flatten(1)
        ),
    )


_READERS: dict[type, Callable[..., Readings]] = {
    SoftmaxOutput: _read_softmax,
    EventOutput: _read_events,
    GridOutput: _read_grid,
}


def _one_minus_f1(classes: Tensor) -> Tensor:
    """Over all classes of a sample; no error where nothing is there and nothing was said."""
    hit, said, actual = classes.sum(1).unbind(1)
    seen = said + actual
    return torch.where(seen > 0, 1 - 2 * hit / seen.clamp(min=1), 0.0)


def _by_confidence(confidence: Tensor, right: Tensor, decided: Tensor) -> Tensor:
    """Three sums a bin of what was decided; all arguments are `[B, decisions]`."""
    edges = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)
    which = (torch.bucketize(confidence.contiguous(), edges) - 1).clamp(0, BINS - 1)
    values = torch.stack([torch.ones_like(confidence), confidence, right.double()], 2) * decided.double()[:, :, None]
    sums = torch.zeros(len(confidence), BINS, 3, dtype=torch.float64)
    sums.scatter_add_(1, which[:, :, None].expand(-1, -1, 3), values)
    return sums.flatten(1)
