"""One training loop for everything that is trained: teachers, students, pruned and INT8 models."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edge.compress.learning.batches import Augment, Batch, BatchSource
from edge.compress.learning.config import EarlyStoppingConfig, FitConfig
from edge.compress.learning.device import training_device
from edge.compress.learning.frozen import start_training_mode
from edge.compress.learning.journal import open_journal
from edge.compress.learning.memory_layout import set_layout
from edge.compress.learning.optimization import Objective, Optimization
from edge.compress.learning.progress import EpochReport
from edge.compress.learning.recomputing import recomputed_activations
from edge.compress.learning.standing import Standing
from edge.compress.learning.training_state import ResumePoint
from edge.compress.learning.validation import Validation, scored_states
from edge.compress.parallel.rank_training import copy_from_first, synchronized_batch_norm
from edge.compress.parallel.ranks import current_ranks
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from edge.compress.learning.journal import Journal
    from edge.compress.parallel.ranks import Ranks
    from edge.compress.samples import SampleSet

__all__ = [
    "Augment",
    "EarlyStoppingConfig",
    "EpochReport",
    "FitConfig",
    "Objective",
    "OnEpoch",
    "OnStep",
    "ResumePoint",
    "Validation",
    "fit",
    "set_layout",
]

# Called after each step with (steps done, steps in all, loss).
OnStep = Callable[[int, int, float], None]
# Called after each epoch, and first with those that were done before an interruption.
OnEpoch = Callable[[EpochReport], None]


def fit(
    model: nn.Module,
    data: SampleSet,
    objective: Objective,
    config: FitConfig,
    on_step: OnStep | None = None,
    *,
    augment: Augment | None = None,
    draw_weights: Tensor | None = None,
    validation: Validation | None = None,
    resume: ResumePoint | None = None,
    on_epoch: OnEpoch | None = None,
) -> nn.Module:
    """Trains what requires gradients of `model`, in place, and returns it in eval mode on the CPU.

    Under `joined_ranks()` every rank takes its rows of each batch: batches, augmentation, modality dropout, schedule
    and batch statistics are those of one process, gradients are averaged, scores are shared, and all ranks end with
    equal weights. What differs is rounding, and losses that are no mean over samples.

    Args:
        model: Takes positional tensors, `present` last.
        data: The training split, the same on all ranks.
        objective: Loss of a batch; it calls the model.
        config: How long and how fast.
        on_step: For progress bars; called on every rank with the loss of the whole batch.
        augment: Changes each batch's inputs before modalities are left out.
        draw_weights: `[N]`, how likely each sample is drawn; needed where `sampling` is balanced.
        validation: What early stopping and the log look at.
        resume: Where the state is kept after each epoch, and taken from. What comes of an interrupted training is
            then, to the bit, what comes of one that was not.
        on_epoch: Called on every rank.

    Raises:
        DataError: The data is not a training split, or smaller than a batch.
        ConfigError: A batch has fewer rows than it is shared out to, a device is absent, or a key lacks what it needs.
        ModelError: The loss became NaN or infinite, or nothing can be trained.
        MissingDependencyError: A log was asked for without tensorboard.
    """
    ranks = current_ranks()
    batches = BatchSource(data, config, ranks, augment, draw_weights)
    device, states = training_device(config, ranks), scored_states(config, validation)
    copy_from_first(model)
    optimization = Optimization(model.to(device), config, config.epochs * batches.steps_per_epoch, device)
    set_layout(model, torch.channels_last)  # twice to five times as fast on CPUs
    with _own_noise(ranks, config.seed):
        standing = Standing(model, optimization, batches, config, resume)
        tell = on_epoch or (lambda _report: None)
        for earlier in standing.reports:
            tell(earlier)
        with open_journal(config.log_dir, standing.steps) as journal:
            epoch = _Epoch(model, objective, config, batches, optimization, on_step, journal)
            while not standing.over:
                report = epoch.run(standing, lambda: validation.scores(states, device) if validation and states else {})
                standing.add(report)
                journal.epoch(report, standing.steps)
                tell(report)
        standing.restore_best()
    return set_layout(model.eval().cpu(), torch.contiguous_format)


@dataclass(frozen=True)
class _Epoch:
    """One pass over the training split."""

    model: nn.Module
    objective: Objective
    config: FitConfig
    batches: BatchSource
    optimization: Optimization
    on_step: OnStep | None
    journal: Journal

    def run(self, standing: Standing, scores: Callable[[], dict[str, float]]) -> EpochReport:
        """Trains on from where a training stands, and scores what comes of it."""
        started, done = time.monotonic(), standing.steps
        start_training_mode(self.model)
        recomputed = recomputed_activations(self.model, self.config.gradient_checkpointing)
        with synchronized_batch_norm(self.model), recomputed:
            losses = [self._step(parts, done + i) for i, parts in enumerate(self.batches.epoch())]
        return EpochReport(
            epoch=len(standing.reports) + 1,
            loss=math.fsum(losses) / len(losses),
            learning_rate=self.optimization.rate(done + len(losses) - 1),
            scores=scores(),
            seconds=time.monotonic() - started,
        )

    def _step(self, parts: list[Batch], done: int) -> float:
        loss, steps = self.optimization.step(self.objective, parts, done), self.optimization.steps
        if not math.isfinite(loss):
            raise ModelError(
                f"the training loss became {loss} at step {done + 1} of {steps}",
                "lower learning_rate or look for NaN in the data",
            )
        self.journal.step(done + 1, loss, self.optimization.rate(done))
        if self.on_step:
            self.on_step(done + 1, steps, loss)
        return loss


@contextmanager
def _own_noise(ranks: Ranks, seed: int) -> Iterator[None]:
    """Dropout layers draw from torch's global generator: other numbers on each rank, the caller's own on one alone."""
    if ranks.world == 1:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed * ranks.world + ranks.rank)
        yield
