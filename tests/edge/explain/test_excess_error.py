"""Chances of slices: how often pure chance looks like a failure, measured over many draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.explain.excess_error import discovery_rates, excess_p_value, intraclass_correlation

DRAWS = 600


def chances_without_cause(base: float, recordings: int, each: int, chosen: int) -> np.ndarray:
    """P values of random groups of recordings; with several samples each, recordings differ in how hard they are."""
    random = np.random.default_rng(0)
    recording = np.repeat(np.arange(recordings), each)
    found = []
    for _ in range(DRAWS):
        hard = random.beta(3 * base, 3 * (1 - base), recordings) if each > 1 else np.full(recordings, base)
        errors = (random.random(len(recording)) < hard[recording]).astype(float)
        members = np.isin(recording, random.choice(recordings, chosen, replace=False))
        alike = intraclass_correlation(errors, recording)
        found.append(excess_p_value(errors, members, recording, alike))
    return np.array(found)


@pytest.mark.parametrize(
    ("base", "recordings", "each", "chosen"),
    [(0.02, 600, 1, 24), (0.2, 600, 1, 120), (0.1, 100, 6, 5), (0.1, 100, 6, 30)],
)
def test_chance_is_called_significant_no_more_often_than_is_said(
    base: float, recordings: int, each: int, chosen: int
) -> None:
    found = chances_without_cause(base, recordings, each, chosen)
    for level in (0.1, 0.05, 0.01):
        allowed = level * DRAWS + 2.5 * np.sqrt(level * (1 - level) * DRAWS)
        assert (found <= level).sum() <= allowed


def test_samples_of_one_recording_count_as_fewer() -> None:
    """Ten samples of each of six failing recordings: six failures, not sixty."""
    recording = np.repeat(np.arange(60), 10)
    errors = np.zeros(600)
    errors[np.isin(recording, [0, 1, 2, 20, 21, 22])] = 1.0
    members = recording < 6
    alike = intraclass_correlation(errors, recording)
    assert alike == pytest.approx(1.0)
    counted_once = excess_p_value(errors[::10], members[::10], np.arange(60), 0.0)
    assert excess_p_value(errors, members, recording, alike) == pytest.approx(counted_once, rel=0.05)
    assert excess_p_value(errors, members, recording, 0.0) < counted_once / 1e6


def test_a_group_that_always_fails_is_beyond_chance() -> None:
    errors = np.zeros(1000)
    errors[:20] = 1.0
    assert excess_p_value(errors, np.arange(1000) < 20, np.arange(1000), 0.0) < 1e-12


def test_no_error_anywhere_is_no_finding() -> None:
    assert excess_p_value(np.zeros(50), np.arange(50) < 10, np.arange(50), 0.0) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_discovery_rates_are_the_step_up_rule(chances: list[float]) -> None:
    """The largest k with p_(k) <= k q / m, and all below it: as the paper has it."""
    p = np.array(chances)
    rates = discovery_rates(p)
    assert (rates >= p - 1e-12).all() and (rates <= 1).all()
    for q in (0.05, 0.3):
        below = np.sort(p) <= q * np.arange(1, len(p) + 1) / len(p) + 1e-12
        largest = int(np.max(np.flatnonzero(below), initial=-1)) + 1
        assert (rates <= q + 1e-12).sum() >= largest
        if largest < len(p):
            assert (np.sort(rates)[largest:] > q - 1e-9).all()
