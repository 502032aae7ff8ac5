"""The state of the machine in a run's report: rows for the page, and sentences on what changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.report.contents import Report
from edge.report.figures import ReportFigures
from edge.report.machine_view import machine_rows
from edge.report.page import render_page
from edge.run_notes import machine_notes
from edge.runtime.environment import describe_host
from edge.runtime.machine_state.reading import read_machine_state
from edge.runtime.realtime.applying import RealtimeScope
from edge.runtime.realtime.settings import RealtimeConfig
from tests.runtime.machine_state.boards import AGX_ORIN, ORIN_NANO, cooling, write_tree
from tests.runtime.realtime.made_up_kernel import MadeUpKernel


def test_rows_of_a_board(tmp_path: Path) -> None:
    rows = dict(machine_rows(read_machine_state(write_tree(tmp_path, ORIN_NANO, cooling(0, "cpufreq-cpu0", 3, 9)))))
    assert rows["Power mode"] == "2 MAXN_SUPER"
    assert rows["Clocks"].split("; ") == [
        "cpu0-3 115 to 1728 MHz schedutil",
        "cpu4-5 115 to 1728 MHz schedutil",
        "gpu 306 to 1020 MHz nvhost_podgov",
        "emc 2133 MHz",
    ]
    assert rows["Throttled now"] == "cpufreq-cpu0 3 of 9"
    assert rows["Rails"] == "VDD_IN 4,950 mW, VDD_CPU_GPU_CV 812 mW, VDD_SOC 1,499 mW"
    assert rows["Usable cores"] == "0-5"
    assert rows["Not readable"] == "temperature of cv0-thermal: temp says -256000, which cannot be"


def test_pinned_clocks_are_told_as_such(tmp_path: Path) -> None:
    rows = dict(machine_rows(read_machine_state(write_tree(tmp_path, AGX_ORIN))))
    assert "cpu8-11 pinned at 2202 MHz schedutil" in rows["Clocks"]


def test_what_is_unknown_has_no_row(tmp_path: Path) -> None:
    assert [name for name, _ in machine_rows(read_machine_state(tmp_path))] == ["Not readable"]


def test_the_page_shows_the_state_of_a_run_and_nothing_where_there_is_none(tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    bare = Report(title="small: run", environment=describe_host())
    state = read_machine_state(write_tree(tmp_path, ORIN_NANO))
    page = render_page(bare.model_copy(update={"machine": state}), ReportFigures())
    assert "VDD_IN 4,950 mW" in page
    assert "The state it was in" in page
    assert "The state it was in" not in render_page(bare, ReportFigures())


def test_notes_tell_what_changed_and_what_was_not_permitted(tmp_path: Path) -> None:
    before = read_machine_state(write_tree(tmp_path, ORIN_NANO))
    after = read_machine_state(write_tree(tmp_path, {"sys/class/hwmon/hwmon0/oc3_event_cnt": "8"}))
    config = RealtimeConfig(priority=9, required=False)
    with RealtimeScope(config, MadeUpKernel(refuses=["set_fifo"])) as scope:
        pass
    assert list(machine_notes(before, after, scope)) == [
        "The hardware throttled 1 time during the run (oc3): figures of this run may not repeat.",
        "Without priority 9 (SCHED_FIFO): the kernel does not permit it (Operation not permitted).",
    ]
    assert list(machine_notes(before, before, None)) == []
