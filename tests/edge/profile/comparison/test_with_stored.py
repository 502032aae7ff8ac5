"""Profiles of different times: the ratio's interval covers, and another state of the machine is told or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.profile.comparison.verdict import ComparisonConfig
from edge.profile.comparison.with_stored import compare_profiles, median_ratio, state_differences
from edge.profile.contents import Profile
from edge.profile.distributions import measured_ms
from edge.runtime.errors import ConfigError, GateError
from edge.runtime.machine_state.state import MachineState
from tests.edge.profile.views.profiles import a_profile, state

CALM = state(limits_c={}, throttled={})


def profile(mean_ms: float, seed: int, n: int = 600, before: MachineState = CALM, **changed: Any) -> Profile:
    latency = measured_ms(mean_ms * 1e6 * np.random.default_rng(seed).lognormal(0.0, 0.1, n))
    return a_profile(latency_ms=latency, before=before, after=before, **changed)


def test_a_slowdown_of_a_tenth_is_found_and_one_of_a_hundredth_is_none() -> None:
    config = ComparisonConfig()
    for seed in range(10):
        a = profile(10.0, seed)
        assert compare_profiles(a, profile(11.0, 100 + seed), config).verdict == "slower"
        assert compare_profiles(a, profile(10.1, 100 + seed), config).verdict == "same"
        assert compare_profiles(profile(11.0, seed), a, config).verdict == "faster"


def test_it_says_that_they_were_not_in_turns() -> None:
    found = compare_profiles(profile(10.0, 0), profile(10.0, 1), ComparisonConfig())
    assert not found.interleaved and found.differences == ()
    assert "not timed in turns" in found.notes[0]


def test_the_interval_covers() -> None:
    held = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        a, b = (measured_ms(1e6 * scale * random.lognormal(0.0, 0.2, 400)) for scale in (1.0, 1.05))
        low, high = median_ratio(a, b)[1]
        held += low <= 1.05 <= high
    assert 0.92 <= held / 400 <= 0.98


def test_another_state_warns_or_fails() -> None:
    a, b = profile(10.0, 0), profile(10.0, 1, before=CALM.model_copy(update={"power_mode": "0 15W"}))
    found = compare_profiles(a, b, ComparisonConfig())
    assert any("power" in line for line in found.differences)
    with pytest.raises(GateError, match=r"taken in different states: .*15W") as refused:
        compare_profiles(a, b, ComparisonConfig(strict=True))
    assert refused.value.exit_code == 3


def test_throttling_under_way_is_a_difference() -> None:
    a = profile(10.0, 0)
    b = a.model_copy(update={"after": CALM.model_copy(update={"throttling": ("cpufreq 3 of 9",)})})
    assert any(line.startswith("during B: ") for line in state_differences(a, b))


def test_another_processor_or_engine_is_a_difference() -> None:
    a = profile(10.0, 0)
    other = a.environment.model_copy(update={"cpu": "another", "packages": {"onnxruntime": "0.1"}})
    told = state_differences(a, a.model_copy(update={"environment": other}))
    assert any("another" in line for line in told) and any("onnxruntime" in line for line in told)
    assert state_differences(a, a) == ()


def test_other_scenarios_are_not_compared() -> None:
    a = profile(10.0, 0)
    with pytest.raises(ConfigError, match="differ in their scenario: stream and single"):
        compare_profiles(a, a.model_copy(update={"scenario": "single"}), ComparisonConfig())
    with pytest.raises(ConfigError, match="differ in their batch: 1 and 4"):
        compare_profiles(a, a.model_copy(update={"batch": 4}), ComparisonConfig())


def test_too_few_samples_are_not_compared() -> None:
    with pytest.raises(ConfigError, match=r"profile of B has no interval of its median \(4 samples\)"):
        compare_profiles(profile(10.0, 0), profile(10.0, 1, n=4), ComparisonConfig())
