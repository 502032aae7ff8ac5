"""Which samples the scales are collected on, and in which modality states the model sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.errors import DataError
from edge.runtime.states import all_states

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def choose_samples(available: int, wanted: int, seed: int = 0) -> NDArray[np.int64]:
    """Indices of `wanted` different samples (or of all, where fewer are there), rising, the same for one seed.

    Raises:
        DataError: Nothing is available, or fewer than one is wanted.
    """
    if available < 1 or wanted < 1:
        raise DataError(
            f"cannot choose {wanted} calibration samples out of {available}", "give at least one training sample"
        )
    order = np.random.default_rng(seed).permutation(available)
    return np.sort(order[:wanted]).astype(np.int64)


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
