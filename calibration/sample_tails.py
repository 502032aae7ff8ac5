"""How often each sample exceeds what, of one tensor: what a choice of samples by ranges looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.calibration.observers import EDGES

if TYPE_CHECKING:
    from numpy.typing import NDArray

FINE_BINS = 4  # of a histogram in a column
COLUMNS = 128  # the upper 8 octaves; what is smaller counts in the lowest column


class SampleTails:
    """Counts of each sample's magnitudes in columns of a sixteenth of an octave, from the largest one down.

    Which column is the last follows from the largest magnitude of all samples, so that neither their order nor their
    batches matter.

    Args:
        samples: How many there will be.
    """

    def __init__(self, samples: int) -> None:
        self._counts = np.zeros((samples, COLUMNS), np.uint32)
        self._end = COLUMNS

    def add(self, first: int, columns: NDArray[np.int64]) -> None:
        """Adds the counts `[n, BINS / FINE_BINS]` of the samples `first`, `first + 1`, ..."""
        used = np.flatnonzero(columns.any(0))
        if not used.size:
            return
        self._raise_to(int(used[-1]) + 1)
        start = self._end - COLUMNS
        rows = self._counts[first : first + len(columns)]
        rows += columns[:, start : self._end].astype(np.uint32)
        rows[:, 0] += columns[:, :start].sum(1).astype(np.uint32)

    @property
    def counts(self) -> NDArray[np.uint32]:
        """`[samples, COLUMNS]`."""
        return self._counts

    @property
    def edges(self) -> NDArray[np.float64]:
        """Where each column begins, `[COLUMNS]`; the first holds everything below the second, too."""
        return EDGES[(self._end - COLUMNS) * FINE_BINS : self._end * FINE_BINS : FINE_BINS]

    def _raise_to(self, end: int) -> None:
        higher = min(end - self._end, COLUMNS)
        if higher <= 0:
            return
        folded = self._counts[:, : higher + 1].sum(1)
        self._counts[:, : COLUMNS - higher] = self._counts[:, higher:]
        self._counts[:, COLUMNS - higher :] = 0
        self._counts[:, 0] = folded
        self._end = end


@dataclass(frozen=True, eq=False)
class SampleRanges:
    """One tensor over the large set, sample by sample.

    Attributes:
        peaks: float `[N]`, largest magnitude of each sample.
        counts: `[N, columns]`, how many of a sample's magnitudes fall into each column.
        edges: `[columns]`, rising; where each column begins.
        ceiling: The ceiling of the large set.
    """

    peaks: NDArray[np.float64]
    counts: NDArray[np.uint32]
    edges: NDArray[np.float64]
    ceiling: float
