"""The ceilings that the entropy observer finds for any choice of samples, from each sample's tails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.calibration.divergence import least_divergent_of_columns
from edge.calibration.scale_curves import STEP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.calibration.sample_tails import SampleRanges


@dataclass(frozen=True, eq=False)
class DivergenceCeilings:
    """Tails of all samples and tensors, and the ceilings of all samples together.

    Attributes:
        counts: By tensor `[N, columns]`.
        edges: By tensor `[columns + 1]`; what is below the second edge is taken to be spread evenly down to zero.
        peaks: `[N, T]`, largest magnitudes.
        targets: `[T]`, ceilings of all samples, found in the same way as those of a choice.
    """

    counts: tuple[NDArray[np.uint32], ...]
    edges: tuple[NDArray[np.float64], ...]
    peaks: NDArray[np.float64]
    targets: NDArray[np.float64]

    @classmethod
    def of(cls, tensors: Sequence[SampleRanges], order: NDArray[np.int64]) -> DivergenceCeilings:
        """Of samples in this order."""
        counts = tuple(tensor.counts[order] for tensor in tensors)
        edges = tuple(_with_ends(tensor.edges) for tensor in tensors)
        peaks = np.stack([tensor.peaks[order] for tensor in tensors], 1)
        return cls(counts, edges, peaks, _found(counts, edges, peaks))

    def distance(self, places: Sequence[int]) -> float:
        """How far the ceilings of a choice are from those of all: squared octaves, summed over tensors."""
        rows = list(places)
        found = _found([counts[rows] for counts in self.counts], self.edges, self.peaks[rows])
        with np.errstate(divide="ignore"):
            octaves = np.log2(found / self.targets)
        return float(np.square(octaves).sum())


def _with_ends(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], edges[1:], [edges[-1] * STEP]])


def _found(
    counts: Sequence[NDArray[np.uint32]], edges: Sequence[NDArray[np.float64]], peaks: NDArray[np.float64]
) -> NDArray[np.float64]:
    largest = peaks.max(0)
    sums = (c.sum(0, dtype=np.int64) for c in counts)
    return np.array([least_divergent_of_columns(*given) for given in zip(sums, edges, largest.tolist(), strict=True)])
