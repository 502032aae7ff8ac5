"""How far apart the best and the worst of several groups are, with an interval that holds for all pairs at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.statistics import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Support:
    """What figures rest on, int64 `[figures, groups]` each.

    Attributes:
        samples: How many.
        recordings: That they are from.
    """

    samples: NDArray[np.int64]
    recordings: NDArray[np.int64]


@dataclass(frozen=True)
class Gap:
    """Between two groups.

    Attributes:
        interval: Of the largest difference.
        figure: Index of the figure that it is in.
        low: Index of the group with the smaller value.
        high: Index of the group with the larger one.
    """

    interval: Interval
    figure: int
    low: int
    high: int


def largest_gap(
    values: NDArray[np.float64],
    replicates: NDArray[np.float64],
    support: Support,
    confidence: float,
) -> Gap | None:
    """The largest difference between two groups in any of several figures.

    The largest of noisy differences is above zero even where all groups are alike, and its bootstrap percentiles even
    more so. So every pair gets an interval of its difference plus and minus c standard errors, with one c for which
    all of them hold at once in `confidence` of the draws (Hothorn, Bretz and Westfall, *Simultaneous Inference in
    General Parametric Models*, 2008): the true largest gap is at least the largest of the lower bounds, at most that
    of the upper ones.

    Args:
        values: `[figures, groups]` in points of 0..100; NaN where a group cannot be judged.
        replicates: `[resamples, figures, groups]`, the same of each draw.
        support: What each value rests on.
        confidence: Of the interval.

    Returns:
        None where no figure has two groups.
    """
    pairs = [(f, *pair) for f in range(len(values)) for pair in _pairs_of(values[f])]
    if not pairs:
        return None
    figure, one, other = np.array(pairs).T
    gaps = np.abs(values[figure, one] - values[figure, other])
    drawn = replicates[:, figure, one] - replicates[:, figure, other]
    errors = np.sqrt(np.nanvar(drawn, 0) + _unseen(values, replicates, support, figure, one, other))
    with np.errstate(invalid="ignore"):
        off = np.abs(drawn - (values[figure, one] - values[figure, other])) / errors
    fewest = int(np.minimum(support.recordings[figure, one], support.recordings[figure, other]).min())
    reach = errors * max(_quantile_of_largest(off, confidence), _student(fewest - 1, confidence))
    at = int(np.argmax(gaps))
    high_first = values[figure[at], one[at]] >= values[figure[at], other[at]]
    low, high = (other[at], one[at]) if high_first else (one[at], other[at])
    bounds = {"low": max(0.0, float((gaps - reach).max())), "high": float((gaps + reach).max())}
    interval = Interval(estimate=float(gaps[at]), confidence=confidence, **bounds)
    return Gap(interval, int(figure[at]), int(low), int(high))


def _pairs_of(values: NDArray[np.float64]) -> list[tuple[int, int]]:
    judged = np.flatnonzero(np.isfinite(values))
    return [(int(a), int(b)) for at, a in enumerate(judged) for b in judged[at + 1 :]]


def _unseen(
    values: NDArray[np.float64],
    replicates: NDArray[np.float64],
    support: Support,
    figure: NDArray[np.int64],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
) -> NDArray[np.float64]:
    """What draws cannot show: a group without one error has no variance, and is not without doubt for that.

    Each group's variance is at least that of a share of its samples with one more right and one more wrong.
    """
    of = support.samples
    right = (np.clip(values / 100.0, 0.0, 1.0) * of + 1.0) / (of + 2.0)
    least = 100.0**2 * right * (1.0 - right) / np.maximum(of, 1)
    with np.errstate(invalid="ignore"):
        missing = np.maximum(0.0, least - np.nanvar(replicates, 0))
    return np.asarray(missing[figure, one] + missing[figure, other])


def _quantile_of_largest(off: NDArray[np.float64], confidence: float) -> float:
    largest = np.nanmax(np.where(np.isfinite(off), off, 0.0), 1)
    return float(np.quantile(largest, confidence))


def _student(freedom: int, confidence: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(max(freedom, 1), 0.5 + confidence / 2)) if freedom > 0 else math.inf
