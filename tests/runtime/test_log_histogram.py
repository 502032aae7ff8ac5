"""The histogram of durations against sorted values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.runtime.statistics import Distribution, LogHistogram

if TYPE_CHECKING:
    from collections.abc import Iterable

HOUR_NS = 3_600 * 10**9
# Durations of every size: the exponent is drawn first, so that short ones are not one in a billion.
durations = st.integers(0, 41).flatmap(lambda bits: st.integers(0, min(HOUR_NS, (1 << bits) - 1)))


def histogram_of(values: Iterable[int]) -> LogHistogram:
    histogram = LogHistogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(st.lists(durations, min_size=1, max_size=300), st.sampled_from([0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_percentiles_are_within_one_percent(values: list[int], share: float) -> None:
    exact = np.percentile(np.array(values, np.float64), share * 100, method="inverted_cdf")
    assert histogram_of(values).percentile(share) == pytest.approx(exact, rel=0.01)


@given(st.lists(st.integers(-(2**62), 2**62), max_size=50))
def test_count_extremes_and_sum_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert histogram.count == len(histogram) == len(values)
    assert histogram.sum == sum(values)
    assert (histogram.min, histogram.max) == (min(values, default=0), max(values, default=0))
    assert histogram.underflow == sum(v < 0 for v in values)
    assert histogram.overflow == sum(v > HOUR_NS for v in values)
    assert histogram.min <= histogram.percentile(0.5) <= histogram.max


@given(st.lists(durations, max_size=80), st.lists(durations, max_size=80))
def test_a_merged_histogram_is_that_of_all_values(left: list[int], right: list[int]) -> None:
    merged, whole = histogram_of(left), histogram_of(left + right)
    merged.merge(histogram_of(right))
    assert (merged.count, merged.sum, merged.min, merged.max) == (whole.count, whole.sum, whole.min, whole.max)
    assert [merged.percentile(p / 100) for p in range(1, 101)] == [whole.percentile(p / 100) for p in range(1, 101)]


@pytest.mark.parametrize("share", [0.0, -0.1, 1.0001, math.nan])
def test_a_share_outside_its_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        histogram_of([1]).percentile(share)


@pytest.mark.parametrize("value", [1.5, 2**63, None])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        LogHistogram().add(value)  # type: ignore[arg-type]


def test_a_cleared_histogram_is_new() -> None:
    histogram = histogram_of([5, -5, HOUR_NS + 1])
    histogram.clear()
    assert (histogram.count, histogram.sum, histogram.underflow, histogram.overflow) == (0, 0, 0, 0)
    histogram.add(7)
    assert (histogram.min, histogram.max, histogram.percentile(0.5)) == (7, 7, 7)


@pytest.mark.parametrize(("n", "given_keys"), [(0, set()), (4, {"max"}), (5, {"p50", "max"}), (299, {"p99"})])
def test_a_distribution_holds_only_what_n_supports(n: int, given_keys: set[str]) -> None:
    found = Distribution.of_histogram(histogram_of(range(1000, 1000 + n)), 1000).to_json()
    assert found["n"] == n
    assert {k for k, v in found.items() if k != "n" and v is not None} >= given_keys
    assert found["p99.9"] is None
    if n == 4:
        assert found["p50"] is None and found["max"] == 1.003
