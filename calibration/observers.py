"""Scales for symmetric INT8 from the magnitudes that a tensor takes on a calibration set; NumPy only.

A histogram's bins are the leading bits of a float32, so any two histograms have the same edges and add up exactly:
one process over the whole set and several over its parts find the same scales.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from edge.calibration.divergence import least_divergent_ceiling
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

HistogramObserver = Literal["minmax", "percentile", "entropy", "mse"]
Observer = Literal["minmax", "moving_average", "percentile", "entropy", "mse"]
INT8_MAX = 127
_MANTISSA_BITS = 6
_SHIFT = 23 - _MANTISSA_BITS
BINS = 1 << (8 + _MANTISSA_BITS)
_CANDIDATES = 160


class MagnitudeHistogram:
    """Counts of |x| in bins of about 1.6 % relative width, and the largest |x|.

    Attributes:
        counts: int64 `[BINS]`.
        largest: Largest magnitude seen, 0 before the first.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.largest = 0.0

    def add(self, values: NDArray[np.float32]) -> None:
        """Counts an array of any shape.

        Raises:
            DataError: It holds NaN or infinity.
        """
        magnitudes = np.abs(np.ravel(values).astype(np.float32, copy=False))
        if not magnitudes.size:
            return
        self.add_counts(np.bincount(magnitudes.view(np.uint32) >> _SHIFT, minlength=BINS), float(magnitudes.max()))

    def add_counts(self, counts: NDArray[np.int64], largest: float) -> None:
        """Adds counts taken elsewhere (another device, another rank).

        Raises:
            DataError: `largest` is NaN or infinite.
        """
        if not np.isfinite(largest):
            raise DataError(
                "an activation is NaN or infinite on the calibration set",
                "check the model's weights and the calibration samples",
            )
        self.counts += counts
        self.largest = max(self.largest, largest)

    def merge(self, other: MagnitudeHistogram) -> None:
        """Adds another histogram of the same tensor."""
        self.add_counts(other.counts, other.largest)

    def ceiling(self, observer: HistogramObserver, percentile: float = 99.99) -> float:
        """The magnitude that the largest INT8 level stands for.

        Args:
            observer: `minmax` clips nothing, `percentile` clips the largest share, `entropy` takes the ceiling whose
                128 levels tell most of the distribution (`least_divergent_ceiling`), `mse` that of the least expected
                squared rounding and clipping error.
            percentile: Share in % of all values, zeros included, that `percentile` leaves unclipped.

        Raises:
            DataError: Nothing was counted, or the observer is unknown.
        """
        if not self.counts.any():
            raise DataError("an activation was never seen during calibration", "calibrate with at least one sample")
        if observer == "minmax":
            return self.largest
        if observer == "percentile":
            return self._percentile(percentile)
        if observer == "entropy":
            return least_divergent_ceiling(self.counts, EDGES, self.largest)
        if observer == "mse":
            return self._least_squares()
        raise DataError(
            f"a histogram has no observer '{observer}'", f"use one of {', '.join(get_args(HistogramObserver))}"
        )

    def share_above(self, magnitude: float) -> float:
        """Share of all values, zeros included, that are larger; within a bin they count as spread evenly."""
        if magnitude >= self.largest:
            return 0.0
        bin_ = int(np.searchsorted(EDGES, magnitude, side="right")) - 1
        upper = min(EDGES[bin_ + 1], self.largest)
        inside = self.counts[bin_] * (upper - magnitude) / (upper - EDGES[bin_])
        return float((self.counts[bin_ + 1 :].sum() + inside) / self.counts.sum())

    def _percentile(self, percentile: float) -> float:
        reached = np.cumsum(self.counts) >= self.counts.sum() * (percentile / 100)
        return float(min(EDGES[int(np.argmax(reached)) + 1], self.largest))

    def _least_squares(self) -> float:
        used = np.flatnonzero(self.counts)
        weights = self.counts[used].astype(np.float64)
        values = np.where(used == 0, 0.0, (EDGES[used] + EDGES[used + 1]) / 2)
        candidates = self.largest * np.geomspace(0.05, 1.0, _CANDIDATES)
        errors = [float(weights @ squared_error(values, ceiling)) for ceiling in candidates]
        # The last of equals: where clipping gains nothing, nothing is clipped.
        return float(candidates[len(errors) - 1 - int(np.argmin(errors[::-1]))])


def symmetric_scale(ceiling: float, smallest: float = 1e-7) -> float:
    """Scale of the symmetric INT8 grid whose level 127 is `ceiling`; never below `smallest`, a dead tensor's."""
    return max(ceiling / INT8_MAX, smallest)


def _bin_edges() -> NDArray[np.float64]:
    finite = np.arange(255 << _MANTISSA_BITS, dtype=np.uint32) << _SHIFT
    edges = np.full(BINS + 1, np.inf)
    edges[: len(finite)] = finite.view(np.float32)
    return edges


def squared_error(values: NDArray[np.float64], ceiling: float) -> NDArray[np.float64]:
    """Expected squared error of each magnitude on the INT8 grid that ends at `ceiling`: of rounding, or of clipping."""
    step = ceiling / INT8_MAX
    rounding = np.minimum(np.square(values), step * step / 12)
    return np.where(values > ceiling, np.square(values - ceiling), rounding)


EDGES = _bin_edges()
"""float64 `[BINS + 1]`: where each bin begins; infinity from the first that no finite float32 falls into."""
