"""What `edge run` asks of the scheduler: what is refused, what the engine is made with, and what is reported."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.cli.realtime_options import made_in, realtime_scope
from edge.report.publish import read_report
from edge.runtime.errors import ConfigError

NOTHING: dict[str, Any] = {
    **dict.fromkeys(("priority", "niceness", "cores", "capture_cores", "switch_interval_ms", "threads")),
    **dict.fromkeys(("lock_memory", "as_permitted"), False),
    "in_real_time": True,
}
CORES = sorted(os.sched_getaffinity(0))


def test_nothing_asked_is_no_scope_and_one_thread() -> None:
    assert realtime_scope(**NOTHING) is None
    assert made_in(None, lambda threads: threads, None) == 1
    assert made_in(None, lambda threads: threads, 3) == 3


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"priority": 5, "in_real_time": False}, "do nothing in virtual time; add --realtime"),
        ({"cores": "two"}, "--cores two is no list of cores; write --cores 2,3 or --cores 0-3"),
        ({"priority": 5, "niceness": 1}, "a thread with a priority has no niceness"),
        ({"cores": "900"}, "core 900 is none of those that this process may use"),
        ({"capture_cores": ",".join(map(str, CORES))}, "all cores are left to capture, none to the model"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        realtime_scope(**{**NOTHING, **asked})
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(len(CORES) < 2, reason="one core")
@pytest.mark.parametrize(("threads", "expected"), [(None, len(CORES) - 1), (5, 5)])
def test_the_engine_gets_a_thread_for_each_core_that_capture_leaves(threads: int | None, expected: int) -> None:
    scope = realtime_scope(**{**NOTHING, "capture_cores": str(CORES[0]), "threads": threads})
    assert scope is not None
    with scope:
        count, cores = made_in(scope, lambda n: (n, os.sched_getaffinity(0)), threads)
    assert (count, cores) == (expected, set(CORES[1:]))


def test_a_priority_alone_leaves_the_engine_one_thread() -> None:
    scope = realtime_scope(**{**NOTHING, "priority": 2, "as_permitted": True})
    assert scope is not None
    assert scope.engine_threads == 1


@pytest.mark.skipif(len(CORES) < 2, reason="one core")
def test_a_run_reports_what_was_asked_and_the_machines_state(small_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["run", str(small_bundle), "--source", "sim:seed=3", "--duration", "0.8", "--realtime", "--out", str(out)]
    words += ["--capture-cores", str(CORES[0]), "--priority", "3", "--as-permitted", "--json"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["realtime"]["priority"] == 3
    report = read_report(out / "report.json")
    assert report.runtime is not None
    assert report.runtime.realtime is not None
    assert (report.runtime.realtime.priority, report.runtime.realtime.capture_cores) == (3, (CORES[0],))
    assert report.machine is not None
    assert report.machine.threads["engine"] == len(CORES) - 1
    assert report.machine.threads["allow_spinning"] == 0
    assert list(report.machine.cores) == CORES
