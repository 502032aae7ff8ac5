"""Metrics in points of 0..100, as reports quote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from edge.runtime.model_io import EventOutput, GridOutput

DISTANCE_TOLERANCE = 0.10


def macro_f1(true_positives: Tensor, predicted: Tensor, actual: Tensor) -> float:
    """Mean F1 over the classes that occur or were predicted; 0..100.

    Args:
        true_positives: Count of each class.
        predicted: Predictions of each class.
        actual: Occurrences of each class.
    """
    seen = (predicted + actual) > 0
    if not bool(seen.any()):
        return 0.0
    f1 = 2 * true_positives[seen] / (predicted[seen] + actual[seen])
    return 100.0 * float(f1.mean())


class GridF1:
    """Foreground macro-F1 over grid cells: right class, and the distance within 10 %.

    A cell counts as predicted where its best foreground class has at least the decoder's threshold, so that
    the metric sees what the decoder would emit. Background is left out: it would hide lost objects.
    """

    name = "detection_f1"
    outputs = 2

    def __init__(self, output: GridOutput) -> None:
        self._threshold = output.threshold
        self._counts = torch.zeros(3, len(output.classes), dtype=torch.float64)

    def update(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Takes class logits and ln-distances, classes and distances."""
        probabilities = outputs[0].float().softmax(1)[:, 1:]
        best, index = probabilities.max(1)
        predicted = torch.where(best >= self._threshold, index + 1, 0)
        classes, distance_m = targets[0], targets[1]
        error = (outputs[1].float()[:, 0].exp() - distance_m).abs()
        close = error <= DISTANCE_TOLERANCE * distance_m
        hit = (predicted == classes) & close & (classes > 0)
        for row, chosen in enumerate((classes[hit], predicted, classes)):
            self._counts[row] += _histogram(chosen, self._counts.shape[1])

    def result(self) -> float:
        """Points."""
        return macro_f1(*self._counts)


class EventF1:
    """Macro-F1 of independent events at the decoder's threshold."""

    name = "event_f1"
    outputs = 1

    def __init__(self, output: EventOutput) -> None:
        self._threshold = output.threshold
        self._counts = torch.zeros(3, len(output.classes), dtype=torch.float64)

    def update(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Takes logits and 0/1 targets."""
        predicted = outputs[0].float().sigmoid() >= self._threshold
        actual = targets[0] > 0.5
        for row, chosen in enumerate((predicted & actual, predicted, actual)):
            self._counts[row] += chosen.sum(0)

    def result(self) -> float:
        """Points."""
        return macro_f1(*self._counts)


class ScoreMetric:
    """`score` is the mean of its parts, each of which is listed beside it."""

    def __init__(self, parts: Sequence[GridF1 | EventF1]) -> None:
        self._parts = parts

    def update(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Hands each part its tensors, in the order of the outputs."""
        at = 0
        for part in self._parts:
            end = at + part.outputs
            part.update(outputs[at:end], targets[at:end])
            at = end

    def result(self) -> dict[str, float]:
        """`score` and the parts."""
        parts = {part.name: part.result() for part in self._parts}
        return {"score": sum(parts.values()) / len(parts), **parts}


class AccuracyMetric:
    """Share of samples whose most probable class is right; `score` is the same number."""

    def __init__(self) -> None:
        self._right = 0
        self._count = 0

    def update(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Takes logits `[B, classes]` and int64 `[B]`."""
        self._right += int((outputs[0].argmax(1) == targets[0]).sum())
        self._count += len(targets[0])

    def result(self) -> dict[str, float]:
        """`score` and `accuracy`."""
        accuracy = 100.0 * self._right / max(1, self._count)
        return {"score": accuracy, "accuracy": accuracy}


def _histogram(classes: Tensor, count: int) -> Tensor:
    """Occurrences of classes 1..count; 0 is background and left out."""
    return torch.bincount(classes.reshape(-1), minlength=count + 1)[1:].double()
