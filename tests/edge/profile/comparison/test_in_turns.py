"""Comparisons in turns on a synthetic clock with the noise of a busy machine: A/A, 1 % and 10 %."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edge.profile.comparison.in_turns import compare_in_turns
from edge.profile.comparison.verdict import ComparisonConfig, ComparisonReport, judge, width_notes
from edge.runtime.errors import GateError
from tests.edge.profile.synthetic import QUICK, SyntheticClock, synthetic_subject

SEEDS = range(20)


def compared(slowdown: float, seed: int, rounds: int = 400) -> ComparisonReport:
    """Both sides draw from one process with a tail and drift; B takes `slowdown` times as long."""
    clock, random = SyntheticClock(), np.random.default_rng(seed)
    drift = 0.0

    def call(factor: float) -> Callable[[], None]:
        def spend() -> None:
            nonlocal drift
            drift = 0.99 * drift + 0.02 * random.standard_normal()
            clock.pass_ns(round(1e6 * factor * np.exp(drift + 0.05 * random.standard_exponential())))

        return spend

    a, b = (synthetic_subject(call(factor)) for factor in (1.0, slowdown))
    return compare_in_turns(a, b, ComparisonConfig(rounds=rounds, seed=seed), warm_up=QUICK, clock=clock)


@pytest.mark.parametrize(("slowdown", "verdict"), [(1.0, "same"), (1.01, "same"), (1.1, "slower"), (0.9, "faster")])
def test_verdicts(slowdown: float, verdict: str) -> None:
    """Never a regression where there is 1 %, always where there are 10 %."""
    found = [compared(slowdown, seed) for seed in SEEDS]
    assert {report.verdict for report in found} == {verdict}
    assert all(abs(report.ratio / slowdown - 1.0) < 0.02 for report in found)


def test_only_slower_ends_with_3() -> None:
    compared(1.0, 0).check_regression()
    compared(0.9, 0).check_regression()
    with pytest.raises(GateError, match=r"null \(null\) takes 1\.\d+ times as long as null") as refused:
        compared(1.1, 0).check_regression()
    assert refused.value.exit_code == 3


def test_the_report_has_the_keys_of_the_contract() -> None:
    told = compared(1.1, 1, rounds=50).to_json()
    assert {"ratio", "interval", "verdict", "tolerance", "interleaved"} <= set(told)
    assert told["interleaved"] is True and told["details"]["rounds"] == 50
    assert told["interval"][0] <= told["ratio"] <= told["interval"][1]


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((1.021, 1.2), "slower"),
        ((1.02, 1.2), "same"),
        ((0.9, 1.5), "same"),
        ((0.7, 0.98), "faster"),
        ((0.7, 0.99), "same"),
    ],
)
def test_the_whole_interval_decides(interval: tuple[float, float], verdict: str) -> None:
    assert judge(interval, 0.02) == verdict


def test_same_because_nobody_knows_is_said() -> None:
    assert "wider than the tolerance" in width_notes((0.9, 1.1), 0.02, "more")[0]
    assert width_notes((0.99, 1.01), 0.02, "more") == ()
    assert width_notes((1.5, 2.0), 0.02, "more") == ()
