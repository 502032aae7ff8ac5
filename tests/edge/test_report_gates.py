"""What gates found, in the report's page and in the table of changes; and the units that tables use."""

from __future__ import annotations

import re
from html import escape, unescape
from io import StringIO

import pytest
from rich.console import Console

from edge.compress.gates.findings import GainFinding, GateFindings, LossFinding, Verdict
from edge.report import Report, ReportFigures, StageReport
from edge.report.page import render_page
from edge.report.table import change_table, human_bytes, human_count, human_seconds, stage_table
from edge.runtime.environment import describe_host
from edge.runtime.statistics import Interval

HOSTILE = "<script>alert(1)</script>"
STATES = {"all": 0.0, "no_lidar": 9.0, "only_audio": 40.0}


def stage(name: str, score: float) -> StageReport:
    metrics = {state: {"score": score - less, "event_f1": score} for state, less in STATES.items()}
    return StageReport(name=name, params=1000, macs=1000, bytes=1000, metrics=metrics)


TEACHER, LAST = stage("teacher", 90.0), stage("quantize", 89.5)


def _judged(made: StageReport, verdict: Verdict) -> StageReport:
    """With a gate on the score in all states, and an undecided or whatever finding in one of them."""
    interval = Interval(estimate=0.5, low=-0.25, high=1.25)
    losses = (
        LossFinding(state="all", metric="score", lost=0.5, interval=interval, limit=0.75, verdict=verdict),
        LossFinding(state="no_lidar", metric="score", lost=-1.5, limit=4.0, verdict="passed"),
        LossFinding(state="no_lidar", metric="event_f1", lost=33.25),
    )
    gain = GainFinding(gain="size", ratio=8.0, limit=2.0, verdict="passed")
    notes = (HOSTILE,) if verdict == "undecided" else ()
    gate = GateFindings(judge="interval", recordings=300, losses=losses, gains=(gain,), notes=notes)
    since = {"all": {"score": interval}, "only_audio": {"score": interval}}
    return made.model_copy(update={"gate": gate, "lost_since_before": since, "seconds": 754.0})


def test_table_says_what_a_stage_lost_against_the_one_before_and_what_its_gate_said() -> None:
    assert change_table([TEACHER, LAST]) is None
    assert re.search(r"quantize .* 13 min", _shown(TEACHER, _judged(LAST, "undecided")))
    verdicts: tuple[Verdict, ...] = ("undecided", "refused")
    for verdict in verdicts:
        text = _changes(TEACHER, _judged(LAST, verdict))
        assert re.search(rf"quantize .* -0.5 .* only_audio  -0.5 .* all  -0.5 .* {verdict}", text)
        assert len(re.findall(r"-1\.2 to \+0\.2", text)) == 3
        assert "95 % intervals, paired, over recordings" in " ".join(text.split())
        assert "teacher" not in text


def test_table_of_changes_says_where_there_is_no_interval() -> None:
    text = _changes(TEACHER, _judged(LAST, "passed").model_copy(update={"lost_since_before": {}}))
    assert re.search(r"quantize \W+-\W+-\W+-\W+passed", text)


def _changes(*stages: StageReport) -> str:
    table = change_table(stages)
    assert table is not None
    console = Console(width=100, record=True, force_terminal=False, file=StringIO())
    console.print(table)
    return console.export_text()


def _shown(*stages: StageReport, width: int = 100) -> str:
    console = Console(width=width, record=True, force_terminal=False, file=StringIO())
    console.print(stage_table(stages))
    return console.export_text()


def test_page_shows_what_gates_found_and_marks_a_refused_stage() -> None:
    stages = (TEACHER, _judged(LAST, "undecided"), _judged(stage("again", 60.0), "refused"))
    page = render_page(Report(title="Gates", stages=stages, environment=describe_host()), ReportFigures())
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", page.replace(escape(HOSTILE), "HOSTILE"))).split())
    assert "quantize: undecided" in text and "again: refused" in text
    assert "again refused 60.0" in text  # the row of the scores
    assert "quantize, as packed in the bundle" in text
    minus, times = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
    assert f"all score +0.50 {minus}0.25 to +1.25 0.75 undecided" in text
    assert f"8.00{times} smaller of 2.00{times} asked: passed" in text
    assert "Intervals over 300 recordings" in text
    assert "33.25" not in text  # neither limited nor the score: report.json has it
    assert "HOSTILE" in text and "<script" not in page
    assert "bootstrapped over recordings" in text


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "-"), (0.4, "0 s"), (89.0, "89 s"), (91.0, "2 min"), (5401.0, "1.5 h")]
)
def test_durations_are_short(seconds: float | None, shown: str) -> None:
    assert human_seconds(seconds) == shown


@pytest.mark.parametrize(
    ("value", "count", "size"),
    [(0, "0", "0 B"), (999, "999", "999 B"), (1_234_567, "1.23 M", "1.23 MB"), (45_600, "45.6 k", "45.6 kB")],
)
def test_human_units(value: float, count: str, size: str) -> None:
    assert human_count(value) == count
    assert human_bytes(value) == size
