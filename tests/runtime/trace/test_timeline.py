"""Level and state over time, in a fixed number of slots; and the shares of the levels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.runtime.levels import LEVELS, Level
from edge.runtime.result import FusedResult
from edge.runtime.trace.level_record import LevelRecord
from edge.runtime.trace.timeline import SLOTS, Timeline

S = 1_000_000_000


def result(level: Level, **levels: Level) -> FusedResult:
    valid = level != "blind"
    return FusedResult(0, 0, "all" if valid else "blind", (), (), {}, 0.0, {}, valid, "", level, levels)


def test_stretches_of_a_short_run() -> None:
    timeline = Timeline()
    for k in range(100):
        level: Level = "blind" if 30 <= k < 50 else "ok"
        timeline.add(7 * S + k * S // 10, level, "blind" if level == "blind" else "all")
    assert timeline.segments() == [
        {"from_s": 0.0, "to_s": 3.0, "level": "ok", "state": "all"},
        {"from_s": 3.0, "to_s": 5.0, "level": "blind", "state": "blind"},
        {"from_s": 5.0, "to_s": 10.0, "level": "ok", "state": "all"},
    ]


def test_a_long_run_takes_no_more_slots_and_hides_no_bad_level() -> None:
    timeline = Timeline()
    for k in range(40_000):
        timeline.add(k * S, "blind" if k == 20_001 else "ok", "all")
    segments = timeline.segments()
    assert [s["level"] for s in segments] == ["ok", "blind", "ok"]
    assert segments[1]["from_s"] <= 20_001 < segments[1]["to_s"]
    assert segments[-1]["to_s"] >= 39_999


@given(st.lists(st.tuples(st.integers(0, 10_000 * S), st.sampled_from(LEVELS), st.sampled_from("abc")), max_size=80))
def test_segments_follow_one_another(moments: list[tuple[int, Level, str]]) -> None:
    timeline = Timeline()
    for at_ns, level, state in sorted(moments):
        timeline.add(at_ns, level, state)
    segments = timeline.segments()
    assert len(segments) <= SLOTS
    assert [s["to_s"] for s in segments[:-1]] == [s["from_s"] for s in segments[1:]]
    assert {s["level"] for s in segments} <= {level for _, level, _ in moments}
    assert max((LEVELS.index(s["level"]) for s in segments), default=None) == max(
        (LEVELS.index(level) for _, level, _ in moments), default=None
    )


def test_slots_without_a_result_go_on_with_the_last() -> None:
    timeline = Timeline()
    timeline.add(0, "ok", "all")
    timeline.add(5 * S, "ok", "all")
    assert timeline.segments() == [{"from_s": 0.0, "to_s": 5.25, "level": "ok", "state": "all"}]


def test_an_empty_run_has_no_timeline() -> None:
    assert Timeline().segments() == []
    assert LevelRecord().summary() == {"levels": {}, "level_changes": {}, "modality_levels": {}, "timeline": []}


def test_a_level_stands_until_the_next_result() -> None:
    record = LevelRecord()
    for at_s, level in ((0, "ok"), (6, "degraded"), (8, "blind"), (9, "ok"), (10, "ok")):
        record.add(result(level, camera=level), at_s * S)  # type: ignore[arg-type]
    figures = record.summary()
    assert figures["levels"] == pytest.approx({"ok": 0.7, "degraded": 0.2, "blind": 0.1})
    assert figures["level_changes"] == {"blind>ok": 1, "degraded>blind": 1, "ok>degraded": 1}
    assert figures["modality_levels"] == {"camera": pytest.approx({"ok": 0.6, "degraded": 0.2, "blind": 0.2})}


def test_a_single_result_has_its_level_all_the_time() -> None:
    record = LevelRecord()
    record.add(result("stale"), 5)
    assert record.shares() == {"stale": 1.0}
