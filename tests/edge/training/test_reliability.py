"""Calibration error by hand and by its definition, and what no confidence is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.runtime.errors import DataError
from edge.training.reliability import BINS, measure_reliability


def test_by_hand() -> None:
    # Bin (0.6, 0.667]: four answers at 0.65, half of them right. Bin (0.933, 1]: one at 0.95 and right.
    found = measure_reliability("top label", np.array([0.65, 0.65, 0.95, 0.65, 0.65]), np.array([1, 0, 1, 1, 0], bool))
    assert found.error == pytest.approx(100 * (4 / 5 * 0.15 + 1 / 5 * 0.05))
    assert [(b.count, b.accuracy) for b in found.bins] == [(4, 0.5), (1, 1.0)]
    assert [b.confidence for b in found.bins] == pytest.approx([0.65, 0.95])
    assert (found.bins[0].low, found.bins[0].high) == pytest.approx((9 / 15, 10 / 15))


def test_an_over_confident_model_is_off_by_what_it_claims() -> None:
    found = measure_reliability("siren", np.full(10, 1.0), np.arange(10) < 7)
    assert found.error == pytest.approx(30)


@pytest.mark.parametrize(("confidence", "bounds"), [(0.0, (0, 1)), (1 / 15, (0, 1)), (0.2, (2, 3)), (1.0, (14, 15))])
def test_an_upper_bound_is_in_its_bin(confidence: float, bounds: tuple[int, int]) -> None:
    edges = np.linspace(0, 1, BINS + 1)
    (only,) = measure_reliability("x", np.array([confidence]), np.array([True])).bins
    assert (only.low, only.high) == (edges[bounds[0]], edges[bounds[1]])


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_it_is_the_sum_of_the_definition(answers: list[tuple[float, bool]]) -> None:
    confidence, right = np.array([c for c, _ in answers]), np.array([r for _, r in answers])
    error = 0.0
    for i in range(BINS):
        low, high = np.linspace(0, 1, BINS + 1)[i : i + 2]
        inside = (confidence > low) & (confidence <= high) if i else confidence <= high
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    found = measure_reliability("x", confidence, right)
    assert found.error == pytest.approx(100 * error, abs=1e-9)
    assert sum(b.count for b in found.bins) == len(answers) and 0 <= found.error <= 100


@pytest.mark.parametrize("confidence", [[], [0.5, float("nan")], [1.2], [-0.1]])
def test_what_is_no_probability_is_refused(confidence: list[float]) -> None:
    with pytest.raises(DataError, match="'siren' has no confidences between 0 and 1"):
        measure_reliability("siren", np.array(confidence), np.zeros(len(confidence), bool))
