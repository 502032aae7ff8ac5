"""Intervals of percentiles, medians and paired differences: distribution-free or bootstrapped with a seed."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from edge.runtime.errors import DataError
from edge.runtime.statistics.percentiles import CONFIDENCE, finite

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2_000
_CHUNK_CELLS = 2_000_000  # resampled indices held at once


class Interval(BaseModel):
    """An estimate and the interval that covers the truth in `confidence` of all repetitions."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    estimate: float
    low: float
    high: float
    confidence: float = CONFIDENCE

    def to_json(self) -> dict[str, Any]:
        """As reports hold it."""
        return self.model_dump()


def percentile_interval(values: ArrayLike, share: float, confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Two-sided interval of a percentile from two order statistics, without assuming any distribution.

    The number of samples below the percentile is binomial(n, share); the ranks cut at most `(1 - confidence) / 2`
    from either tail (David and Nagaraja, *Order Statistics*, 7.1), so it covers at least `confidence`.

    Args:
        values: `[n]` independent samples.
        share: 0.99 for p99.
        confidence: Share of repetitions in which the interval holds the true percentile.

    Returns:
        Lower and upper value, or None where n is too small to bound both sides.

    Raises:
        DataError: A value is not finite, or `share` is not strictly between 0 and 1.
    """
    if not 0.0 < share < 1.0:
        raise DataError(f"share is {share}", "give a value strictly between 0 and 1, e.g. 0.99 for p99")
    ordered = np.sort(finite(values))
    if not len(ordered):
        return None
    below = _binomial_cdf(len(ordered), share)
    tail = (1.0 - confidence) / 2
    low_rank = int(np.searchsorted(below, tail, side="right"))
    high_rank = int(np.searchsorted(below, 1.0 - tail, side="left")) + 1
    if low_rank < 1 or high_rank > len(ordered):
        return None
    return float(ordered[low_rank - 1]), float(ordered[high_rank - 1])


def median_interval(
    values: ArrayLike, seed: int, confidence: float = CONFIDENCE, resamples: int = RESAMPLES
) -> Interval:
    """Bootstrapped interval of a median; the same seed gives the same interval.

    Raises:
        DataError: Fewer than two values, or one is not finite.
    """
    array = finite(values)
    _require_several(len(array), "value")

    def statistic(indices: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(np.median(array[indices], axis=1), np.float64)

    replicates = _bootstrap(statistic, len(array), seed, resamples)
    return replicate_interval(float(np.median(array)), replicates, len(array), confidence)


def clustered_interval(
    differences: ArrayLike,
    clusters: ArrayLike,
    seed: int,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Interval of a mean paired difference, resampling whole clusters.

    Samples of one recording resemble each other; resampling them one by one would promise a far narrower interval
    than a new recording keeps. So recordings are drawn, with all of their samples.

    Args:
        differences: `[n]`, per sample B minus A, e.g. 1 where only B is right, -1 where only A is, else 0.
        clusters: `[n]`, the recording (number or name) that each sample is from.
        seed: Of the resampling.
        confidence: Share of repetitions in which the interval holds the true mean.
        resamples: Bootstrap replicates.

    Raises:
        DataError: Lengths differ, fewer than two clusters, or a difference is not finite.
    """
    array, names = finite(differences), np.asarray(clusters)
    if names.shape != array.shape:
        raise DataError(
            f"{len(array)} differences came with clusters of shape {list(names.shape)}",
            "give each difference the recording that it is from",
        )
    _, member_of = np.unique(names, return_inverse=True)
    counts = np.bincount(member_of)
    sums = np.bincount(member_of, weights=array)
    _require_several(len(counts), "cluster")

    def statistic(indices: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(sums[indices].sum(axis=1) / counts[indices].sum(axis=1), np.float64)

    replicates = _bootstrap(statistic, len(counts), seed, resamples)
    return replicate_interval(float(array.mean()), replicates, len(counts), confidence)


def replicate_interval(
    estimate: float, replicates: NDArray[np.float64], clusters: int, confidence: float = CONFIDENCE
) -> Interval:
    """Expanded percentile interval of a statistic from its bootstrap replicates.

    Args:
        estimate: The statistic of the whole sample.
        replicates: `[resamples]`, the same of each resample.
        clusters: How many independent draws (samples, recordings) a resample has.
        confidence: Share of repetitions in which the interval holds the truth.

    Raises:
        DataError: Fewer than two clusters.
    """
    _require_several(clusters, "cluster")
    tail = _expanded_tail(clusters, confidence)
    low, high = (float(np.quantile(replicates, q)) for q in (tail, 1.0 - tail))
    return Interval(estimate=estimate, low=min(low, estimate), high=max(high, estimate), confidence=confidence)


def _require_several(found: int, what: str) -> None:
    if found < 2:
        raise DataError(f"an interval needs at least two {what}s, here is {found}", f"measure more {what}s")


def _bootstrap(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]], n: int, seed: int, resamples: int
) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    rows = max(1, _CHUNK_CELLS // n)
    sizes = [min(rows, resamples - done) for done in range(0, resamples, rows)]
    return np.concatenate([statistic(random.integers(0, n, (size, n))) for size in sizes])


def _expanded_tail(n: int, confidence: float) -> float:
    """Tail of the expanded percentile interval: Student's t in place of the normal, and n - 1 in place of n.

    Hesterberg, *What Teachers Should Know about the Bootstrap*, 2015, section 4.3: the plain percentile interval
    is too narrow where n is small. The t quantile is Cornish and Fisher's expansion.
    """
    normal = NormalDist()
    z, freedom = normal.inv_cdf(0.5 + confidence / 2), n - 1
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return normal.cdf(-math.sqrt(n / (n - 1)) * t)


def _binomial_cdf(n: int, share: float) -> NDArray[np.float64]:
    """P(B <= k) for k = 0..n-1 of B ~ binomial(n, share), through logarithms so that no term overflows."""
    log_factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1, dtype=np.float64)))))
    k = np.arange(n, dtype=np.int64)
    log_choose = log_factorial[n] - log_factorial[k] - log_factorial[n - k]
    return np.asarray(np.cumsum(np.exp(log_choose + k * math.log(share) + (n - k) * math.log1p(-share))))
