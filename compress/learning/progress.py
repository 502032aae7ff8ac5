"""What is known of a training after each epoch, and what follows from it: which epoch is best, and whether to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from edge.compress.learning.config import MEAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.learning.config import EarlyStoppingConfig


TRAINING_NOTE = "training"  # of a record: how its training went


class EpochReport(BaseModel):
    """One epoch.

    Attributes:
        epoch: From 1.
        loss: Mean of its steps.
        learning_rate: Of its last step.
        seconds: Wall time, with scoring.
        scores: Points on the validation split by modality state; empty where nothing asks for them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    scores: dict[str, float] = {}

    def score(self, state: str) -> float:
        """Points in a state; `mean` is that of all states."""
        return sum(self.scores.values()) / len(self.scores) if state == MEAN else self.scores[state]


def best_epoch(reports: Sequence[EpochReport], stopping: EarlyStoppingConfig) -> int:
    """Place of the epoch with the highest score, the earliest of equals; from 0."""
    scores = [report.score(stopping.state) for report in reports]
    return scores.index(max(scores))


def is_over(reports: Sequence[EpochReport], epochs: int, stopping: EarlyStoppingConfig | None) -> bool:
    """Whether all epochs are done, or patience is at its end."""
    if len(reports) >= epochs:
        return True
    if stopping is None or not reports:
        return False
    return len(reports) - 1 - best_epoch(reports, stopping) >= stopping.patience


def training_summary(reports: Sequence[EpochReport], stopping: EarlyStoppingConfig | None) -> dict[str, float]:
    """What a record notes: epochs done, losses of the first and the last, and which epoch's weights were kept."""
    if not reports:
        return {}
    kept = len(reports) if stopping is None else best_epoch(reports, stopping) + 1
    return {
        "epochs": len(reports),
        "kept_epoch": kept,
        "first_loss": reports[0].loss,
        "last_loss": reports[-1].loss,
    }
