"""Absent modalities in a fusion that weighs them: scores that a softmax gives nothing, and shares that sum to 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# exp(-1e4) is 0 in FP32 and FP16 alike, FP16 holds the number itself, and unlike minus infinity it leaves a softmax
# finite where nothing is present.
HIDDEN_SCORE = -1e4


def hiding_scores(present: Tensor) -> Tensor:
    """What is added to scores before a softmax: 0 where `present` is 1, `HIDDEN_SCORE` where it is 0."""
    return (1.0 - present) * HIDDEN_SCORE


def factor_of(weights: Tensor, index: int) -> Tensor:
    """One modality's weight of `[B, modalities]`, as what multiplies its map: `[B, 1, 1, 1]`."""
    return weights[:, index].reshape(-1, 1, 1, 1)


def shares_of(contributions: Tensor, present: Tensor) -> Tensor:
    """Non-negative contributions `[B, modalities]`, scaled so that the present ones of a row sum to 1.

    A row that has nothing, or whose contributions are all 0, stays 0 or is shared equally among what is present.
    """
    found = contributions * present
    total = found.sum(1, keepdim=True)
    count = present.sum(1, keepdim=True).clamp(min=1.0)
    shares: Tensor = (found / total.clamp(min=1e-12)).where(total > 0, present / count)
    return shares
