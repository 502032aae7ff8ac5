"""Ranges that the ranks of a job find together, each on its own samples: exactly those of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edge.calibration.observers import BINS, EDGES
from edge.calibration.sample_tails import COLUMNS, FINE_BINS, SampleTails
from edge.calibration.tensor_range import TensorRange
from edge.compress.parallel.collectives import gather_arrays, spread
from edge.compress.parallel.ranks import current_ranks
from edge.compress.quantize.activation_ranges import RangeFinder
from edge.compress.quantize.observation import observe
from edge.compress.quantize.rank_merging import merge_ranges
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.compress.quantize.activation_ranges import Batches
    from edge.compress.quantize.observers import ActivationObserver

_ROWS = 256  # widened at a time


class SharedRangeFinder(RangeFinder):
    """A `RangeFinder` whose passes are collective: every rank gives the same batches and runs its share of them."""

    def _run(self, batches: Batches, ids: Sequence[str], tails: int | None) -> None:
        for observer in self._watched.values():
            observer.range = TensorRange()
            observer.tails = None if tails is None else SampleTails(tails)

        def run_share(_rank: int) -> int:
            return self._run_share(batches, ids)

        ranks = range(current_ranks().world)  # each does its own item; a fault on one is told by all
        if not min(spread(ranks, run_share)):
            raise DataError("the calibration set is empty", "calibrate with at least one sample of the train split")
        merge_ranges(self._graph)
        if tails is not None:
            _merge_tails(list(self._watched.values()), tails)

    def _run_share(self, batches: Batches, ids: Sequence[str]) -> int:
        """Runs every `world`-th batch; how many samples there are in all of them."""
        ranks, place = current_ranks(), 0
        for turn, batch in enumerate(batches):
            if turn % ranks.world == ranks.rank:
                inputs = tuple(torch.from_numpy(values) for values in batch)
                observe(self._graph, [inputs], ids[place:], first=place, inputs=self._inputs)
            place += len(batch[0])
        return place


def _merge_tails(observers: list[ActivationObserver], samples: int) -> None:
    """Joins what the ranks counted of each sample; columns are as one process would have them."""
    tails = [observer.tails for observer in observers if observer.tails is not None]
    counts = gather_arrays(np.stack([part.counts for part in tails]))
    ends = gather_arrays(np.array([_end(part) for part in tails], np.int64))
    for index, observer in enumerate(observers):
        observer.tails = SampleTails(samples)
        for found, end in zip(counts, ends, strict=True):
            for row in range(0, samples, _ROWS):
                observer.tails.add(row, _widened(found[index, row : row + _ROWS], int(end[index])))


def _end(tails: SampleTails) -> int:
    """Where the columns end, among all that there could be."""
    return int(np.searchsorted(EDGES, tails.edges[-1])) // FINE_BINS + 1


def _widened(counts: NDArray[np.uint32], end: int) -> NDArray[np.int64]:
    wide = np.zeros((len(counts), BINS // FINE_BINS), np.int64)
    wide[:, end - COLUMNS : end] = counts
    return wide
