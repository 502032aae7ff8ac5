"""Intervals of what one way of training gains over another, over seeds and recordings at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edge.runtime.statistics.intervals import Interval, replicate_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from edge.compress.scoring.recording_counts import RecordingCounts

    # Counts of both sides, float64 `[seeds, recordings, counts]`, in one state.
    Sides = tuple[NDArray[np.float64], NDArray[np.float64]]

RESAMPLES = 2_000


def seeded_interval(states: Sequence[Sides], points: Callable[[Tensor], dict[str, Tensor]], seed: int = 0) -> Interval:
    """Interval of the mean gain in `score`, first side minus second, over states and seeds.

    A resample draws recordings, with all of their samples, and seeds, both with replacement; both sides and all states
    take the same draw. The score is computed anew from each drawn seed's counts, then averaged. Of few seeds a
    bootstrap knows little: their own spread is to be shown beside the interval.

    Args:
        states: Both sides' counts in each state; seeds and recordings stand in the same order on both sides.
        points: `AdditiveMetric.points`.
        seed: Of the draws.
    """
    seeds, recordings, _ = states[0][0].shape
    random = np.random.default_rng(seed)
    drawn = random.multinomial(recordings, np.full(recordings, 1 / recordings), RESAMPLES).astype(np.float64)
    chosen = random.integers(0, seeds, (RESAMPLES, seeds))
    replicates = np.take_along_axis(_gains(states, points, drawn), chosen, axis=1).mean(1)
    estimate = float(_gains(states, points, np.ones((1, recordings))).mean())
    return replicate_interval(estimate, replicates, recordings)


def stacked(counts: Sequence[RecordingCounts], state: str) -> NDArray[np.float64]:
    """Counts of all seeds in a state, `[seeds, recordings, counts]`."""
    return np.stack([found.by_state[state] for found in counts])


def seed_scores(counts: NDArray[np.float64], points: Callable[[Tensor], dict[str, Tensor]]) -> list[float]:
    """The score of each seed.

    Args:
        counts: float64 `[seeds, recordings, counts]`, in one state.
        points: `AdditiveMetric.points`.
    """
    scores: list[float] = points(torch.from_numpy(counts.sum(1)))["score"].tolist()
    return scores


def _gains(
    states: Sequence[Sides], points: Callable[[Tensor], dict[str, Tensor]], drawn: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`[resamples, seeds]`: the gain of each seed in the mean of the states."""

    def scored(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = np.einsum("rn,snc->rsc", drawn, counts)
        return np.asarray(points(torch.from_numpy(sums))["score"].numpy(), np.float64)

    return np.asarray(np.mean([scored(more) - scored(less) for more, less in states], axis=0), np.float64)
