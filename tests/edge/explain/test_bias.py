"""Groups compared: a planted bias fails the gate, groups that are alike do not, and small ones are not judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.explain.bias import compare_groups
from edge.explain.config import BiasConfig
from edge.explain.gap_wording import refused_gaps
from edge.runtime.errors import ConfigError
from tests.edge.explain.planted import answering, draws_of

if TYPE_CHECKING:
    from edge.explain.group_findings import AttributeFinding, GapFinding

SEEDS = 60


def compared(
    rates: dict[str, float], each: int, seed: int = 0, max_gap: float | None = 5.0, gated: tuple[str, ...] = ("score",)
) -> AttributeFinding:
    """Groups of `each` samples, two a recording, wrong at these rates."""
    random = np.random.default_rng(seed)
    group = np.repeat(list(rates), each)
    wrong = random.random(len(group)) < np.repeat(list(rates.values()), each)
    labels = random.integers(0, 2, len(group))
    recordings = [f"r{at // 2}" for at in range(len(group))]
    data, answers, _ = answering(wrong, labels, recordings, {"speaker": list(group)})
    config = BiasConfig.model_validate({"attributes": ("speaker",), "max_gap": max_gap, "gated": gated})
    return compare_groups(data, answers, draws_of(data, 500), config)[0]


def gap_of(found: AttributeFinding, metric: str = "score") -> GapFinding:
    return next(gap for gap in found.gaps if gap.metric == metric)


def test_a_planted_bias_is_refused_and_named() -> None:
    found = compared({"ann": 0.0, "bob": 0.04, "eve": 0.25}, 300)
    gap = gap_of(found)
    assert (gap.verdict, gap.high, gap.low) == ("refused", "ann", "eve")
    assert gap.gap.low > 5 and gap.gap.estimate == pytest.approx(25, abs=5)
    said = refused_gaps([found])
    assert said is not None and "of score" in said and "between speaker 'ann' and 'eve', 5.00 are allowed" in said
    assert found.groups[0].group == "eve"
    assert found.groups[0].score.value == pytest.approx(75, abs=5)


def test_a_gap_within_the_limit_passes() -> None:
    found = compared({"ann": 0.02, "bob": 0.02}, 1500)
    assert gap_of(found).verdict == "passed"
    assert refused_gaps([found]) is None


def test_too_few_samples_decide_nothing_and_say_how_many_would() -> None:
    found = compared({"ann": 0.05, "bob": 0.10}, 100, max_gap=2.0)
    assert gap_of(found).verdict == "undecided"
    assert len(found.notes) == 1
    assert "does not decide on the limit of 2.00: 100 recordings are too few" in found.notes[0]


def test_groups_that_are_alike_are_seldom_called_apart() -> None:
    """Six groups at 10 % error: the largest gap is never zero, and its interval must hold zero in 95 % of cases."""
    found = [gap_of(compared(dict.fromkeys("abcdef", 0.1), 60, seed, max_gap=0.0)) for seed in range(SEEDS)]
    apart = sum(gap.verdict == "refused" for gap in found)
    assert apart <= 7  # 3 expected, 2.4 standard deviations more
    assert np.mean([gap.gap.estimate for gap in found]) > 7


def test_the_interval_holds_the_true_gap_as_often_as_it_says() -> None:
    found = [gap_of(compared({"a": 0.05, "b": 0.1, "c": 0.2}, 200, seed)).gap for seed in range(SEEDS)]
    held = sum(gap.low <= 15 <= gap.high for gap in found)
    assert held >= 53  # 57 expected, 2.4 standard deviations fewer


def test_a_group_without_an_error_is_not_without_doubt() -> None:
    """No error in 30 samples may still be 8 % in truth: a gap of 7 points is not shown."""
    found = compared({"few": 0.0}, 30).model_copy()
    assert not found.gaps  # one group
    random = np.random.default_rng(0)
    group = np.array(["few"] * 30 + ["many"] * 2000)
    wrong = (random.random(2030) < 0.07) & (group == "many")
    data, answers, _ = answering(wrong, random.integers(0, 2, 2030), attributes={"who": list(group)})
    gap = gap_of(compare_groups(data, answers, draws_of(data), BiasConfig(attributes=("who",), max_gap=1.0))[0])
    assert gap.gap.estimate > 5 and gap.verdict == "undecided"


def test_small_groups_are_told_and_not_judged() -> None:
    random = np.random.default_rng(0)
    group = np.array(["big"] * 200 + ["also big"] * 200 + ["tiny"] * 8)
    wrong = group == "tiny"
    data, answers, _ = answering(wrong, random.integers(0, 2, 408), attributes={"who": list(group)})
    found = compare_groups(data, answers, draws_of(data), BiasConfig(attributes=("who",), max_gap=3.0))[0]
    tiny = next(g for g in found.groups if g.group == "tiny")
    assert (tiny.judged, tiny.samples, tiny.score.value) == (False, 8, 0.0)
    assert "tiny" not in {gap_of(found).low, gap_of(found).high}


def test_where_one_group_is_left_nothing_is_shown_either_way() -> None:
    data, answers, _ = answering(np.zeros(60, np.bool_), np.arange(60) % 2, attributes={"who": ["a"] * 55 + ["b"] * 5})
    found = compare_groups(data, answers, draws_of(data), BiasConfig(attributes=("who",), max_gap=3.0))[0]
    assert found.gaps == ()
    assert found.notes == (
        "who: one group has the 30 samples of 5 recordings that a comparison needs, so nothing is shown either way",
    )


def test_rates_of_classes_by_hand() -> None:
    """Two groups of 100, half of each is yes; of b, 20 of 50 yes are missed and 10 of 50 no are said to be yes."""
    labels = np.tile([0, 1], 100)
    group = np.repeat(["a", "b"], 100)
    wrong = np.zeros(200, np.bool_)
    wrong[np.flatnonzero((group == "b") & (labels == 1))[:20]] = True
    wrong[np.flatnonzero((group == "b") & (labels == 0))[:10]] = True
    data, answers, _ = answering(wrong, labels, attributes={"who": list(group)}, sure=2.0)
    found = compare_groups(data, answers, draws_of(data), BiasConfig(attributes=("who",)))[0]
    b, a = found.groups
    assert (a.group, a.score.value, b.score.value) == ("a", 100.0, 70.0)
    assert b.recall["yes"].value == pytest.approx(60) and b.recall["no"].value == pytest.approx(80)
    gaps = {gap.metric: gap for gap in found.gaps}
    assert gaps["score"].gap.estimate == pytest.approx(30)
    assert gaps["recall"].gap.estimate == pytest.approx(40) and gaps["recall"].class_name == "yes"
    assert gaps["demographic_parity"].gap.estimate == pytest.approx(10)  # 50 said yes of a's, 40 of b's
    assert gaps["equalized_odds"].gap.estimate == pytest.approx(40)  # of false alarms it is 20, or 40 of no's
    confidence = 100 / (1 + np.exp(-2))
    assert a.calibration_error is not None and b.calibration_error is not None
    assert a.calibration_error.value == pytest.approx(100 - confidence, abs=1e-4)
    assert b.calibration_error.value == pytest.approx(confidence - 70, abs=1e-4)
    assert all(gap.verdict == "free" and gap.limit is None for gap in found.gaps)


def test_the_gate_may_be_on_equalized_odds() -> None:
    found = compared({"ann": 0.0, "eve": 0.3}, 400, max_gap=5.0, gated=("equalized_odds",))
    assert gap_of(found).verdict == "free"
    assert gap_of(found, "equalized_odds").verdict == "refused"


def test_names_of_samples_are_no_groups() -> None:
    data, answers, _ = answering(
        np.zeros(120, np.bool_), np.arange(120) % 2, attributes={"id": [*map(str, range(120))]}
    )
    with pytest.raises(ConfigError, match=r"'id' has 120 values.*at most 100"):
        compare_groups(data, answers, draws_of(data), BiasConfig(attributes=("id",)))


def test_an_attribute_that_is_not_there_is_refused_with_those_that_are() -> None:
    data, answers, _ = answering(np.zeros(40, np.bool_), np.arange(40) % 2, attributes={"room": ["x"] * 40})
    with pytest.raises(ConfigError, match=r"split 'test' have no attribute 'sex' \(there is room\)"):
        compare_groups(data, answers, draws_of(data), BiasConfig(attributes=("sex",)))
