"""Is the error of a group above that of the rest, beyond what chance makes of so many recordings?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FLAT = 1e-6  # skewness below which a Pearson III curve is a normal one


def intraclass_correlation(values: NDArray[np.float64], recording: NDArray[np.int64]) -> float:
    """How alike samples of one recording are, 0..1: the analysis-of-variance estimate for unequal groups.

    Args:
        values: `[N]`.
        recording: Number of each one's recording, `[N]`.
    """
    sizes = np.bincount(recording).astype(np.float64)
    sizes = sizes[sizes > 0]
    samples, groups = len(values), len(sizes)
    if groups < 2 or samples == groups:
        return 0.0
    counts = np.bincount(recording)
    means = np.bincount(recording, values) / np.maximum(counts, 1)
    between = float((counts * (means - values.mean()) ** 2).sum()) / (groups - 1)
    within = float(((values - means[recording]) ** 2).sum()) / (samples - groups)
    usual = (samples - float((sizes**2).sum()) / samples) / (groups - 1)
    whole = between + (usual - 1) * within
    return float(np.clip((between - within) / whole, 0.0, 1.0)) if whole > 0 else 0.0


def excess_p_value(
    errors: NDArray[np.float64], members: NDArray[np.bool_], recording: NDArray[np.int64], alike: float
) -> float:
    """Probability that a random group of this size errs as much or more.

    The mean error of a group drawn at random has moments that are known exactly; the curve through the first three is
    Pearson's type III (Mielke and Berry, *Permutation Methods*, 2007, section 2.3), which keeps its tail where errors
    are rare and resampling would need millions of draws. Samples of one recording are counted as fewer by the design
    effect `1 + (m - 1) r` (Rao and Scott 1992), m the samples a recording within the group.

    Args:
        errors: `[N]` in 0..1.
        members: bool `[N]`; some samples, and not all.
        recording: Number of each sample's recording.
        alike: Intraclass correlation r of the errors.
    """
    samples, inside = len(errors), int(members.sum())
    share, spread = inside / samples, float(errors.std())
    if spread == 0.0:
        return 1.0
    worth = inside / _design_effect(members, recording, alike)
    step = 0.5 / worth if np.isin(errors, (0.0, 1.0)).all() else 0.0  # continuity: counts come in whole numbers
    deviation = spread * np.sqrt((1 - share) / worth * samples / (samples - 1))
    standing = (float(errors[members].mean()) - step - float(errors.mean())) / deviation
    skewness = float((((errors - errors.mean()) / spread) ** 3).mean())
    return _upper_tail(standing, skewness * (1 - 2 * share) / np.sqrt(worth * (1 - share)))


def discovery_rates(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least false discovery rate at which each of the tests would be called significant.

    Benjamini and Hochberg, *Controlling the False Discovery Rate*, 1995, step up.
    """
    count = len(p_values)
    order = np.argsort(p_values)
    scaled = p_values[order] * count / np.arange(1, count + 1)
    rates = np.empty(count)
    rates[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return rates


def _design_effect(members: NDArray[np.bool_], recording: NDArray[np.int64], alike: float) -> float:
    sizes = np.bincount(recording[members]).astype(np.float64)
    return 1.0 + (float((sizes**2).sum() / sizes.sum()) - 1.0) * alike


def _upper_tail(standing: float, skewness: float) -> float:
    """P(Z >= standing) of a curve with mean 0, deviation 1 and this skewness."""
    from scipy.special import gammainc, gammaincc, ndtr

    if abs(skewness) < _FLAT:
        return float(ndtr(-standing))
    shape = 4.0 / skewness**2
    place = shape + np.sign(skewness) * standing * np.sqrt(shape)
    if place <= 0:
        return 1.0 if skewness > 0 else 0.0
    return float(gammaincc(shape, place) if skewness > 0 else gammainc(shape, place))
