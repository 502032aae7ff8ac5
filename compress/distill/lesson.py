"""One batch of distillation: the loss in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from edge.compress.distill.features import FeatureComparison
from edge.compress.distill.outputs import imitation_loss
from edge.compress.parallel.collectives import sum_over_ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from edge.compress.distill.config import DistillConfig
    from edge.compress.distill.points import FeaturePoint
    from edge.compress.samples import SampleSet
    from edge.compress.scoring.task import Task


class Lesson:
    """The loss of a batch in parts; the teacher stands beside the modules that are trained, not among them.

    Args:
        student: What is trained.
        teacher: In eval mode.
        task: Its loss, and how outputs are read.
        config: Weights and temperature.
        points: What is compared.
        student_features: Where the student's outputs at the points appear as it runs.
        teacher_features: The same of the teacher.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        task: Task,
        config: DistillConfig,
        points: Sequence[FeaturePoint],
        student_features: dict[str, Tensor],
        teacher_features: dict[str, Tensor],
    ) -> None:
        self._student, self._teacher, self._task, self._config = student, teacher, task, config
        self._points, self._own, self._shown = points, student_features, teacher_features
        self._comparisons = nn.ModuleList()

    def look_once(self, data: SampleSet) -> nn.ModuleDict:
        """Runs both models on two samples to learn the features' shapes; gives student and projectors to train."""
        example = [t[:2] for t in data.inputs]
        example.append(torch.ones(len(example[0]), len(example)))
        with torch.no_grad():
            self._teacher(*example)
            self._student.eval()(*example)
        for point in self._points:
            shapes = tuple(self._own[point.student].shape), tuple(self._shown[point.teacher].shape)
            self._comparisons.append(FeatureComparison(point, *shapes))
        return nn.ModuleDict({"student": self._student, "comparisons": self._comparisons})

    def parts(self, inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Weighted, by name; `present` is the last input. Parts of weight 0 are not computed."""
        assert not self._teacher.training, "the teacher's batch statistics must not move"
        with torch.no_grad():
            wanted = self._teacher(*inputs)
        outputs = self._student(*inputs)
        parts: dict[str, Tensor] = {}
        if self._config.labels > 0:
            parts["labels"] = self._config.labels * self._task.loss(outputs, targets)
        if self._config.logits > 0:
            imitation = imitation_loss(outputs, wanted, self._task.output_kinds, self._config.temperature)
            parts["logits"] = self._config.logits * imitation
        for point, comparison in zip(self._points, self._comparisons, strict=True):
            distances = comparison(self._own[point.student], self._shown[point.teacher])
            parts[point.label] = point.weight * mean_where(distances, point.modality, inputs[-1])
        return parts


def mean_where(distances: Tensor, modality: int | None, present: Tensor) -> Tensor:
    """Mean over the samples `[B]` that have the modality, of all ranks' rows; 0 where none has it.

    A rank's value is scaled as `fit` weighs its rows, so that ranks together come to the mean of the whole batch.
    """
    if modality is None:
        return distances.mean()
    there = present[:, modality]
    having, rows = sum_over_ranks(torch.stack([there.sum(), there.new_tensor(float(len(there)))])).tolist()
    total: Tensor = (distances * there).sum() * (rows / len(there)) / max(having, 1.0)
    return total
