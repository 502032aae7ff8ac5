"""Where a training stands between two epochs: what is done, the best weights so far, what the next one needs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import torch

from edge.compress.learning.progress import best_epoch, is_over
from edge.compress.learning.training_state import TrainingState, prefixed, read_state, write_state
from edge.compress.parallel.collectives import first_alone, gather_arrays, gather_values
from edge.compress.parallel.ranks import current_ranks

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edge.compress.learning.batches import BatchSource
    from edge.compress.learning.config import FitConfig
    from edge.compress.learning.optimization import Optimization
    from edge.compress.learning.progress import EpochReport
    from edge.compress.learning.training_state import ResumePoint

logger = logging.getLogger(__name__)


class Standing:
    """The state of a training; taken from disk when it is made, and kept there after each epoch.

    Args:
        model: On its device, laid out as it is trained.
        optimization: Of this model.
        batches: Of the training split.
        config: Epochs and early stopping.
        resume: Where the state is kept; None where it is not.
    """

    def __init__(
        self,
        model: nn.Module,
        optimization: Optimization,
        batches: BatchSource,
        config: FitConfig,
        resume: ResumePoint | None,
    ) -> None:
        self._model, self._optimization, self._batches = model, optimization, batches
        self._config, self._resume = config, resume
        self.reports: list[EpochReport] = []
        self._best: dict[str, Tensor] = {}
        if resume is not None:
            self._recall(resume)

    @property
    def steps(self) -> int:
        """Steps done."""
        return len(self.reports) * self._batches.steps_per_epoch

    @property
    def over(self) -> bool:
        """Whether there is no further epoch."""
        return is_over(self.reports, self._config.epochs, self._config.early_stopping)

    def add(self, report: EpochReport) -> None:
        """Takes note of an epoch that was just done."""
        self.reports.append(report)
        stopping = self._config.early_stopping
        if stopping is not None and best_epoch(self.reports, stopping) == len(self.reports) - 1:
            self._best = {name: tensor.detach().clone() for name, tensor in self._model.state_dict().items()}
        if self._resume is not None:
            self._keep(self._resume)

    def restore_best(self) -> None:
        """Gives the model the weights of its best epoch, where early stopping watched."""
        stopping = self._config.early_stopping
        if stopping is None:
            return
        self._model.load_state_dict(self._best)
        best = best_epoch(self.reports, stopping)
        what, points = f"after epoch {best + 1} of {len(self.reports)} done", self.reports[best].score(stopping.state)
        logger.info("the weights %s are kept: %.2f points (%s)", what, points, stopping.state)

    def _keep(self, resume: ResumePoint) -> None:
        ranks, noise = current_ranks(), gather_arrays(torch.get_rng_state().numpy())
        tensors = {
            **prefixed("model", self._model.state_dict()),
            **prefixed("best", self._best),
            **prefixed("optimizer", self._optimization.state()),
            **prefixed("batches", self._batches.state()),
            **prefixed("noise", {str(rank): torch.from_numpy(state) for rank, state in enumerate(noise)}),
        }
        if self._config.device == "cuda":
            tensors |= prefixed("noise", {"cuda": torch.cuda.get_rng_state()})
        state = TrainingState(tuple(self.reports), tensors, self._optimization.scaling)
        first_alone(lambda: write_state(resume, state, ranks.world))

    def _recall(self, resume: ResumePoint) -> None:
        ranks = current_ranks()
        found = read_state(resume, ranks.world)
        if found is None or not all(gather_values(found is not None)):
            return
        self._model.load_state_dict(found.part("model"))
        self._optimization.restore(found.part("optimizer"))
        self._optimization.restore_scaling(found.scaling)
        self._batches.restore(found.part("batches"))
        self._best, self.reports = found.part("best"), list(found.reports)
        logger.info("training goes on after epoch %d of %d", len(self.reports), self._config.epochs)
        noise = found.part("noise")
        torch.set_rng_state(noise[str(ranks.rank)])
        if self._config.device == "cuda":
            torch.cuda.set_rng_state(noise["cuda"])
