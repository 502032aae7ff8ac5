"""Whether a model is as often right as it says: reliability bins and the expected calibration error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15  # as in Guo et al. 2017


class ReliabilityBin(BaseModel):
    """Answers whose confidence is in `(low, high]`; the first bin has 0 as well.

    Attributes:
        low: Lower bound of the confidence, 0..1.
        high: Upper bound.
        count: Answers.
        confidence: Their mean, 0..1.
        accuracy: Share of them that came true, 0..1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


class Reliability(BaseModel):
    """Confidence against truth.

    Attributes:
        of: An event's name, or `top label`: the most probable class of each answer.
        error: Expected calibration error in points of 0..100.
        bins: Those that are not empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    of: str
    error: float
    bins: tuple[ReliabilityBin, ...]


def measure_reliability(of: str, confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> Reliability:
    """Sorts answers into 15 bins of equal width by confidence.

    The error is `sum over bins of n_b / n * |accuracy_b - confidence_b|` (Guo et al., "On Calibration of Modern Neural
    Networks", 2017, equation 3), here in points. With several events each is measured by itself, its probability
    against whether it occurred.

    Args:
        of: What the answers are about.
        confidence: `[n]`, 0..1.
        right: `[n]`, whether what was said with this confidence is so.

    Raises:
        DataError: There is no answer, or a confidence is no probability.
    """
    values = np.asarray(confidence, np.float64)
    if not len(values) or not bool(((values >= 0) & (values <= 1)).all()):
        raise DataError(f"'{of}' has no confidences between 0 and 1", "look for NaN in the model's outputs")
    edges = np.linspace(0.0, 1.0, BINS + 1)
    place = np.clip(np.digitize(values, edges, right=True) - 1, 0, BINS - 1)
    counts, sums, hits = (np.bincount(place, weights, BINS) for weights in (None, values, right.astype(np.float64)))
    bins = tuple(
        ReliabilityBin(
            low=float(edges[i]),
            high=float(edges[i + 1]),
            count=int(counts[i]),
            confidence=float(sums[i] / counts[i]),
            accuracy=float(hits[i] / counts[i]),
        )
        for i in np.flatnonzero(counts)
    )
    return Reliability(of=of, error=100.0 * float(np.abs(hits - sums).sum()) / len(values), bins=bins)
