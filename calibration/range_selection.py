"""A small set whose scales are those of a large one: samples chosen by the ranges that they bring about.

What makes a scale depends on the observer, and so does what a small set must share with the large one: the largest
magnitudes (`minmax`), their mean (`moving_average`), or how often the magnitudes near the scale's ceiling are exceeded
(`percentile`, `entropy`, `mse`). The first is a covering problem, solved greedily. The others are means over samples:
the set is grown by the sample that brings all its means nearest to those of the large set (herding). Then samples are
exchanged as long as that brings the ceilings nearer. `entropy` depends on the largest magnitudes too: a quarter of its
set covers those, and its ceilings, which are no sums over samples, are found anew for every exchange that is tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.calibration.divergence_ceilings import DivergenceCeilings
from edge.calibration.scale_curves import ScaleCurves
from edge.calibration.selection import shares_of
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.calibration.cache import RangeMethod
    from edge.calibration.sample_tails import SampleRanges

SWEEPS = 4
CANDIDATES = 384  # that are tried in a sample's place
DIVERGENCE_TRIALS = 8  # exchanges that are tried for each sample: a trial finds every tensor's ceiling
_LEAST_PEAK = 1e-3  # of a tensor's largest: smaller peaks of a sample are all alike


def choose_by_ranges(
    tensors: Sequence[SampleRanges],
    strata: NDArray[np.integer],
    wanted: int,
    method: RangeMethod,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Indices of `wanted` samples, rising, whose ranges together are those of all; the same for one seed.

    Args:
        tensors: What is to be quantized, each over the same samples.
        strata: int `[N]`, the modality state of each sample; each gets its share.
        wanted: How many; at most N.
        method: How the scales will be found.
        seed: Decides between samples that serve equally.

    Raises:
        DataError: There is no tensor, or fewer samples than wanted.
    """
    alive = [tensor for tensor in tensors if tensor.ceiling > 0]
    if not alive:
        raise DataError("no tensor has a range to choose samples by", "pass samples on which the model is not all zero")
    pool = _Pool(strata, wanted, seed)
    if method.observer == "minmax":
        places = _cover(_peaks(alive), pool, wanted)
    elif method.observer == "moving_average":
        places = _herd(np.stack([t.peaks / t.peaks.mean() for t in alive], 1), pool)
    else:
        curves = ScaleCurves.of(alive, method.observer, method.percentile)
        if method.observer == "entropy":  # its bins end at the largest magnitude
            places = _herd(_shapes(curves), pool, _cover(_peaks(alive), pool, wanted // 4))
            _exchange_by_divergence(DivergenceCeilings.of(alive, pool.order), places, pool)
        else:
            places = _herd(_shapes(curves), pool)
            _exchange(curves, places, pool)
    return np.sort(pool.order[places])


class _Pool:
    """Samples still to be had: each stratum gives only its share."""

    def __init__(self, strata: NDArray[np.integer], wanted: int, seed: int) -> None:
        self.left = shares_of(strata, wanted)
        self.wanted = wanted
        self.seed = seed
        self.order = np.random.default_rng(seed).permutation(len(strata))  # the first of equals is a random one
        self.strata = strata[self.order]
        self.free = np.isin(self.strata, [s for s, n in self.left.items() if n])

    def take(self, place: int) -> None:
        """Takes the sample at this place of `order`."""
        stratum = int(self.strata[place])
        self.free[place] = False
        self.left[stratum] -= 1
        if not self.left[stratum]:
            self.free[self.strata == stratum] = False


def _peaks(tensors: Sequence[SampleRanges]) -> NDArray[np.float64]:
    """Peaks as shares of each tensor's largest, `[N, T]`."""
    return np.stack([t.peaks / t.peaks.max() for t in tensors], 1)


def _cover(peaks: NDArray[np.float64], pool: _Pool, most: int) -> list[int]:
    """The samples that raise the tensors' largest magnitudes most, in octaves summed over tensors."""
    heights = np.log2(np.maximum(peaks[pool.order], _LEAST_PEAK)).astype(np.float32)
    reached = np.full(heights.shape[1], np.log2(_LEAST_PEAK), np.float32)
    places: list[int] = []
    while len(places) < most:
        gains = np.maximum(heights - reached, 0).sum(1)
        place = int(np.argmax(np.where(pool.free, gains, -1.0)))
        pool.take(place)
        places.append(place)
        reached = np.maximum(reached, heights[place])
    return places


def _herd(means: NDArray[np.floating], pool: _Pool, taken: Sequence[int] = ()) -> list[int]:
    """Samples beside those taken, such that the sum of `means`, each 1 on average, is nearest to their number."""
    rows = means[pool.order].astype(np.float32)
    lengths = np.square(rows).sum(1)
    places = list(taken)
    total = rows[places].sum(0)
    while len(places) < pool.wanted:
        distances = lengths + 2 * (rows @ (total - (len(places) + 1)))
        place = int(np.argmin(np.where(pool.free, distances, np.inf)))
        pool.take(place)
        places.append(place)
        total += rows[place]
    return places


def _shapes(curves: ScaleCurves) -> NDArray[np.float32]:
    """Every fourth point of the curves, by its mean over all samples."""
    points = curves.values[:, :, ::4].reshape(len(curves.values), -1)
    mean = points.mean(0)
    return np.asarray(points[:, mean > 0] / mean[mean > 0], np.float32)


def _exchange(curves: ScaleCurves, places: list[int], pool: _Pool) -> None:
    """Exchanges each sample for one of its stratum that brings the ceilings nearer, until none does."""
    generator = np.random.default_rng(pool.seed)
    values = curves.values[pool.order]
    total = values[places].sum(0)
    for _ in range(SWEEPS):
        before = list(places)
        for index, place in enumerate(places):
            others = np.flatnonzero(pool.strata == pool.strata[place])
            others = np.setdiff1d(others, places)
            tried = np.append(place, generator.permutation(others)[:CANDIDATES])
            errors = curves.errors(total - values[place] + values[tried], len(places))
            best = int(tried[np.argmin(np.square(errors).sum(1))])
            total += values[best] - values[place]
            places[index] = best
        if places == before:
            break


def _exchange_by_divergence(ceilings: DivergenceCeilings, places: list[int], pool: _Pool) -> None:
    """Tries to put another sample of its stratum into each one's place, again and again, and keeps what is nearer."""
    generator = np.random.default_rng(pool.seed)
    nearest = ceilings.distance(places)
    for trial in range(DIVERGENCE_TRIALS * len(places)):
        index = trial % len(places)
        others = np.setdiff1d(np.flatnonzero(pool.strata == pool.strata[places[index]]), places)
        if not others.size:
            continue
        tried = [*places]
        tried[index] = int(generator.choice(others))
        distance = ceilings.distance(tried)
        if distance < nearest:
            nearest = distance
            places[:] = tried
