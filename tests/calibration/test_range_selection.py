"""A chosen set of 64 has the scales of 1,500 heavy-tailed samples, which a random one misses, for every observer."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest

from edge.calibration.cache import RangeMethod
from edge.calibration.observers import BINS, MagnitudeHistogram, Observer
from edge.calibration.range_selection import choose_by_ranges
from edge.calibration.sample_tails import FINE_BINS, SampleRanges, SampleTails
from edge.calibration.selection import shares_of
from edge.calibration.tensor_range import TensorRange
from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES, TENSORS, VALUES, WANTED = 1500, 12, 2000, 64
METHODS = {o: RangeMethod(observer=o, percentile=99.9) for o in get_args(Observer)}
STRATA = np.arange(SAMPLES) % 5 // 3  # two states, three to two


@cache
def activations() -> NDArray[np.float32]:
    """`[samples, tensors, values]`: loud samples differ from tensor to tensor, as features do."""
    generator = np.random.default_rng(0)
    values = np.maximum(generator.normal(size=(SAMPLES, TENSORS, VALUES)), 0)
    loudness = np.exp(0.35 * generator.standard_normal((SAMPLES, 4)) @ generator.normal(size=(4, TENSORS)) / 2)
    return np.asarray(values * loudness[:, :, None] * np.geomspace(0.1, 30, TENSORS)[:, None], np.float32)


def range_of(tensor: int, chosen: NDArray[np.int64]) -> TensorRange:
    found = TensorRange()
    values = activations()[chosen, tensor]
    found.histogram.add(values)
    found.add_peaks(0, values.max(1))
    return found


@cache
def everything() -> tuple[TensorRange, ...]:
    return tuple(range_of(t, np.arange(SAMPLES)) for t in range(TENSORS))


@cache
def tails() -> tuple[SampleTails, ...]:
    found = tuple(SampleTails(SAMPLES) for _ in range(TENSORS))
    for tensor, tail in enumerate(found):
        for sample in range(SAMPLES):
            one = MagnitudeHistogram()
            one.add(activations()[sample, tensor])
            tail.add(sample, one.counts.reshape(1, BINS // FINE_BINS, FINE_BINS).sum(2))
    return found


def choose(method: RangeMethod, seed: int = 0) -> NDArray[np.int64]:
    ranges = [
        SampleRanges(whole.sample_peaks(), tail.counts, tail.edges, whole.ceiling(method.observer, method.percentile))
        for whole, tail in zip(everything(), tails(), strict=True)
    ]
    return choose_by_ranges(ranges, STRATA, WANTED, method, seed)


def errors(chosen: NDArray[np.int64], method: RangeMethod) -> NDArray[np.float64]:
    how = (method.observer, method.percentile)
    return np.array([abs(range_of(t, chosen).ceiling(*how) / w.ceiling(*how) - 1) for t, w in enumerate(everything())])


@cache
def drawn_errors(method: RangeMethod) -> list[float]:
    """Medians of three random draws."""
    draws = [np.random.default_rng(seed).permutation(SAMPLES)[:WANTED] for seed in range(3)]
    return [float(np.median(errors(draw, method))) for draw in draws]


@pytest.mark.parametrize("observer", ["minmax", "moving_average", "percentile", "mse"])
def test_64_samples_have_the_scales_of_all_and_a_random_draw_does_not(observer: Observer) -> None:
    method = METHODS[observer]
    chosen = errors(choose(method), method)
    assert np.median(chosen) <= 0.02 and np.quantile(chosen, 0.95) <= 0.10
    assert np.median(chosen) < min(drawn_errors(method))
    assert max(drawn_errors(method)) > 0.02


def test_a_set_chosen_for_entropy_is_much_nearer_than_any_drawn_one() -> None:
    """Its ceiling also depends on how many values there are, so that tails this heavy are out of reach."""
    method = METHODS["entropy"]
    assert np.median(errors(choose(method), method)) < 0.6 * min(drawn_errors(method))


@pytest.mark.parametrize("observer", ["minmax", "percentile"])
def test_every_state_gets_its_share_and_a_seed_gives_one_set(observer: Observer) -> None:
    chosen = choose(METHODS[observer], seed=4)
    assert len(set(chosen.tolist())) == WANTED and np.array_equal(chosen, np.sort(chosen))
    assert {int(s): int((STRATA[chosen] == s).sum()) for s in (0, 1)} == shares_of(STRATA, WANTED)
    assert np.array_equal(chosen, choose(METHODS[observer], seed=4))


def test_tensors_that_are_zero_everywhere_are_passed_over() -> None:
    peaks, counts = np.array([0.0, 0.0, 0.0]), np.ones((3, 2), np.uint32)
    dead = SampleRanges(peaks, counts, np.array([0.0, 1.0]), 0.0)
    loud = SampleRanges(np.array([1.0, 9.0, 2.0]), counts, np.array([0.0, 1.0]), 9.0)
    assert choose_by_ranges([dead, loud], np.zeros(3, int), 1, METHODS["minmax"]).tolist() == [1]
    with pytest.raises(DataError, match="no tensor has a range"):
        choose_by_ranges([dead], np.zeros(3, int), 1, METHODS["minmax"])
