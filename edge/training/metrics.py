"""Metrics in points of 0..100, as reports quote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from edge.runtime.model_io import EventOutput, GridOutput

DISTANCE_TOLERANCE = 0.10


def macro_f1(true_positives: Tensor, predicted: Tensor, actual: Tensor) -> Tensor:
    """Mean F1 over the classes that occur or were predicted, 0..100; 0 where there is none.

    Args:
        true_positives: Count of each class, `[..., classes]`.
        predicted: Predictions of each class, alike.
        actual: Occurrences of each class, alike.

    Returns:
        `[...]`.
    """
    seen = predicted + actual
    f1 = 2 * true_positives / seen.clamp(min=1)
    return 100.0 * f1.sum(-1) / (seen > 0).sum(-1).clamp(min=1)


class _ClassF1:
    """Macro-F1 from three counts a class: true positives, predictions, occurrences."""

    def __init__(self, classes: int) -> None:
        self.width = 3 * classes
        self._counts = torch.zeros(self.width, dtype=torch.float64)

    def sample_counts(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """float64 `[B, 3 * classes]`."""
        raise NotImplementedError

    def update(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Takes what `sample_counts` takes."""
        self._counts += self.sample_counts(outputs, targets).sum(0)

    def points(self, counts: Tensor) -> Tensor:
        """`[..., 3 * classes]` to `[...]`."""
        return macro_f1(*counts.unflatten(-1, (3, -1)).unbind(-2))

    def result(self) -> float:
        """Points."""
        return float(self.points(self._counts))


class GridF1(_ClassF1):
    """Foreground macro-F1 over grid cells: right class, and the distance within 10 %.

    A cell counts as predicted where its best foreground class has at least the decoder's threshold, so that
    the metric sees what the decoder would emit. Background is left out: it would hide lost objects.
    """

    name = "detection_f1"
    outputs = 2

    def __init__(self, output: GridOutput) -> None:
        super().__init__(len(output.classes))
        self._threshold = output.threshold
        self._classes = len(output.classes)

    def sample_counts(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Takes class logits and ln-distances, classes and distances."""
        probabilities = outputs[0].float().softmax(1)[:, 1:]
        best, index = probabilities.max(1)
        predicted = torch.where(best >= self._threshold, index + 1, 0)
        classes, distance_m = targets[0], targets[1]
        error = (outputs[1].float()[:, 0].exp() - distance_m).abs()
        close = error <= DISTANCE_TOLERANCE * distance_m
        hit = torch.where((predicted == classes) & close, classes, 0)
        return torch.cat([_histograms(chosen, self._classes) for chosen in (hit, predicted, classes)], 1)


class EventF1(_ClassF1):
    """Macro-F1 of independent events at the decoder's threshold."""

    name = "event_f1"
    outputs = 1

    def __init__(self, output: EventOutput) -> None:
        super().__init__(len(output.classes))
        self._threshold = output.threshold

    def sample_counts(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """Takes logits and 0/1 targets."""
        predicted = outputs[0].float().sigmoid() >= self._threshold
        actual = targets[0] > 0.5
        return torch.cat([predicted & actual, predicted, actual], 1).double()


class ScoreMetric:
    """An `AdditiveMetric` of compression: `score` is the mean of its parts, which are listed beside it."""

    def __init__(self, parts: Sequence[GridF1 | EventF1]) -> None:
        self._parts = parts

    def update(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Hands each part its tensors, in the order of the outputs."""
        for part, its_outputs, its_targets in self._shares(outputs, targets):
            part.update(its_outputs, its_targets)

    def result(self) -> dict[str, float]:
        """`score` and the parts."""
        parts = {part.name: part.result() for part in self._parts}
        return {"score": sum(parts.values()) / len(parts), **parts}

    def sample_counts(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """float64 `[B, counts]`, the parts' side by side."""
        return torch.cat([part.sample_counts(*shares) for part, *shares in self._shares(outputs, targets)], 1)

    def points(self, counts: Tensor) -> dict[str, Tensor]:
        """`score` and the parts, each `[...]`."""
        shares = counts.split([part.width for part in self._parts], -1)
        parts = {part.name: part.points(share) for part, share in zip(self._parts, shares, strict=True)}
        return {"score": torch.stack(list(parts.values())).mean(0), **parts}

    def _shares(
        self, outputs: Sequence[Tensor], targets: Sequence[Tensor]
    ) -> Iterator[tuple[GridF1 | EventF1, Sequence[Tensor], Sequence[Tensor]]]:
        at = 0
        for part in self._parts:
            end = at + part.outputs
            yield part, outputs[at:end], targets[at:end]
            at = end


class AccuracyMetric:
    """Share of samples whose most probable class is right; `score` is the same number."""

    def __init__(self) -> None:
        self._counts = torch.zeros(2, dtype=torch.float64)

    def update(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Takes logits `[B, classes]` and int64 `[B]`."""
        self._counts += self.sample_counts(outputs, targets).sum(0)

    def result(self) -> dict[str, float]:
        """`score` and `accuracy`."""
        return {name: float(points) for name, points in self.points(self._counts).items()}

    def sample_counts(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        """float64 `[B, 2]`: whether it is right, and 1."""
        right = (outputs[0].argmax(1) == targets[0]).double()
        return torch.stack([right, torch.ones_like(right)], 1)

    def points(self, counts: Tensor) -> dict[str, Tensor]:
        """`score` and `accuracy`, each `[...]`."""
        accuracy = 100.0 * counts[..., 0] / counts[..., 1].clamp(min=1)
        return {"score": accuracy, "accuracy": accuracy}


def _histograms(classes: Tensor, count: int) -> Tensor:
    """Occurrences of classes 1..count in each sample, `[B, count]`; 0 is background and left out."""
    flat = classes.flatten(1)
    return torch.stack([(flat == which).sum(1) for which in range(1, count + 1)], 1).double()
