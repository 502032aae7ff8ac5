"""Bootstrap over recordings: one set of draws for all figures of an explanation, so that they can be compared."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from edge.runtime.statistics import Interval, replicate_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_CHUNK_ROWS = 64


class Quantity(BaseModel):
    """A figure, and the interval that its recordings allow.

    Attributes:
        value: Of all samples.
        interval: None where there are too few recordings for one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: float
    interval: Interval | None = None


class RecordingDraws:
    """Draws whole recordings, since samples of one recording resemble each other.

    Args:
        recordings: The recording of each sample.
        resamples: Draws.
        seed: Of them.
        confidence: Of the intervals.
    """

    def __init__(self, recordings: Sequence[str], resamples: int, seed: int, confidence: float) -> None:
        names, self.recording = np.unique(np.asarray(recordings), return_inverse=True)
        self.count = len(names)
        self.confidence = confidence
        self._resamples, self._seed = resamples, seed

    @cached_property
    def weights(self) -> NDArray[np.float32]:
        """float32 `[resamples, recordings]`: how often each draw holds each recording."""
        random = np.random.default_rng(self._seed)
        weights = np.empty((self._resamples, self.count), np.float32)
        for start in range(0, self._resamples, _CHUNK_ROWS):
            rows = weights[start : start + _CHUNK_ROWS]
            chosen = random.integers(0, self.count, rows.shape) + np.arange(len(rows))[:, None] * self.count
            rows[:] = np.bincount(chosen.ravel(), minlength=rows.size).reshape(rows.shape)
        return weights

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """`[N, ...]` of samples, added up by recording: `[recordings, ...]`."""
        flat = values.reshape(len(values), -1)
        found = np.zeros((self.count, flat.shape[1]))
        np.add.at(found, self.recording, flat)
        return found.reshape(self.count, *values.shape[1:])

    def replicates(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """`[N, ...]` of samples, summed over each draw: `[resamples, ...]`."""
        sums = self.sums(values)
        drawn = self.weights.astype(np.float64) @ sums.reshape(self.count, -1)
        return np.asarray(drawn.reshape(self._resamples, *values.shape[1:]))

    def quantity(self, value: float, replicates: NDArray[np.float64], clusters: int | None = None) -> Quantity:
        """A figure with its interval.

        Args:
            value: Of all samples.
            replicates: Of each draw; those that are not finite (nobody was drawn) are left out.
            clusters: Recordings that the figure rests on; all of them where it is not given.
        """
        clusters = self.count if clusters is None else clusters
        finite = replicates[np.isfinite(replicates)]
        if clusters < 2 or not len(finite):
            return Quantity(value=value)
        return Quantity(value=value, interval=replicate_interval(value, finite, clusters, self.confidence))

    def mean(self, values: NDArray[np.float64]) -> Quantity:
        """Of a figure `[N]` of samples."""
        drawn = self.replicates(np.stack([values, np.ones_like(values)], 1))
        return self.quantity(float(values.mean()), drawn[:, 0] / drawn[:, 1])
