"""The minimum-sample rule: a percentile is told of enough samples or not at all."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.profile.sample_rule import DEFAULT_SAMPLES, SamplingConfig, bounding_samples, share_of
from edge.runtime.errors import ConfigError
from edge.runtime.statistics import percentile_interval


@pytest.mark.parametrize(("name", "share"), [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("p5", 0.05)])
def test_names(name: str, share: float) -> None:
    assert share_of(name) == pytest.approx(share)


@pytest.mark.parametrize("name", ["", "99", "p", "p0", "p100", "p-1", "p99.", "pp99", "p99,9", "p1e1", "p٩٩", "p99\n"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is no percentile; write it as p50"):
        SamplingConfig(percentile=name)


def test_fewer_samples_than_the_percentile_asked_for() -> None:
    with pytest.raises(ConfigError, match="p99 needs at least 299 samples, and 200 are asked for; give --samples 299"):
        SamplingConfig(samples=200, percentile="p99").check_possible()
    SamplingConfig(samples=299, percentile="p99").check_possible()
    SamplingConfig(samples=1).check_possible()


def test_a_time_that_gave_fewer_says_how_long_to_take() -> None:
    rule = SamplingConfig(duration_s=2.0, percentile="p99")
    with pytest.raises(ConfigError, match="only 40 came in time; give --duration 15 or more"):
        rule.check_taken(40)
    rule.check_taken(299)


def test_how_many_are_taken() -> None:
    assert SamplingConfig().most == DEFAULT_SAMPLES
    assert SamplingConfig(percentile="p99.9").most == 3688
    assert SamplingConfig(duration_s=1.0).most == math.inf
    assert SamplingConfig(duration_s=1.0, samples=7).most == 7


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"duration_s": 0.0}, {"duration_s": math.inf}, {"sample": 3}])
def test_senseless_numbers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SamplingConfig(**wrong)


@given(st.sampled_from([0.1, 0.5, 0.9, 0.99]))
def test_so_many_bound_a_percentile_from_both_sides_and_one_fewer_does_not(share: float) -> None:
    n = bounding_samples(share)
    assert percentile_interval(range(n), share) is not None
    assert percentile_interval(range(n - 1), share) is None
