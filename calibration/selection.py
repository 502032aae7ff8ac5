"""Which samples the scales are collected on, and in which modality states the model sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from edge.runtime.errors import DataError
from edge.runtime.states import all_states

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Selection = Literal["random", "ranges"]


def choose_at_random(strata: NDArray[np.integer], wanted: int, seed: int = 0) -> NDArray[np.int64]:
    """Indices of `wanted` different samples, rising, the same for one seed; each stratum gets its share.

    Args:
        strata: `[N]`, what each sample stands for: its modality state.
        wanted: How many; at most N.
        seed: Of the draw.

    Raises:
        DataError: There are fewer samples than wanted, or fewer than one is wanted.
    """
    left = shares_of(strata, wanted)
    order = np.random.default_rng(seed).permutation(len(strata))
    chosen = [order[strata[order] == stratum][:count] for stratum, count in left.items()]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def shares_of(strata: NDArray[np.integer], wanted: int) -> dict[int, int]:
    """How many of `wanted` samples each stratum gets: its share, by largest remainder, and one where there is room.

    Raises:
        DataError: There are fewer samples than wanted, or fewer than one is wanted.
    """
    if not 1 <= wanted <= len(strata):
        raise DataError(
            f"cannot choose {wanted} calibration samples out of {len(strata)}",
            "ask for at least one and at most as many as the train split has",
        )
    names, counts = np.unique(strata, return_counts=True)
    exact = counts * wanted / len(strata)
    shares = np.floor(exact).astype(np.int64)
    if wanted >= len(names):
        shares = np.maximum(shares, 1)
    for index in np.argsort(np.floor(exact) - exact, kind="stable"):
        shares[index] += shares.sum() < wanted and shares[index] < exact[index]
    while shares.sum() > wanted:  # what the smallest strata got beyond their share
        shares[np.argmax(np.where(shares > 1, shares - exact, -np.inf))] -= 1
    return {int(name): int(share) for name, share in zip(names, shares, strict=True)}


def mix_states(count: int, modalities: Sequence[str], complete: float = 0.7, seed: int = 0) -> NDArray[np.float32]:
    """Presence of each modality in each sample, so that calibration also sees placeholders at work.

    A share of `complete` samples has every modality; the rest take the other states in turn, each equally often
    within one, in random order.

    Returns:
        float32 `[count, len(modalities)]` of 0 and 1.

    Raises:
        DataError: `count` is below 1, there is no modality, or `complete` lies outside 0..1.
    """
    if count < 1 or not modalities or not 0 <= complete <= 1:
        raise DataError(
            f"cannot mix states for {count} samples, modalities {list(modalities)}, share {complete}",
            "give at least one sample and one modality, and a share between 0 and 1",
        )
    masked = [present for name, present in all_states(modalities).items() if name != "all"]
    rows = np.ones((count, len(modalities)), np.float32)
    if masked:
        # At least one masked sample where there is room: a placeholder that was never seen has no range.
        changed = count - round(count * complete)
        changed = max(changed, 1) if complete < 1 and count > 1 else changed
        for row in range(changed):
            present = masked[row % len(masked)]
            rows[row] = [modality in present for modality in modalities]
    return np.asarray(np.random.default_rng(seed).permutation(rows), np.float32)
