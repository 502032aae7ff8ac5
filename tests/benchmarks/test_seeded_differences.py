"""The interval over seeds and recordings: centred, wider where seeds differ, and paired."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from edge.training.metrics import AccuracyMetric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
POINTS = AccuracyMetric().points


@pytest.fixture(scope="module")
def differences() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("seeded_differences")
    finally:
        sys.path.remove(str(BENCHMARKS))


def counts(right: NDArray[np.float64]) -> NDArray[np.float64]:
    """`[seeds, recordings]` right of 10 samples each."""
    return np.stack([right, np.full_like(right, 10.0)], axis=-1)


def test_the_estimate_is_the_mean_gain_of_the_seeds(differences: Any) -> None:
    random = np.random.default_rng(0)
    less, more = random.integers(2, 7, (3, 40)).astype(float), random.integers(4, 9, (3, 40)).astype(float)
    found = differences.seeded_interval([(counts(more), counts(less))], POINTS)
    assert found.estimate == pytest.approx(10 * float((more - less).mean()))
    assert found.low < found.estimate < found.high
    assert found == differences.seeded_interval([(counts(more), counts(less))], POINTS), "a seed repeats the draws"


def test_states_are_averaged(differences: Any) -> None:
    less = np.full((2, 20), 5.0)
    found = differences.seeded_interval([(counts(less + 2), counts(less)), (counts(less + 1), counts(less))], POINTS)
    assert found.estimate == pytest.approx(15.0)
    assert (found.low, found.high) == pytest.approx((15.0, 15.0)), "nothing varies"


def test_what_makes_a_recording_hard_for_both_cancels_and_seeds_that_differ_widen(differences: Any) -> None:
    hard = np.random.default_rng(1).integers(0, 9, 60).astype(float)
    alike = np.stack([hard, hard, hard])
    paired = differences.seeded_interval([(counts(alike + 1), counts(alike))], POINTS)
    assert paired.high - paired.low < 1e-9
    spread = alike + np.array([0.0, 1.0, 2.0])[:, None]
    wider = differences.seeded_interval([(counts(spread - 1), counts(alike - 1))], POINTS)
    assert wider.high - wider.low > 5


def test_a_metric_that_is_no_mean_is_computed_anew_from_each_draw(differences: Any) -> None:
    def product(sums: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"score": sums[..., 0] * sums[..., 1]}

    ones = np.ones((2, 10, 2))
    found = differences.seeded_interval([(2 * ones, ones)], product)
    assert found.estimate == pytest.approx(400 - 100)
