"""What a profile says of durations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.profile.distributions import CURVE_POINTS, dependence_notes, measured_ms
from edge.runtime.errors import DataError


def test_percentiles_intervals_and_mean() -> None:
    durations = np.random.default_rng(0).permutation(np.arange(1, 1001) * 10_000)
    found = measured_ms(durations)
    assert (found.distribution.p50, found.distribution.p99, found.distribution.p99_9) == (5.0, 9.9, None)
    assert found.mean == pytest.approx(5.005)
    assert set(found.intervals) == {"p50", "p90", "p99"}
    low, high = found.intervals["p50"]
    assert low < 5.0 < high and high - low < 1.0


def test_what_n_does_not_support_has_no_interval() -> None:
    found = measured_ms(np.random.default_rng(0).permutation(np.arange(1, 21)))
    assert set(found.intervals) == {"p50"}
    assert found.distribution.p90 is None
    assert measured_ms([]).mean is None


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=1500))
def test_the_curve_rises_to_the_largest(durations: list[int]) -> None:
    curve = measured_ms(durations).curve
    assert len(curve) <= CURVE_POINTS
    assert curve == tuple(sorted(curve))
    assert curve[-1] == (1.0, max(durations) / 1e6)
    for share, ms in curve:
        assert np.mean(np.asarray(durations) / 1e6 <= ms) >= share - 1e-12


def test_dependence_is_told() -> None:
    assert dependence_notes(np.random.default_rng(1).permutation(1000)) == ()
    notes = dependence_notes(np.repeat(np.random.default_rng(1).permutation(50), 20))
    assert notes[0].startswith("Durations resemble those before them: for p50, 1000 samples count as ")
    assert any("for p99" in note and note.endswith("too few to bound it.") for note in notes)


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="NaN or infinite"):
        measured_ms([1.0, float("nan")])
