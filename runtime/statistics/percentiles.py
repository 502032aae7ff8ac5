"""Percentiles that a sample can support, and null where it cannot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from edge.runtime._core import LogHistogram

CONFIDENCE = 0.95


def minimum_samples(share: float, confidence: float = CONFIDENCE) -> int:
    """Fewest samples that can bound the percentile `share`: the smallest n with `1 - share^n >= confidence`.

    Of n independent samples all lie below the true percentile with probability `share^n`; only when that is
    unlikely enough is the largest of them an upper bound of the percentile (David and Nagaraja, *Order
    Statistics*, 7.1). It is the case without any sample over the limit of MLPerf LoadGen's early stopping.
    p50 needs 5, p90 29, p99 299 and p99.9 2,995 samples at 95 %.

    Raises:
        DataError: `share` or `confidence` is not strictly between 0 and 1.
    """
    for name, value in (("share", share), ("confidence", confidence)):
        if not 0.0 < value < 1.0:
            raise DataError(f"{name} is {value}", "give a value strictly between 0 and 1, e.g. 0.99 for p99")
    n = max(1, math.ceil(math.log1p(-confidence) / math.log(share)))
    while n > 1 and 1.0 - share ** (n - 1) >= confidence:
        n -= 1
    while 1.0 - share**n < confidence:
        n += 1
    return n


def percentile(values: ArrayLike, share: float, confidence: float = CONFIDENCE) -> float | None:
    """The nearest-rank percentile: the smallest value that at least `share` of all values do not exceed.

    Args:
        values: `[n]` numbers, any order and unit.
        share: 0.99 for p99.
        confidence: See `minimum_samples`.

    Returns:
        One of the values, or None where n is too small for this percentile.

    Raises:
        DataError: A value is not finite.
    """
    return _nearest_rank(np.sort(finite(values)), share, confidence)


class Distribution(BaseModel):
    """A sample in the form that every report uses: `{n, p50, p90, p99, p99.9, max}`.

    Percentiles that n does not support at 95 % are None, and so is `max` of an empty sample. JSON needs
    `model_dump(by_alias=True)`, because one key has a dot in its name; `to_json` does that.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    n: int = Field(ge=0)
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    p99_9: float | None = Field(default=None, validation_alias="p99.9", serialization_alias="p99.9")
    max: float | None = None

    @classmethod
    def of(cls, values: ArrayLike, unit: float = 1.0) -> Distribution:
        """Summarises `[n]` values.

        Args:
            values: Any order, any unit.
            unit: What the values are divided by, e.g. NS_PER_MS to have nanoseconds in milliseconds.

        Raises:
            DataError: A value is not finite.
        """
        ordered = np.sort(finite(values)) / unit
        return cls(
            n=len(ordered),
            p50=_nearest_rank(ordered, 0.5),
            p90=_nearest_rank(ordered, 0.9),
            p99=_nearest_rank(ordered, 0.99),
            p99_9=_nearest_rank(ordered, 0.999),
            max=float(ordered[-1]) if len(ordered) else None,
        )

    @classmethod
    def of_histogram(cls, histogram: LogHistogram, unit: float = 1.0) -> Distribution:
        """Summarises what a histogram counted: `n` and `max` are exact, percentiles within 0.8 %.

        Args:
            histogram: Of nanoseconds.
            unit: What the values are divided by, e.g. NS_PER_MS to have them in milliseconds.
        """
        n = histogram.count

        def at(share: float) -> float | None:
            return histogram.percentile(share) / unit if n >= minimum_samples(share) else None

        return cls(
            n=n, p50=at(0.5), p90=at(0.9), p99=at(0.99), p99_9=at(0.999), max=histogram.max / unit if n else None
        )

    def to_json(self) -> dict[str, Any]:
        """The six keys of the contract."""
        return self.model_dump(by_alias=True)


def finite(values: ArrayLike) -> NDArray[np.float64]:
    """`values` as float64 `[n]`.

    Raises:
        DataError: They are not one-dimensional or not finite.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise DataError(f"a sample of shape {list(array.shape)} was given", "pass a one-dimensional list of numbers")
    if not np.isfinite(array).all():
        bad = int(np.count_nonzero(~np.isfinite(array)))
        raise DataError(f"{bad} of {len(array)} values are NaN or infinite", "drop or count them before")
    return array


def _nearest_rank(ordered: NDArray[np.float64], share: float, confidence: float = CONFIDENCE) -> float | None:
    n = len(ordered)
    if n < minimum_samples(share, confidence):
        return None
    rank = math.ceil(round(share * n, 9))  # 0.07 * 100 is a hair above 7
    return float(ordered[rank - 1])
