"""Levels of results: what they mean, and that hysteresis never makes them better than they are."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.runtime.health import HealthMonitor, result_level
from edge.runtime.levels import LEVELS, HealthPolicy, Level, LevelFilter
from edge.runtime.sample import Reading, Sample
from edge.runtime.synchronize.synced import SyncedSet

if TYPE_CHECKING:
    from collections.abc import Iterable

MS = 1_000_000
PERIODS_NS = {"camera": 33 * MS, "lidar": 100 * MS, "audio": 20 * MS}
ALL = tuple(PERIODS_NS)
SAMPLE = Sample("any", 0, 0, 0, Reading(None, ()))  # type: ignore[arg-type]

policies = st.builds(HealthPolicy, misses_in=st.integers(1, 5), good_out=st.integers(1, 5))
sequences = st.lists(st.sampled_from(LEVELS), max_size=60)


def synced(present: Iterable[str] = ALL, predicted: bool = False, **held_ms: float) -> SyncedSet:
    """A set in which `held_ms` names the held streams and how old each is; the others fit exactly."""
    now_ns = 10_000 * MS
    stamps = {name: now_ns - round(held_ms.get(name, 0) * MS) for name in present}
    return SyncedSet(
        seq=0,
        stamp_ns=now_ns,
        samples=dict.fromkeys(stamps, SAMPLE),
        stamps_ns=stamps,
        held=tuple(held_ms),
        missing={name: "silent" for name in ALL if name not in stamps},
        emitted_ns=now_ns,
        spread_ms=0.0,
        predicted=predicted,
        concealed_ms={},
    )


def judged(one: SyncedSet, used: tuple[str, ...], refused: tuple[str, ...] = ()) -> tuple[Level, dict[str, Level]]:
    return HealthMonitor(PERIODS_NS, HealthPolicy()).judge(one, used, refused)


def test_ok_is_every_modality_fresh() -> None:
    assert judged(synced(), ALL) == ("ok", {"camera": "ok", "lidar": "ok", "audio": "ok"})


def test_a_smaller_state_is_degraded() -> None:
    level, levels = judged(synced(("camera", "lidar")), ("camera", "lidar"))
    assert (level, levels["audio"], levels["camera"]) == ("degraded", "blind", "ok")


def test_a_modality_that_no_validated_state_takes_is_degraded() -> None:
    level, levels = judged(synced(("camera", "lidar")), ("lidar",))
    assert (level, levels) == ("degraded", {"camera": "degraded", "lidar": "ok", "audio": "blind"})


def test_a_predicted_anchor_is_degraded_even_where_all_are_fresh() -> None:
    assert judged(synced(predicted=True), ALL)[0] == "degraded"


@pytest.mark.parametrize(("age_ms", "level"), [(32.9, "ok"), (33.0, "ok"), (33.1, "stale"), (149.0, "stale")])
def test_a_held_sample_is_stale_once_older_than_its_period(age_ms: float, level: Level) -> None:
    found, levels = judged(synced(camera=age_ms), ALL)
    assert (found, levels["camera"]) == (level, level)


def test_an_old_sample_that_was_not_used_is_not_stale() -> None:
    level, levels = judged(synced(("camera", "lidar"), camera=100), ("lidar",))
    assert (level, levels["camera"]) == ("degraded", "degraded")


def test_sound_with_filled_holes_is_degraded() -> None:
    holed = replace(synced(), concealed_ms={"audio": 20.0})
    assert judged(holed, ALL) == ("degraded", {"camera": "ok", "lidar": "ok", "audio": "degraded"})


def test_a_refused_payload_is_a_missing_one() -> None:
    level, levels = judged(synced(), ("lidar", "audio"), refused=("camera",))
    assert (level, levels["camera"]) == ("degraded", "blind")


def test_nothing_run_is_blind_whatever_came() -> None:
    level, levels = judged(synced(("camera", "audio"), predicted=True), ())
    assert (level, levels) == ("blind", {"camera": "degraded", "lidar": "blind", "audio": "degraded"})


def reported(levels: Iterable[Level], policy: HealthPolicy | None = None) -> list[Level]:
    taken = LevelFilter(policy or HealthPolicy())
    return [taken.take(level) for level in levels]


def test_a_single_miss_is_said_and_leaves_no_trace() -> None:
    assert reported(["ok", "degraded", "ok", "ok"]) == ["ok", "degraded", "ok", "ok"]


def test_two_misses_stay_until_three_in_a_row_are_good() -> None:
    given: list[Level] = ["degraded", "degraded", "ok", "ok", "ok", "ok"]
    assert reported(given) == ["degraded"] * 4 + ["ok"] * 2


def test_flicker_becomes_a_steady_light() -> None:
    assert reported(["degraded", "ok"] * 5) == ["degraded", "ok"] + ["degraded"] * 8


def test_a_stale_level_steps_back_to_degraded_first() -> None:
    given: list[Level] = ["stale", "stale", "degraded", "degraded", "degraded", "ok", "ok", "ok"]
    assert reported(given) == ["stale"] * 4 + ["degraded"] * 3 + ["ok"]


def test_blind_is_said_at_once_and_what_is_valid_is_not_called_blind() -> None:
    given: list[Level] = ["ok", "blind", "blind", "ok", "ok", "ok"]
    assert reported(given) == ["ok", "blind", "blind", "degraded", "degraded", "ok"]


@given(sequences, policies)
def test_never_better_than_the_result_and_blind_exactly_where_it_is(given: list[Level], policy: HealthPolicy) -> None:
    for now, shown in zip(given, reported(given, policy), strict=True):
        assert LEVELS.index(shown) >= LEVELS.index(now)
        assert (shown == "blind") == (now == "blind")


def _ok(count: int) -> list[Level]:
    return ["ok"] * count


@given(sequences, policies)
def test_enough_good_results_in_a_row_always_end_it(given: list[Level], policy: HealthPolicy) -> None:
    assert reported(given + _ok(policy.good_out), policy)[-1] == "ok"


@given(sequences, policies)
def test_what_is_shown_was_there_since_the_last_good_stretch(given: list[Level], policy: HealthPolicy) -> None:
    """A level is not invented: at least `misses_in` results as bad came, with no good stretch since."""
    for end, (now, shown) in enumerate(zip(given, reported(given, policy), strict=True)):
        if shown == now:
            continue
        misses, good = 0, 0
        for before in reversed(given[: end + 1]):
            if shown == "stale" and before == "blind":
                continue
            is_miss = before == "stale" if shown == "stale" else before != "ok"
            misses, good = (misses + 1, 0) if is_miss else (misses, good + 1)
            assert good < policy.good_out
            if misses >= policy.misses_in:
                break
        assert misses >= policy.misses_in


@given(sequences, policies)
def test_a_lamp_does_not_flicker(given: list[Level], policy: HealthPolicy) -> None:
    """Every `good_out` results allow at most `misses_in` returns to ok."""
    shown = reported(given, policy)
    ends = sum(a != "ok" and b == "ok" for a, b in pairwise(shown))
    goods = sum(level == "ok" for level in given)
    assert ends <= policy.misses_in * (goods // policy.good_out + 1)


@pytest.mark.parametrize("wrong", [{"misses_in": 0}, {"good_out": 0}, {"good_out": 1001}, {"k": 2}, {"misses_in": 1.5}])
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HealthPolicy.model_validate(wrong)


def test_the_worst_of_what_was_used_decides() -> None:
    levels: dict[str, Level] = {"camera": "stale", "lidar": "ok", "audio": "blind"}
    assert result_level(levels, ("camera", "lidar"), False) == "stale"
    assert result_level(levels, ("lidar",), False) == "degraded"
    assert result_level(levels, (), False) == "blind"


def test_one_line_is_logged_at_each_change(caplog: pytest.LogCaptureFixture) -> None:
    monitor = HealthMonitor(PERIODS_NS, HealthPolicy())
    with caplog.at_level(logging.INFO, "edge.runtime.health"):
        for _ in range(3):
            monitor.judge(synced(), ALL, ())
        for _ in range(3):
            monitor.judge(synced(("lidar",)), (), (), "no modality is there")
        for _ in range(5):
            monitor.judge(synced(), ALL, ())
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in lines] == ["INFO", "WARNING", "INFO", "INFO"]
    assert "ok -> blind" in lines[1][1] and "no modality is there" in lines[1][1]
    assert "blind -> degraded" in lines[2][1] and "degraded -> ok" in lines[3][1]
