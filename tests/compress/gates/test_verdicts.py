"""A stage is refused where it is shown to lose too much or gains nothing, and noise neither passes nor refuses it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edge.compress.gates.config import GateConfig
from edge.compress.gates.findings import GateFindings, Judge, Verdict
from edge.compress.gates.verdicts import judge_stage, limit_of, refuse_unknown_limits
from edge.compress.gates.wording import describe_refusal
from edge.compress.stages.record import StageRecord
from edge.runtime.errors import ConfigError
from edge.runtime.statistics import Comparison, Interval, compare


def record(name: str, scores: dict[str, float], size: int = 1000) -> StageRecord:
    metrics = {state: {"score": score, "event_f1": score + 5} for state, score in scores.items()}
    return StageRecord(
        name=name, config={}, params=1, macs=1, bytes=size, seconds=0.0, metrics={}, gate_metrics=metrics
    )


BEFORE = record("student", {"all": 80.0, "only_audio": 40.0}, size=1000)
GATE = GateConfig(max_loss=1.0, max_loss_any=3.0, min_shrink=2.0)


def judged(
    after: StageRecord, gate: GateConfig | None = GATE, half: float | None = None, speed: Comparison | None = None
) -> GateFindings:
    """With intervals `half` to either side of each loss, or none."""
    losses = None
    if half is not None:
        losses = {
            state: {name: _around(BEFORE.gate_metrics[state][name] - points, half) for name, points in metrics.items()}
            for state, metrics in after.gate_metrics.items()
        }
    return judge_stage(BEFORE, after, gate, losses, 50, speed)


def _around(value: float, half: float) -> Interval:
    return Interval(estimate=value, low=value - half, high=value + half)


def test_a_stage_within_its_limits_passes() -> None:
    found = judged(record("quantize", {"all": 79.1, "only_audio": 37.1}, size=500))
    assert found.verdict == "passed"
    assert describe_refusal("quantize", found) is None


@pytest.mark.parametrize(
    ("after", "named"),
    [
        (
            record("quantize", {"all": 78.9, "only_audio": 40.0}, size=100),
            "loses 1.10 points of score in state 'all', 1.00",
        ),
        (record("quantize", {"all": 80.0, "only_audio": 36.9}, size=100), "'only_audio'"),
        (record("quantize", {"all": 80.0, "only_audio": 40.0}, size=501), "2.00x smaller, 2.00x is asked"),
        (record("quantize", {"all": 70.0, "only_audio": 20.0}, size=501), "'only_audio', 3.00 are allowed; 2 more"),
    ],
)
def test_a_refusal_names_what_was_lost(after: StageRecord, named: str) -> None:
    problem = describe_refusal("quantize", judged(after))
    assert problem is not None and named in problem


def test_a_gain_is_never_refused() -> None:
    assert judged(record("prune", {"all": 90.0, "only_audio": 90.0}, size=500), half=5.0).verdict == "passed"


@pytest.mark.parametrize(
    ("judge", "lost", "half", "verdict"),
    [
        ("interval", 0.5, 0.4, "passed"),  # all of it within 1.0
        ("interval", 0.5, 0.6, "undecided"),
        ("interval", 1.5, 0.6, "undecided"),
        ("interval", 1.5, 0.4, "refused"),
        ("proved", 0.5, 0.4, "passed"),
        ("proved", 0.5, 0.6, "refused"),
        ("proved", 1.5, 0.4, "refused"),
        ("point", 0.5, 9.0, "passed"),
        ("point", 1.5, 9.0, "refused"),
        ("interval", 0.5, None, "passed"),  # without an interval the figure is all there is
        ("interval", 1.5, None, "refused"),
        ("proved", 0.5, None, "refused"),
    ],
)
def test_how_a_loss_is_judged(judge: Judge, lost: float, half: float | None, verdict: Verdict) -> None:
    gate = GateConfig(max_loss=1.0, max_loss_any=100.0, judge=judge)
    found = judged(record("prune", {"all": 80.0 - lost, "only_audio": 140.0}), gate, half)
    by_state = {(f.state, f.metric): f for f in found.losses}
    assert by_state["all", "score"].verdict == verdict
    assert by_state["all", "score"].lost == pytest.approx(lost)
    assert by_state["all", "event_f1"].verdict == "free"


def test_an_undecided_loss_says_how_many_recordings_would_decide() -> None:
    found = judged(record("prune", {"all": 79.5, "only_audio": 40.0}, size=500), half=1.0)
    assert found.verdict == "undecided"
    assert describe_refusal("prune", found) is None
    # Half as wide needs four times the recordings: the interval of 0.5 must reach 1.0 and not 1.5.
    assert [n for n in found.notes if "'all'" in n and "50 validation recordings are too few, about 200 would do" in n]


def test_why_there_are_no_intervals_is_noted() -> None:
    found = judged(record("prune", {"all": 80.0, "only_audio": 40.0}, size=500))
    assert found.recordings == 0 and "no intervals" in found.notes[0]


def test_a_limit_is_the_nearest_that_names_it() -> None:
    gate = GateConfig(
        max_loss=1, max_loss_any=3, limits={"only_audio": {"event_f1": 2}, "any": {"event_f1": 4, "score": 5}}
    )
    assert [limit_of(gate, "only_audio", m) for m in ("event_f1", "score", "detection_f1")] == [2, 5, None]
    assert [limit_of(gate, "all", m) for m in ("event_f1", "score")] == [4, 5]
    assert [limit_of(GATE, s, "score") for s in ("all", "no_lidar")] == [1, 3]


def test_a_limited_part_of_the_score_refuses_too() -> None:
    gate = GateConfig(max_loss=9, max_loss_any=9, limits={"only_audio": {"event_f1": 0.5}})
    found = judged(record("prune", {"all": 80.0, "only_audio": 39.0}), gate)
    problem = describe_refusal("prune", found)
    assert problem is not None and "1.00 points of event_f1 in state 'only_audio', 0.50 are allowed" in problem


@pytest.mark.parametrize(
    ("limits", "named"),
    [({"only_sonar": {"score": 1}}, "only_sonar"), ({"any": {"f2": 1}}, "f2"), ({"all": {"f2": 1}}, "f2")],
)
def test_a_limit_on_what_is_not_measured_is_refused_beforehand(limits: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as refusal:
        refuse_unknown_limits("prune", GateConfig(limits=limits), BEFORE.gate_metrics)
    assert "choose from" in refusal.value.remedy and "'prune'" in refusal.value.problem


def test_a_negative_limit_is_no_limit() -> None:
    with pytest.raises(ValidationError):
        GateConfig(limits={"all": {"score": -1}})


def timed(ratio: float) -> Comparison:
    """The old side takes `ratio` times as long, to within a few percent."""
    wanted = iter([0, 100, 0, int(100 * ratio)] * 1000)
    now = [0]

    def clock() -> int:
        now[0] += next(wanted)
        return now[0]

    found = compare(int, int, rounds=8, clock=clock)
    return Comparison(ratio, (ratio - 0.1, ratio + 0.1), found.range, 8, 0, found.a, found.b)


@pytest.mark.parametrize(("ratio", "verdict"), [(1.7, "passed"), (1.5, "undecided"), (1.3, "refused")])
def test_speed_is_judged_by_its_interval(ratio: float, verdict: Verdict) -> None:
    gate = GateConfig(min_speedup=1.5)
    found = judged(record("prune", {"all": 80.0, "only_audio": 40.0}), gate, 0.1, timed(ratio))
    assert [(g.gain, g.verdict) for g in found.gains] == [("size", "passed"), ("speed", verdict)]
    assert found.verdict == verdict
    problem = describe_refusal("prune", found)
    assert (problem is not None) == (verdict == "refused")
    if problem:
        assert "inference 1.30x faster (95 % interval 1.20 to 1.40), 1.50x is asked" in problem


def test_without_a_gate_all_is_found_and_nothing_refused() -> None:
    found = judged(record("prune", {"all": 10.0, "only_audio": 0.0}, size=9999), None, 0.1)
    assert found.verdict == "free"
    assert {f.lost for f in found.losses} == {70.0, 40.0}


def test_findings_survive_the_record_and_its_json() -> None:
    after = record("prune", {"all": 79.0, "only_audio": 40.0}, size=500)
    found = judged(after, half=0.5)
    losses = {"all": {"score": _around(1.0, 0.5)}}
    kept = StageRecord.model_validate_json(after.judged(found, losses).model_dump_json())
    assert kept.gate == found
    assert kept.lost_since_before == losses
    assert (after.gate, after.lost_since_before) == (None, {})
