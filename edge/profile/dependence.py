"""How much a run's durations tell where one is like the one before: intervals that hold although they depend.

A machine is slow for a while and then fast for a while, so neighbouring durations resemble each other, and n of them
say less than n independent ones. Order statistics alone would promise too narrow an interval.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.statistics import percentile_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_WINDOW = 5.0  # sums of correlations are cut where the lag passes so many times their value (Sokal)
_NOISE = 2.0  # standard errors within which a sum of correlations cannot be told from none


def correlation_time(marks: NDArray[np.bool_]) -> float:
    """How many samples in a row count as one, at least 1: `1 + 2 sum(correlation at lag)` of what is marked or not.

    The sum is cut by a window that grows with it (Sokal, *Monte Carlo Methods in Statistical Mechanics*, 1996,
    section 3), and corrected for the mean being that of the same samples (Wolff, Computer Physics Communications 156,
    2004, equation 49). Where it stays within the noise of independent samples, they count as independent.

    Args:
        marks: `[n]`, in the order in which they were taken.
    """
    n = len(marks)
    centred = marks - marks.mean()
    spread = float(centred @ centred)
    if n < 4 or spread <= 0:
        return 1.0
    spectrum = np.fft.rfft(centred, 2 * n)
    sums = 1.0 + 2.0 * np.cumsum(np.fft.irfft(spectrum * np.conj(spectrum))[1:n] / spread)
    inside = np.nonzero(np.arange(1, n) >= _WINDOW * np.maximum(sums, 1.0))[0]
    lags = int(inside[0]) + 1 if len(inside) else n - 1
    found = float(sums[lags - 1]) * (1.0 + (2 * lags + 1) / n)
    return found if found > 1.0 + _NOISE * math.sqrt(4.0 * lags / n) else 1.0


def dependent_interval(values: ArrayLike, share: float) -> tuple[float, float] | None:
    """95 % interval of a percentile of durations that may depend on those before them.

    The ranks are those of as many independent samples as they are worth, `n / correlation_time`, stretched to n.

    Args:
        values: `[n]`, in the order in which they were taken.
        share: 0.99 for p99.

    Returns:
        Lower and upper value, or None where that is too few to bound both sides.

    Raises:
        DataError: A value is not finite.
    """
    array = np.asarray(values, np.float64)
    if len(array) < 2:
        return None
    worth = worth_samples(array, share)
    if worth == len(array):
        return percentile_interval(array, share)
    ranks = percentile_interval(np.arange(1, worth + 1), share)
    if ranks is None:
        return None
    low, high = ranks
    ordered, n = np.sort(array), len(array)
    return float(ordered[math.floor((low - 0.5) / worth * n)]), float(ordered[min(n, math.ceil(high / worth * n)) - 1])


def worth_samples(values: ArrayLike, share: float) -> int:
    """As how many independent samples `[n]` values count for a percentile.

    Both ways to count what equals the percentile are looked at, for one burst of equal durations may be all its tail.
    """
    array = np.asarray(values, np.float64)
    if len(array) < 2:
        return len(array)
    middle = np.quantile(array, share, method="inverted_cdf")
    return int(len(array) / max(correlation_time(array <= middle), correlation_time(array < middle)))
