"""The entropy observer: which ceiling lets 128 levels tell most of a distribution (Kullback-Leibler divergence)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINEAR_BINS = 2048
LEVELS = 128
POOLED = 4
MOST_CLIPPED = 0.05
SHARPNESS = 4
_NOTHING = 1e-9
# Every bin up to twice the first ceiling, then every second, ...: neighbours are within 0.8 % everywhere.
CEILINGS = np.unique(np.concatenate([np.arange(LEVELS << k, (LEVELS << k + 1) + 1, 1 << k) for k in range(4)]))


def least_divergent_ceiling(counts: NDArray[np.int64], edges: NDArray[np.float64], largest: float) -> float:
    """The ceiling at which what 128 levels keep of a distribution diverges least from it.

    As TensorRT does it (S. Migacz, "8-bit Inference with TensorRT", GTC 2017): magnitudes in 2,048 equal bins up to the
    largest; each ceiling from the 128th bin on clips what lies above into its last bin, and its bins are merged into
    128 levels, each spread evenly over those of its bins that are not empty. As in NVIDIA's later calibrators, levels
    are equally wide (whole multiples of a bin let the curve jump at every 128th), and the bin of the zeros counts as
    much as the one beside it, or a ReLU's zeros would outweigh all that has a range.

    Two things are ours. Ceilings that clip more than 5 % of the rest are no candidates: where all values are far from
    zero, the ceiling below them all has no divergence, for it clips everything into one bin. And the curve is flat and
    jagged about its least value, whose place moves by a fifth of the range with the samples; so what is returned is
    the middle of the ceilings with the least divergences, weighed by the fourth power of least over own divergence,
    of counts in bins of a sixteenth of an octave.

    Args:
        counts: `[n]`, of magnitudes; four bins are pooled.
        edges: `[n + 1]`, rising; where a histogram's bins begin and end.
        largest: The largest magnitude.
    """
    return least_divergent_of_columns(counts.reshape(-1, POOLED).sum(1), edges[::POOLED], largest)


def least_divergent_of_columns(counts: NDArray[np.integer], edges: NDArray[np.float64], largest: float) -> float:
    """`least_divergent_ceiling` of counts in bins of a sixteenth of an octave, that is with four pooled already.

    Args:
        counts: `[n]`, of magnitudes.
        edges: `[n + 1]`, rising.
        largest: The largest magnitude.
    """
    if largest <= 0:
        return largest
    bins = linear_bins(counts, edges, largest)
    bins[0] = bins[1]
    if not bins.any():
        return largest
    found = divergences(bins, CEILINGS)
    found[np.cumsum(bins)[CEILINGS - 1] < (1 - MOST_CLIPPED) * bins.sum()] = np.inf
    return largest * _balanced(found) / LINEAR_BINS


def linear_bins(counts: NDArray[np.integer], edges: NDArray[np.float64], largest: float) -> NDArray[np.float64]:
    """Counts in `LINEAR_BINS` equal bins up to `largest`: each bin's are spread evenly over its width.

    Returns:
        float64 `[LINEAR_BINS]`.
    """
    used = np.flatnonzero(counts)
    first, last = int(used[0]), int(used[-1]) + 1
    ends = np.minimum(edges[first : last + 1], largest)
    below = np.concatenate([[0.0], np.cumsum(counts[first:last])])
    grid = np.linspace(0.0, largest, LINEAR_BINS + 1)
    return np.diff(np.interp(grid, ends, below, left=0.0))


def divergences(bins: NDArray[np.float64], ceilings: NDArray[np.int64]) -> NDArray[np.float64]:
    """KL divergence of each clipped distribution from its 128 levels, by prefix sums over all ceilings at once.

    With p clipped at bin i, and q constant on the non-empty bins of a level, sum(p log q) needs of each level only
    its count and how many of its bins are not empty.

    Args:
        bins: float64 `[n]`, not all zero.
        ceilings: int64 `[m]`, how many bins each ceiling keeps: 128 to n.

    Returns:
        float64 `[m]`; infinite where a level that holds clipped values holds no others.
    """
    below, filled, information = (_prefix(x) for x in (bins, (bins > 0).astype(np.float64), _times_log(bins)))
    total, inside = below[-1], below[ceilings]
    last = bins[ceilings - 1]
    clipped = last + (total - inside)
    bounds = np.arange(LEVELS + 1) * ceilings[:, None] // LEVELS
    starts, ends = bounds[:, :-1], bounds[:, 1:]
    levels, spread = below[ends] - below[starts], filled[ends] - filled[starts]
    spread[:, -1] += (last == 0) & (clipped > 0)  # the clipped values fill the last bin
    held = levels.copy()
    held[:, -1] += total - inside
    with np.errstate(divide="ignore", invalid="ignore"):
        told = np.where(held > 0, held * np.log(levels / spread), 0.0).sum(1)
        entropy = information[ceilings - 1] + _times_log(clipped)
        return np.where(inside > 0, (entropy - told) / total + np.log(inside / total), np.inf)


def _balanced(found: NDArray[np.float64]) -> float:
    """The middle of the ceilings, in octaves, that diverge least: each weighs as much as it is near the least."""
    least = max(float(found.min()), _NOTHING)
    weights = (least / np.maximum(found, _NOTHING)) ** SHARPNESS * np.gradient(np.log(CEILINGS))
    return float(np.exp(weights @ np.log(CEILINGS) / weights.sum()))


def _prefix(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(values)])


def _times_log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values * np.log(np.where(values > 0, values, 1.0)))
