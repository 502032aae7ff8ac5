"""Scalars of a training, for TensorBoard; or a journal that writes nothing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edge.compress.parallel.ranks import current_ranks
from edge.runtime.capabilities import require_module

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.compress.learning.progress import EpochReport


class Journal:
    """Writes nothing: what a training without a log, and every rank but the first, writes to."""

    def step(self, done: int, loss: float, learning_rate: float) -> None:
        """Takes the loss of a step, and its learning rate."""

    def epoch(self, report: EpochReport, done: int) -> None:
        """Takes an epoch's scores, after that many steps."""


class TensorBoardJournal(Journal):
    """Scalars `loss`, `learning_rate` a step, `score/STATE` an epoch, each at the number of steps done."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def step(self, done: int, loss: float, learning_rate: float) -> None:
        """Writes both."""
        self._writer.add_scalar("loss", loss, done)
        self._writer.add_scalar("learning_rate", learning_rate, done)

    def epoch(self, report: EpochReport, done: int) -> None:
        """Writes each state's score."""
        for state, points in report.scores.items():
            self._writer.add_scalar(f"score/{state}", points, done)


@contextmanager
def open_journal(folder: Path | None, done: int) -> Iterator[Journal]:
    """A journal in `folder`, if one is asked for; what is there beyond the steps done is taken back.

    Raises:
        MissingDependencyError: tensorboard is absent.
    """
    if folder is None or not current_ranks().first:
        yield Journal()
        return
    require_module("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=done + 1 if done else None) as writer:
        yield TensorBoardJournal(writer)
