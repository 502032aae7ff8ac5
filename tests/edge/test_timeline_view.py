"""The strips of a run: their spans, and what is read out of them."""

from __future__ import annotations

from edge.report import RuntimeReport
from edge.report.contents import TimelineSegment
from edge.report.timeline_view import strips_of


def test_a_run_of_many_changes_is_not_read_out_in_full() -> None:
    segments = [TimelineSegment(from_s=k, to_s=k + 1, level="blind" if k % 2 else "ok", state="all") for k in range(40)]
    run = RuntimeReport(source="x", fused=40, completeness={}, timeline=tuple(segments))
    strips = strips_of(run)
    assert strips is not None and len(strips.levels) == 40
    assert strips.spoken.count("until") == 12 and strips.spoken.endswith("and 28 more changes")
    assert strips_of(RuntimeReport(source="x", fused=0, completeness={})) is None


def test_spans_join_what_is_shown_alike() -> None:
    segments = [
        TimelineSegment(from_s=0, to_s=2, level="ok", state="all"),
        TimelineSegment(from_s=2, to_s=3, level="degraded", state="all"),
        TimelineSegment(from_s=3, to_s=8, level="degraded", state="no_lidar"),
    ]
    strips = strips_of(RuntimeReport(source="x", fused=9, completeness={}, timeline=tuple(segments)))
    assert strips is not None and strips.seconds == 8
    assert [(s.shown, s.from_s, s.to_s) for s in strips.levels] == [("ok", 0, 2), ("degraded", 2, 8)]
    assert [(s.shown, s.share) for s in strips.states] == [("all", 0.375), ("no_lidar", 0.625)]
