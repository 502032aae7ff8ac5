"""Ranges found by all ranks, here by one; `tests/compress/parallel/test_ranks.py` has two processes beside one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edge.compress.quantize.activation_ranges import RangeFinder
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.shared_ranges import SharedRangeFinder
from edge.runtime.errors import DataError

SAMPLES = 21


def found_by(kind: type[RangeFinder]) -> RangeFinder:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)).eval()
    return kind(net, (torch.zeros(2, 2, 4, 4),), QuantizeConfig(observer="entropy"))


def batches(size: int, **changes: float) -> list[tuple[Any, ...]]:
    images = np.random.default_rng(0).normal(size=(SAMPLES, 2, 4, 4)).astype(np.float32)
    images *= np.linspace(0.1, 30, SAMPLES, dtype=np.float32).reshape(-1, 1, 1, 1)
    for row, value in changes.items():
        images[int(row.removeprefix("row"))] = value
    return [(images[i : i + size],) for i in range(0, SAMPLES, size)]


def test_one_process_finds_what_a_range_finder_finds_however_samples_are_batched() -> None:
    plain, shared = found_by(RangeFinder), found_by(SharedRangeFinder)
    assert shared.model_digest == plain.model_digest
    expected, _ = plain.by_sample(batches(4), SAMPLES)
    found, _ = shared.by_sample(batches(5), SAMPLES)
    assert len(found) == len(expected) > 1
    for one, other in zip(expected, found, strict=True):
        assert one.ceiling == other.ceiling
        for name in ("peaks", "counts", "edges"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
    again = shared.ranges(batches(3))
    for name, wanted in plain.ranges(batches(7)).items():
        assert np.array_equal(again[name].histogram.counts, wanted.histogram.counts)
        assert again[name].peaks == wanted.peaks


def test_no_sample_is_refused() -> None:
    with pytest.raises(DataError, match="the calibration set is empty"):
        found_by(SharedRangeFinder).ranges([])


def test_a_value_that_is_not_finite_is_named_by_its_place_in_the_whole_set() -> None:
    with pytest.raises(DataError, match="for sample '13'"):
        found_by(SharedRangeFinder).ranges(batches(4, row13=float("nan")))
    with pytest.raises(DataError, match="for sample 'street-13'"):
        found_by(SharedRangeFinder).ranges(batches(4, row13=float("inf")), [f"street-{i}" for i in range(SAMPLES)])
