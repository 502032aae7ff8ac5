"""Intervals of durations that resemble those before them hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.profile.dependence import correlation_time, dependent_interval, worth_samples
from edge.runtime.statistics import percentile_interval

TRIALS, N = 250, 1_000


def blocks(seed: int, length: int = 10) -> NDArray[np.float64]:
    """Each independent value stands `length` times in a row: n samples are worth n / length."""
    return np.repeat(np.random.default_rng(seed).lognormal(0.0, 0.3, N // length), length)


def test_independent_durations_keep_the_interval_of_order_statistics() -> None:
    same = 0
    for seed in range(100):
        values = np.random.default_rng(seed).lognormal(0.0, 0.3, N)
        same += dependent_interval(values, 0.9) == percentile_interval(values, 0.9)
    assert same >= 90


def test_repeated_durations_count_as_few() -> None:
    worth = [worth_samples(blocks(seed), 0.5) for seed in range(20)]
    assert 70 <= np.median(worth) <= 140  # of 1,000 samples, of which 100 are independent
    assert correlation_time(np.ones(50, bool)) == 1.0


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_coverage_where_durations_depend(share: float) -> None:
    """The plain interval covers in two of three runs only, so this would fail without the correction."""
    truth = float(np.quantile(np.random.default_rng(10**6).lognormal(0.0, 0.3, 2_000_000), share))
    held = plain = none = 0
    for seed in range(TRIALS):
        values = blocks(seed)
        found, naive = dependent_interval(values, share), percentile_interval(values, share)
        assert naive is not None
        held += found is not None and found[0] <= truth <= found[1]
        none += found is None
        plain += naive[0] <= truth <= naive[1]
    assert none / TRIALS < 0.1
    assert 0.92 <= held / (TRIALS - none) <= 0.99
    assert plain / TRIALS < 0.75


def test_too_few_independent_ones_have_no_interval() -> None:
    values = blocks(3, length=50)
    assert percentile_interval(values, 0.99) is not None
    assert dependent_interval(values, 0.99) is None


@given(st.lists(st.integers(1, 10), max_size=60), st.sampled_from([0.5, 0.9]))
def test_intervals_are_of_the_values_and_in_order(values: list[int], share: float) -> None:
    found = dependent_interval(values, share)
    if found is not None:
        assert found[0] <= found[1]
        assert set(found) <= {float(value) for value in values}
    assert 0 <= worth_samples(values, share) <= len(values)
