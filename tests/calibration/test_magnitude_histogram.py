from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.calibration.observers import HistogramObserver, MagnitudeHistogram, symmetric_scale
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

BIN = 1 / 64  # relative width of a bin


def histogram(values: ArrayLike) -> MagnitudeHistogram:
    found = MagnitudeHistogram()
    found.add(np.asarray(values, np.float32))
    return found


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=200), st.data())
def test_parts_add_up_to_exactly_the_whole(values: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(values) - 1))
    whole, parts = histogram(values), histogram(values[:cut])
    parts.merge(histogram(values[cut:]))
    assert np.array_equal(whole.counts, parts.counts)
    assert whole.counts.sum() == len(values)
    for observer in get_args(HistogramObserver):
        assert whole.ceiling(observer) == parts.ceiling(observer)


def test_minmax_is_the_largest_magnitude() -> None:
    assert histogram([0.1, -7.25, 3.0]).ceiling("minmax") == 7.25


@pytest.mark.parametrize("spread", [1e-4, 1.0, 3e4])
def test_percentile_is_numpys_within_a_bin(spread: float) -> None:
    values = np.abs(np.random.default_rng(0).normal(size=200_000)) * spread
    found = histogram(values).ceiling("percentile", 99.9)
    assert np.percentile(values, 99.9) <= found * (1 + 1e-6)
    assert found <= np.percentile(values, 99.9) * (1 + 2 * BIN)


def test_percentile_of_everything_is_the_largest() -> None:
    values = np.random.default_rng(1).normal(size=1000)
    assert histogram(values).ceiling("percentile", 100) == pytest.approx(np.abs(values).max())


@pytest.mark.parametrize("draw", ["normal", "laplace", "standard_t"])
def test_mse_clips_about_where_brute_force_does(draw: str) -> None:
    generator = np.random.default_rng(2)
    values = generator.standard_t(3, 40_000) if draw == "standard_t" else getattr(generator, draw)(size=40_000)
    values = values.astype(np.float32)

    def error(ceiling: float) -> float:
        step = ceiling / 127
        return float(np.square(np.clip(np.rint(values / step), -128, 127) * step - values).mean())

    best = min(error(c) for c in np.abs(values).max() * np.geomspace(0.05, 1, 160))
    found = histogram(values).ceiling("mse")
    assert error(found) <= 1.02 * best
    if draw == "standard_t":
        assert error(found) < 0.85 * error(np.abs(values).max())


def test_mse_clips_nothing_where_nothing_is_gained() -> None:
    assert histogram(np.full(100, 4.0)).ceiling("mse") == pytest.approx(4.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(DataError, match="NaN or infinite"):
        histogram([1.0, bad])


def test_an_observer_that_saw_nothing_says_so() -> None:
    with pytest.raises(DataError, match="never seen"):
        histogram([]).ceiling("minmax")


def test_a_dead_tensor_still_has_a_scale() -> None:
    assert symmetric_scale(histogram([0.0, 0.0]).ceiling("mse")) > 0
    assert symmetric_scale(12.7) == pytest.approx(0.1)


def test_an_unknown_observer_names_those_there_are() -> None:
    with pytest.raises(DataError, match="minmax, percentile, entropy, mse"):
        histogram([1.0]).ceiling("moving_average")  # type: ignore[arg-type]


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=200), st.floats(1e-3, 2e6))
def test_the_share_above_is_exact_up_to_the_bin_that_is_cut(values: list[float], limit: float) -> None:
    found = histogram(values).share_above(limit)
    magnitudes = np.abs(np.array(values, np.float32)).astype(np.float64)
    assert (magnitudes > limit * (1 + BIN)).mean() <= found + 1e-12
    assert found <= (magnitudes > limit * (1 - BIN)).mean() + 1e-12
