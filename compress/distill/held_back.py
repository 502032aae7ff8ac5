"""Training samples that a model does not learn from, and what its loss is on them: they decide between models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edge.compress.distill.lesson import Lesson
from edge.compress.samples import draw_present
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from torch import nn

    from edge.compress.distill.config import DistillConfig
    from edge.compress.fitting import FitConfig
    from edge.compress.samples import SampleSet
    from edge.compress.scoring.task import Task

_BATCH = 64


@dataclass(frozen=True)
class DividedSplit:
    """A training split in two.

    Attributes:
        learning: What is trained on.
        judging: What is held back.
        by_recording: Whether no recording is in both: samples of one resemble each other, and would let a model pass
            that has learned them by heart.
    """

    learning: SampleSet
    judging: SampleSet
    by_recording: bool


def divide_split(data: SampleSet, share: float, seed: int) -> DividedSplit:
    """Holds back recordings drawn by the seed until they are `share` of the samples; of one recording, samples.

    Raises:
        DataError: It is no training split, or has one sample.
    """
    if data.split != "train":
        raise DataError(f"asked to learn from the '{data.split}' split", "pass the train split")
    if len(data) < 2:
        raise DataError("there is one training sample", "give it two or more: some are held back")
    several = len(set(data.recordings)) > 1
    groups = data.recordings if several else data.ids
    held = _drawn(groups, max(1, round(share * len(data))), seed)
    parts = ([i for i, group in enumerate(groups) if (group in held) is side] for side in (False, True))
    learning, judging = (data.subset(rows) for rows in parts)
    return DividedSplit(learning, judging, several)


def _drawn(groups: tuple[str, ...], samples: int, seed: int) -> set[str]:
    """Groups that have that many samples or some more; at least one is left out."""
    names = list(dict.fromkeys(groups))
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed)).tolist()
    held: set[str] = set()
    for place in order[:-1]:
        held.add(names[place])
        if sum(group in held for group in groups) >= samples:
            break
    return held


class HeldBackLoss:
    """The loss by parts on held-back samples, under one draw of modality dropout.

    Args:
        teacher: In eval mode.
        data: The samples.
        task: Its loss, and how outputs are read.
        config: What is imitated; features are left out, for they need projectors.
        fit_config: How often modalities are left out.
    """

    def __init__(
        self, teacher: nn.Module, data: SampleSet, task: Task, config: DistillConfig, fit_config: FitConfig
    ) -> None:
        self._teacher, self._data, self._task = teacher, data, task
        self._config, self._fit = config, fit_config

    def parts(self, model: nn.Module) -> dict[str, float]:
        """Weighted parts, means over the samples."""
        lesson = Lesson(model, self._teacher, self._task, self._config, (), {}, {})
        generator = torch.Generator().manual_seed(self._fit.seed)
        sums: dict[str, float] = {}
        with torch.no_grad():
            for rows in self._data.batch_rows(_BATCH):
                present = draw_present(len(rows), len(self._data.inputs), self._fit.modality_dropout, generator)
                targets = tuple(target[rows] for target in self._data.targets)
                for name, part in lesson.parts(self._data.masked(rows, present), targets).items():
                    sums[name] = sums.get(name, 0.0) + float(part) * len(rows)
        return {name: total / len(self._data) for name, total in sums.items()}
