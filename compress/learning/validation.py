"""Scores on the validation split while a model is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edge.compress.learning.config import MEAN
from edge.compress.parallel.collectives import spread
from edge.compress.parallel.ranks import working_alone
from edge.compress.scoring.evaluation import evaluate, measurable_states
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from edge.compress.learning.config import FitConfig
    from edge.compress.samples import SampleSet
    from edge.compress.scoring.task import Task


@dataclass(frozen=True)
class Validation:
    """What a training is judged by.

    Attributes:
        model: Takes positional tensors, `present` last: what is trained, or the part of it that will run.
        data: The validation split.
        task: Gives the metric.
    """

    model: nn.Module
    data: SampleSet
    task: Task

    def scores(self, states: Sequence[str], device: torch.device) -> dict[str, float]:
        """Points by state, of the model in eval mode; states are shared out among ranks, and all know all of them."""
        self.model.eval()

        def score(state: str) -> float:
            with working_alone():
                return evaluate(self._runner(device), self.data, self.task, [state])[state]["score"]

        return dict(zip(states, spread(states, score), strict=True))

    def _runner(self, device: torch.device) -> _Runner:
        return _Runner(self.model, device)


@dataclass(frozen=True)
class _Runner:
    model: nn.Module
    device: torch.device

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        moved = (t.to(self.device) for t in tensors)
        laid_out = (t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t for t in moved)
        return [output.cpu() for output in self.model(*laid_out)]


def scored_states(config: FitConfig, validation: Validation | None) -> tuple[str, ...]:
    """The states to score after each epoch: all where a log is written, or what early stopping looks at.

    Raises:
        ConfigError: Early stopping has no validation split, or names no state that any of its samples has.
    """
    stopping = config.early_stopping
    if validation is None and stopping is not None:
        raise ConfigError("early_stopping is set and there is no validation split here", "leave early_stopping out")
    if validation is None or (stopping is None and config.log_dir is None):
        return ()
    states = measurable_states(validation.data, validation.task.modalities)
    if stopping is not None and stopping.state not in (MEAN, *states):
        raise ConfigError(
            f"early_stopping.state '{stopping.state}' is no modality state of the validation split",
            f"choose {MEAN} or one of {list(states)}",
        )
    if stopping is None or stopping.state == MEAN or config.log_dir is not None:
        return states
    return (stopping.state,)
