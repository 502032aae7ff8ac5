"""What calibration remembers of one tensor: a histogram of its magnitudes, and each sample's largest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edge.calibration.observers import MagnitudeHistogram
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from edge.calibration.observers import Observer


class TensorRange:
    """The magnitudes of one tensor, or of a group that shares a scale, over a calibration set.

    Neither part depends on how the samples were batched, nor on which process saw which: histograms add up, and a
    sample's peak is kept under the sample's place in the set.

    Attributes:
        histogram: Of all values.
        peaks: Largest magnitude of each sample, by its place in the calibration set.
    """

    def __init__(self) -> None:
        self.histogram = MagnitudeHistogram()
        self.peaks: dict[int, float] = {}

    def add_peaks(self, first: int, peaks: ArrayLike) -> None:
        """Notes the peaks of the samples `first`, `first + 1`, ...; of one that was seen before, the larger stands."""
        for place, peak in enumerate(np.asarray(peaks, np.float64).tolist(), first):
            self.peaks[place] = max(peak, self.peaks.get(place, 0.0))

    def merge(self, other: TensorRange) -> None:
        """Adds what another process saw of the same tensor."""
        self.histogram.merge(other.histogram)
        for place, peak in other.peaks.items():
            self.add_peaks(place, [peak])

    def ceiling(self, observer: Observer, percentile: float = 99.99) -> float:
        """The magnitude that the largest INT8 level stands for.

        Args:
            observer: `moving_average` is the mean of the samples' peaks, each sample counting as much as any other, as
                ONNX Runtime has it; PyTorch's decays and so depends on order and batches. The others are of the
                histogram (`MagnitudeHistogram.ceiling`).
            percentile: For `percentile`.

        Raises:
            DataError: Nothing was seen, or the observer is unknown.
        """
        if observer != "moving_average":
            return self.histogram.ceiling(observer, percentile)
        if not self.peaks:
            raise DataError(
                "the observer 'moving_average' was not told which samples it saw",
                "run the calibration samples by edge.compress.quantize.activation_ranges.observe",
            )
        # fsum rounds once, so that the order of the samples does not matter.
        return math.fsum(self.peaks.values()) / len(self.peaks)

    def sample_peaks(self) -> NDArray[np.float64]:
        """Peaks in the order of the samples, `[N]`."""
        return np.array([self.peaks[place] for place in sorted(self.peaks)])
