"""Points that one model loses against another, with intervals: paired by sample and clustered by recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edge.runtime.errors import DataError
from edge.runtime.statistics import Interval, replicate_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from edge.compress.scoring.recording_counts import RecordingCounts

    # What `AdditiveMetric.points` does.
    Points = Callable[[Tensor], dict[str, Tensor]]

RESAMPLES = 2_000
_CHUNK_CELLS = 4_000_000  # weights held at once

LossIntervals = dict[str, dict[str, Interval]]


def paired_losses(
    before: RecordingCounts,
    after: RecordingCounts,
    points: Points,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> LossIntervals:
    """Interval of each metric's loss, before minus after, in every state that both were evaluated in.

    A resample draws whole recordings, since samples of one recording resemble each other, and takes both models'
    counts from the same draw: what makes a recording hard for both cancels out. The metric is then computed from
    the sums (Efron and Tibshirani, *An Introduction to the Bootstrap*, 8.3; the interval as in
    `edge.runtime.statistics.replicate_interval`). All states are resampled by the same draws.

    Args:
        before: Counts of the model that came first.
        after: Counts of the one that followed, on the same samples.
        points: Metrics of summed counts.
        confidence: Of each interval by itself; that all of them hold at once is less likely.
        seed: Of the draws.
        resamples: How many.

    Returns:
        `{state: {metric: interval}}`; positive is a loss.

    Raises:
        DataError: The two were evaluated on different samples, or on fewer than two recordings.
    """
    if before.samples != after.samples:
        raise DataError("two models were evaluated on different samples", "evaluate both on one split")
    shared = [state for state in after.by_state if state in before.by_state]
    sides = {s: (torch.from_numpy(before.by_state[s]), torch.from_numpy(after.by_state[s])) for s in shared}
    replicates: dict[tuple[str, str], list[Tensor]] = {}
    for drawn in _draws(after.recordings, seed, resamples):
        for state, (first, second) in sides.items():
            for metric, lost in _lost(points, drawn @ first, drawn @ second).items():
                replicates.setdefault((state, metric), []).append(lost)
    losses: LossIntervals = {}
    for state, (first, second) in sides.items():
        for metric, lost in _lost(points, first.sum(0), second.sum(0)).items():
            drawn_losses = torch.cat(replicates[state, metric]).numpy()
            interval = replicate_interval(float(lost), drawn_losses, after.recordings, confidence)
            losses.setdefault(state, {})[metric] = interval
    return losses


def _lost(points: Points, before: Tensor, after: Tensor) -> dict[str, Tensor]:
    first, second = points(before), points(after)
    return {metric: first[metric] - second[metric] for metric in second}


def _draws(recordings: int, seed: int, resamples: int) -> Iterator[Tensor]:
    """How often each resample holds each recording, float64 `[rows, recordings]`, some rows at a time."""
    random = np.random.default_rng(seed)
    rows = max(1, _CHUNK_CELLS // max(1, recordings))
    for done in range(0, resamples, rows):
        size = min(rows, resamples - done)
        chosen = random.integers(0, recordings, (size, recordings)) + np.arange(size)[:, None] * recordings
        counted = np.bincount(chosen.ravel(), minlength=size * recordings)
        yield torch.from_numpy(counted.reshape(size, recordings).astype(np.float64))
