"""What each part of the loss came to, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict

from edge.compress.parallel.collectives import sum_over_ranks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class LossHistory(BaseModel):
    """Means over each epoch's batches of the weighted parts, which add up to the loss.

    Attributes:
        epochs: By part's name, one entry an epoch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: tuple[dict[str, float], ...]

    @property
    def first(self) -> dict[str, float]:
        """The first epoch."""
        return self.epochs[0]

    @property
    def last(self) -> dict[str, float]:
        """The last one."""
        return self.epochs[-1]

    def notes(self) -> dict[str, dict[str, float]]:
        """What a stage's record keeps: the first and the last epoch."""
        return {"first_epoch": self.first, "last_epoch": self.last}


class PartsRecorder:
    """Adds up a loss's parts while a model is trained, and closes an epoch every `steps` batches."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._names: tuple[str, ...] = ()
        self._batches: list[Tensor] = []
        self._epochs: list[dict[str, float]] = []

    def add(self, parts: Mapping[str, Tensor], share: float = 1.0) -> None:
        """Takes the parts of one batch; `share` scales a rank's rows to its part of the whole batch's mean."""
        self._names = tuple(parts)
        self._batches.append(torch.stack([part.detach().double() for part in parts.values()]) * share)
        if len(self._batches) == self._steps:
            means = sum_over_ranks(torch.stack(self._batches).mean(0)).tolist()
            self._epochs.append(dict(zip(self._names, means, strict=True)))
            self._batches.clear()

    def history(self) -> LossHistory:
        """The epochs closed so far."""
        return LossHistory(epochs=tuple(self._epochs))
