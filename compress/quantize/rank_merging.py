"""Joins what the ranks of a job saw of a prepared graph, each on its own calibration samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edge.compress.parallel.collectives import gather_arrays, max_over_ranks, sum_over_ranks
from edge.compress.quantize.observers import ActivationObserver
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from torch import nn


def merge_ranges(prepared: nn.Module) -> None:
    """Gives the observers of every rank what those of all ranks saw; scales are then those of one process.

    Collective: all ranks call it once, after each ran its samples by `edge.compress.quantize.observation.observe`,
    with `first` saying where in the set they begin. Counts are integers and peaks belong to samples, so nothing
    depends on how the samples were shared out.

    Args:
        prepared: By `prepare_pt2e`, from the same model on all ranks.

    Raises:
        DataError: The ranks' graphs have different numbers of observers.
    """
    observers = [module for module in prepared.modules() if isinstance(module, ActivationObserver)]
    found = [int(part[0]) for part in gather_arrays(np.array([len(observers)]))]
    if len(set(found)) != 1:
        raise DataError(f"the ranks prepared graphs of {found} observers", "prepare one model on all ranks")
    if not observers:
        return
    counts = sum_over_ranks(torch.from_numpy(np.stack([o.histogram.counts for o in observers]))).numpy()
    largest = max_over_ranks(torch.tensor([o.histogram.largest for o in observers], dtype=torch.float64)).tolist()
    for observer, summed, top in zip(observers, counts, largest, strict=True):
        observer.histogram.counts = summed
        observer.histogram.largest = top
    _share_peaks(observers)


def _share_peaks(observers: list[ActivationObserver]) -> None:
    """As rows of observer, sample and peak; float64 holds the first two exactly."""
    rows = [(i, place, peak) for i, o in enumerate(observers) for place, peak in o.range.peaks.items()]
    for part in gather_arrays(np.array(rows, np.float64).reshape(-1, 3)):
        for observer, place, peak in part.tolist():
            observers[int(observer)].range.add_peaks(int(place), [peak])
