"""Absent modalities in a fusion that weighs them: factors of what is there, and shares that sum to 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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
