"""`edge run --fault` and the bounds that a run is held to, as a user's CI sees them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from edge.cli import app, main
from edge.report.contents import RuntimeReport
from edge.run_limits import RunLimits, check_limits
from edge.runtime.errors import ConfigError, FaultError, GateError

if TYPE_CHECKING:
    from pathlib import Path

STALL = "lidar:stall@1200ms+400ms"


def edge_run(bundle: Path, out: Path, *options: str) -> Any:
    return CliRunner().invoke(app, ["run", str(bundle), "--source", "sim:seed=3", "--out", str(out), *options])


def test_faults_stand_in_report_and_settings(small_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    late = "audio:late@1s+500ms,p=.2,by=50ms"
    options = ["--duration", "2.5", "--fault", STALL, "--fault", late, "--fault-seed", "7", "--json"]
    done = edge_run(small_bundle, out, *options)
    assert done.exit_code == 0, done.output
    runtime = json.loads(done.stdout)
    assert runtime["faults"] == ["lidar:stall@1.2s+400ms", "audio:late@1s+500ms,p=0.2,by=50ms"]
    assert "; faults injected (seed 7): lidar:stall@1.2s+400ms" in runtime["source"]
    assert 0 < runtime["recovery_s"] <= 1
    assert runtime["predicted"] >= 2
    settings = yaml.safe_load((out / "run.yaml").read_text())
    assert (settings["faults"], settings["fault_seed"]) == (runtime["faults"], 7)


def test_the_page_shows_the_run(small_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    out = tmp_path / "run"
    for _ in range(2):  # the second replaces the first, page included
        done = edge_run(small_bundle, out, "--duration", "2", "--fault", STALL, "--html")
        assert done.exit_code == 0, done.output
    page = (out / "report.html").read_text()
    assert "lidar:stall@1.2s+400ms" in page and "degraded" in page
    assert "report.html" in done.stdout


def test_a_healthy_run_has_no_faults(small_bundle: Path, tmp_path: Path) -> None:
    done = edge_run(small_bundle, tmp_path / "run", "--duration", "0.5", "--json")
    runtime = json.loads(done.stdout)
    assert (runtime["faults"], runtime["recovery_s"]) == ([], None)
    settings = yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())
    assert (settings["faults"], settings["fault_seed"]) == ([], None)


def test_a_fault_that_hit_nothing_is_told(small_bundle: Path, tmp_path: Path) -> None:
    done = edge_run(small_bundle, tmp_path / "run", "--duration", "0.5", "--fault", "lidar:stall@50s")
    assert "Fault lidar:stall@50s hit no sample." in done.stdout


def test_the_plan_of_memory_is_printed_part_by_part(small_bundle: Path, tmp_path: Path) -> None:
    done = edge_run(small_bundle, tmp_path / "run", "--duration", "0.5", "--memory-limit", "8GiB")
    assert "limit 8192;" in done.stdout
    parts = json.loads((tmp_path / "run" / "report.json").read_text())["runtime"]["memory_mib"]
    assert len(parts) >= 6
    printed = " ".join(done.stdout.replace("│", " ").split())
    assert all(f"{mib:.1f} {what}" in printed for what, mib in parts.items())


def test_bounds_that_are_kept_pass(small_bundle: Path, tmp_path: Path) -> None:
    bounds = ["--max-gap", "0.22", "--min-complete", "0.3", "--max-recovery", "1"]
    done = edge_run(small_bundle, tmp_path / "run", "--duration", "2.5", "--fault", STALL, *bounds)
    assert done.exit_code == 0, done.output
    assert "recovery after the faults" in done.stdout


def test_a_bound_that_is_not_kept_is_one_line_and_exit_code_3(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["edge", "run", str(small_bundle), "--source", "sim:duration=1", "--out", str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", [*command, "--json", "--max-gap", "0.01", "--min-complete", "1"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1].startswith("edge: the run did not keep: max-gap 0.01 s (it was 0.")
    assert "min-complete 1 (0.1 were 'all', 0.9 too few)" in printed.err
    assert json.loads(printed.out)["fused"] > 0
    assert (tmp_path / "run" / "results.jsonl").is_file()


@pytest.mark.parametrize("stream", ["all", "lidar"])
def test_silence_to_the_end_breaks_the_bound_on_gaps(small_bundle: Path, tmp_path: Path, stream: str) -> None:
    """With all streams stalled no result comes any more, so no gap ends; the bound is broken all the same."""
    options = ["--duration", "1.5", "--fault", f"{stream}:stall@700ms", "--max-gap", "0.22"]
    done = edge_run(small_bundle, tmp_path / "run", *options)
    if stream == "all":
        assert isinstance(done.exception, GateError)
        assert "max-gap 0.22 s (it was 0.8" in str(done.exception) or "(it was 0.7" in str(done.exception)
    else:
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        (["--fault", "lidar:stal@1s"], FaultError, "did you mean 'stall'"),
        (["--fault", "lidra:stall@1s"], FaultError, "no stream 'lidra'"),
        (["--max-gap", "-1"], ConfigError, "--max-gap -1 is no length of time"),
        (["--max-gap", "nan"], ConfigError, "--max-gap nan"),
        (["--min-complete", "90"], ConfigError, "--min-complete 90 is no share"),
        (["--max-recovery", "inf", "--fault", STALL], ConfigError, "--max-recovery inf"),
        (["--max-recovery", "1"], ConfigError, "no fault to recover from"),
        (["--max-recovery", "1", "--fault", "lidar:stall@1s"], ConfigError, "lasts to the end of the run"),
    ],
)
def test_mistakes_are_refused_before_the_run(
    small_bundle: Path, tmp_path: Path, options: list[str], error: type[Exception], told: str
) -> None:
    done = edge_run(small_bundle, tmp_path / "run", *options)
    assert isinstance(done.exception, error)
    assert told in str(done.exception)
    assert not (tmp_path / "run").exists()


def report(**values: Any) -> RuntimeReport:
    return RuntimeReport.model_validate({"source": "s", "fused": 10, "completeness": {"all": 0.8}, **values})


def test_each_bound_says_by_how_much() -> None:
    limits = RunLimits(max_gap_s=0.25, min_complete=0.9, max_recovery_s=1.0)
    check_limits(report(max_gap_s=0.25, recovery_s=1.0, completeness={"all": 0.9}), limits, "all")
    with pytest.raises(GateError) as refused:
        check_limits(report(max_gap_s=0.3, recovery_s=2.5), limits, "all")
    assert "max-gap 0.25 s (it was 0.300 s, 0.050 s more)" in str(refused.value)
    assert "min-complete 0.9 (0.8 were 'all', 0.1 too few)" in str(refused.value)
    assert "max-recovery 1 s (it was 2.500 s, 1.500 s more)" in str(refused.value)


def test_what_was_never_measured_is_not_kept() -> None:
    with pytest.raises(GateError, match=r"fewer than two results.*no complete result came after the faults"):
        check_limits(report(), RunLimits(max_gap_s=9, max_recovery_s=9), "all")
    with pytest.raises(GateError, match="0 were 'no_audio'"):
        check_limits(report(), RunLimits(min_complete=0.5), "no_audio")
