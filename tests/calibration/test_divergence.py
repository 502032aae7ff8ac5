"""The entropy observer beside a loop that does what the formula says, and beside ONNX Runtime's calibrator."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.calibration.divergence import LEVELS, LINEAR_BINS, divergences, least_divergent_ceiling, linear_bins
from edge.calibration.observers import EDGES, MagnitudeHistogram

if TYPE_CHECKING:
    from numpy.typing import NDArray

DRAWS = ("normal", "laplace", "standard_t")


def draw(kind: str, count: int = 100_000, seed: int = 0) -> NDArray[np.float32]:
    generator = np.random.default_rng(seed)
    values = generator.standard_t(3, count) if kind == "standard_t" else getattr(generator, kind)(size=count)
    return np.asarray(values, np.float32)


def histogram(values: NDArray[np.float32]) -> MagnitudeHistogram:
    found = MagnitudeHistogram()
    found.add(values)
    return found


def looped(bins: NDArray[np.float64], ceiling: int) -> float:
    """The divergence of one ceiling, bin by bin."""
    clipped = bins[:ceiling].copy()
    clipped[-1] += bins[ceiling:].sum()
    told = np.zeros(ceiling)
    for level in range(LEVELS):
        part = slice(level * ceiling // LEVELS, (level + 1) * ceiling // LEVELS)
        filled = clipped[part] > 0
        if filled.any():
            told[part][filled] = bins[part].sum() / filled.sum()
    if not told.sum():
        return np.inf
    p, q = clipped / clipped.sum(), told / told.sum()
    seen = p > 0
    with np.errstate(divide="ignore"):
        return float((p[seen] * np.log(p[seen] / q[seen])).sum())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=300, max_size=300), st.integers(LEVELS, 300))
def test_all_ceilings_at_once_are_what_a_loop_finds(counts: list[int], ceiling: int) -> None:
    bins = np.array(counts, np.float64)
    if bins.any():
        found = divergences(bins, np.array([ceiling]))[0]
        assert found == pytest.approx(looped(bins, ceiling), abs=1e-9)


@pytest.mark.parametrize("kind", DRAWS)
def test_linear_bins_hold_every_value_near_its_place(kind: str) -> None:
    values = np.abs(draw(kind))
    found = histogram(values)
    bins = linear_bins(found.counts, EDGES, found.largest)
    assert bins.sum() == pytest.approx(len(values))
    exact = np.histogram(values, LINEAR_BINS, (0, found.largest))[0]
    # A value stays within its logarithmic bin, 1/64 wide.
    assert np.abs(np.cumsum(bins) - np.cumsum(exact)).max() < 0.03 * len(values)


@pytest.mark.parametrize("kind", DRAWS)
def test_the_ceiling_is_near_that_of_equal_bins(kind: str) -> None:
    values = np.abs(draw(kind))
    counts, edges = np.histogram(values, LINEAR_BINS, (0, values.max()))
    found = histogram(values).ceiling("entropy")
    assert found == pytest.approx(least_divergent_ceiling(counts, edges, float(values.max())), rel=0.15)
    if kind == "standard_t":
        assert found < 0.5 * values.max()


@pytest.mark.parametrize("kind", DRAWS)
def test_onnxruntime_clips_about_as_much(kind: str) -> None:
    """Its levels lie on both sides of zero and its last one takes what is left over, so that ceilings differ."""
    calibrate = pytest.importorskip("onnxruntime.quantization.calibrate")
    values = draw(kind, 60_000)
    largest = float(np.abs(values).max())
    collector = calibrate.HistogramCollector("entropy", True, 1024, 256, 99.99, "same")
    counts, edges = np.histogram(values, 1025, (-largest, largest))
    low, high = collector.get_entropy_threshold((counts, edges, -largest, largest, largest), 256)[:2]
    theirs = float(max(abs(low), abs(high)))
    ours = histogram(values).ceiling("entropy")
    assert 0.4 < ours / theirs < 2.5
    for ceiling in (ours, theirs):
        assert (np.abs(values) > ceiling).mean() < 0.01
        assert kind != "standard_t" or ceiling < 0.7 * largest


def test_values_far_from_zero_are_not_all_clipped() -> None:
    values = np.abs(draw("normal")) + 3
    assert histogram(values).ceiling("entropy") > np.percentile(values, 90)


def test_samples_of_one_distribution_have_about_one_ceiling() -> None:
    ceilings = [histogram(np.maximum(draw("laplace", 50_000, seed), 0)).ceiling("entropy") for seed in range(8)]
    assert np.std(ceilings) < 0.1 * np.mean(ceilings)


@pytest.mark.parametrize("values", [[0.0, 0.0], [4.0] * 50, [0.0, 1.0]])
def test_few_different_values_keep_the_largest(values: list[float]) -> None:
    assert histogram(np.array(values, np.float32)).ceiling("entropy") == pytest.approx(max(values), rel=0.02)


def test_a_tensor_takes_less_than_50_ms() -> None:
    found = histogram(draw("standard_t"))
    found.ceiling("entropy")
    seconds = []
    for _ in range(7):
        start = perf_counter()
        found.ceiling("entropy")
        seconds.append(perf_counter() - start)
    assert min(seconds) < 0.05
