"""`edge profile` as a user and a CI see it: what is written and printed, and how it ends."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from edge.cli import app, main
from edge.profile.contents import Profile
from edge.profile.measuring import ProfileOrder, measure
from edge.profile.sample_rule import SamplingConfig
from edge.profile.stored import read_profile
from edge.runtime.errors import ConfigError, EdgeError, GateError, MissingDependencyError
from edge.runtime.statistics import percentile_interval

QUICK = ("--samples", "60", "--no-layers")


def edge_profile(*options: object) -> Any:
    return CliRunner().invoke(app, ["profile", *map(str, options)])


def refused(*options: object) -> EdgeError:
    done = edge_profile(*options)
    assert isinstance(done.exception, EdgeError), done.output
    assert "\n" not in str(done.exception)
    return done.exception


@pytest.fixture(autouse=True)
def _independent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else this machine does must not decide whether a median has an interval."""
    monkeypatch.setattr("edge.profile.distributions.dependent_interval", percentile_interval)


@pytest.fixture
def model(small_graph: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(small_graph)
    return path


def slowed(stored: Path, factor: float, out: Path, **changed: Any) -> Path:
    """A stored profile whose durations are `factor` times as long."""
    content = json.loads(stored.read_text())
    latency = content["latency_ms"]
    for name, value in latency["distribution"].items():
        if name != "n" and value is not None:
            latency["distribution"][name] = value * factor
    latency["intervals"] = {name: [v * factor for v in pair] for name, pair in latency["intervals"].items()}
    out.write_text(json.dumps({**content, **changed}))
    return out


def test_a_bundle_by_default(small_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = edge_profile(small_bundle, "--samples", 60, "--out", out)
    assert done.exit_code == 0, done.output
    found = read_profile(out)
    assert (found.subject.kind, found.scenario, found.latency_ms.distribution.n) == ("bundle", "single", 60)
    assert {"preprocess", "engine", "decode"} <= set(found.stages_ms)
    assert found.layers and found.throughput_hz
    assert "Profile: " in done.stdout
    assert {"trace.json", "layers.csv", "profile.json"} <= {entry.name for entry in out.iterdir()}


def test_json_is_the_profile(model: Path, tmp_path: Path) -> None:
    done = edge_profile(model, *QUICK, "--seed", 3, "--json", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    found = Profile.model_validate(json.loads(done.stdout))
    assert found == read_profile(tmp_path / "out")
    assert (found.seed, found.layers, found.subject.kind) == (3, (), "onnx")


def test_offline_runs_side_by_side(small_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = edge_profile(small_bundle, *QUICK, "--scenario", "offline", "--batch", 2, "--out", out)
    assert done.exit_code == 0, done.output
    found = read_profile(out)
    assert (found.scenario, found.batch) == ("offline", 2)
    assert any("2 threads ran it side by side" in note for note in found.notes)


def test_compared_in_turns(model: Path, small_bundle: Path) -> None:
    done = edge_profile("--compare", model, model, "--samples", 30, "--tolerance", 0.9, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["interleaved"] and told["verdict"] == "same" and told["details"]["rounds"] == 30
    assert told["interval"][0] <= told["ratio"] <= told["interval"][1]
    mixed = edge_profile("--compare", model, small_bundle, "--samples", 30, "--tolerance", 0.9)
    assert mixed.exit_code == 0, mixed.output
    assert "B: The engine alone: neither preprocessing nor decoding" in mixed.stdout.replace("\n", " ")


def test_stored_profiles_compared(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    out = tmp_path / "out"
    edge_profile(model, *QUICK, "--out", out)
    slow = slowed(out / "profile.json", 3.0, tmp_path / "slow.json")
    told = json.loads(edge_profile("--compare", slow, out, "--json").stdout)
    assert told["verdict"] == "faster" and not told["interleaved"]
    assert told["ratio"] == pytest.approx(1 / 3)
    monkeypatch.setattr(sys, "argv", ["edge", "profile", "--compare", str(out), str(slow), "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["verdict"] == "slower"
    assert "takes 3.000 times as long" in captured.err


def test_against_a_stored_profile(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    edge_profile(model, *QUICK, "--out", out)
    fast = slowed(out / "profile.json", 0.01, tmp_path / "fast.json")
    done = edge_profile(model, *QUICK, "--against", fast, "--out", tmp_path / "again")
    assert isinstance(done.exception, GateError)
    assert (tmp_path / "again" / "profile.json").exists(), "what was measured is kept"
    assert "not timed in turns" in done.stdout.replace("\n", " ")
    live = edge_profile("--compare", fast, model, *QUICK, "--json")
    assert isinstance(live.exception, GateError) and json.loads(live.stdout)["verdict"] == "slower"


def test_another_state_warns_or_fails_with_strict(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    edge_profile(model, *QUICK, "--out", out)
    before = json.loads((out / "profile.json").read_text())["before"]
    other = slowed(out / "profile.json", 1.0, tmp_path / "other.json", before={**before, "model": "another board"})
    done = edge_profile("--compare", out, other)
    assert done.exit_code == 0 and "Differs:" in done.stdout and "another board" in done.stdout
    strict = edge_profile("--compare", out, other, "--strict")
    assert isinstance(strict.exception, GateError) and "another board" in str(strict.exception)


def test_a_trend_is_kept(model: Path, tmp_path: Path) -> None:
    trend = tmp_path / "trend.jsonl"
    for before in range(2):
        done = edge_profile(model, *QUICK, "--trend", trend, "--out", tmp_path / "out", "--json")
        assert json.loads(done.stdout)["trend"] == {"verdict": None, "ratio": None, "interval": None, "before": before}
    assert len(trend.read_text().splitlines()) == 2
    trend.write_text("nonsense\n")
    assert "line 1 is none of a trend" in str(refused(model, *QUICK, "--trend", trend, "--out", tmp_path / "out"))


def test_fewer_samples_than_the_percentile_asked_for(model: Path) -> None:
    error = refused(model, "--samples", 100, "--percentile", "p99")
    assert str(error).startswith("p99 needs at least 299 samples, and 100 are asked for; give --samples 299")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--compare", "MODEL"], "--compare takes two subjects, 1 given"),
        (["--compare", "MODEL", "MODEL", "MODEL"], "3 given"),
        (["--compare", "MODEL", "MODEL", "--trend", "x"], "--against and --trend are of one subject"),
        (["--compare", "MODEL", "MODEL", "--scenario", "offline"], "which is not offline"),
        (["--compare", "MODEL", "MODEL", "--duration", "2"], "is of rounds; give --samples"),
        (["MODEL", "MODEL"], "2 subjects are given; give one, or two with --compare"),
        (["missing.onnx"], "there is no missing.onnx"),
        (["WORD"], "is nothing that edge can time; pass a bundle's folder or a file: .onnx"),
        (["FOLDER"], "is nothing that edge can time"),
        (["MODEL", "--source", "sim"], "is no bundle; leave --source and --dialect out"),
        (["MODEL", "--scenario", "stream"], "is no bundle, and streams are what bundles take"),
        (["MODEL", "--shape", "nonsense"], "is no shape of one input"),
        (["MODEL", "--shape", "nothing=1"], "names 'nothing', which is no input"),
        (["MODEL", "--batch", "4"], "takes 1 sample at a time, not 4"),
        (["MODEL", "--percentile", "99"], "'99' is no percentile"),
        (["MODEL", "--engine", "tensorrt"], "is an ONNX graph"),
        (["MODEL", "--against", "missing.json"], "cannot read missing.json"),
        (["--compare", "MODEL", "REPORT"], "is no profile; pass the profile.json"),
    ],
)
def test_bad_orders_are_one_line(model: Path, tmp_path: Path, options: list[str], problem: str) -> None:
    (tmp_path / "word.docx").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "report.json").write_text('{"runtime": {}}')
    files = {"WORD": "word.docx", "FOLDER": "folder", "REPORT": "report.json", "MODEL": "model.onnx"}
    given = [str(tmp_path / files[word]) if word in files else word for word in options]
    error = refused(*given, "--out", tmp_path / "out")
    assert isinstance(error, ConfigError) and problem in str(error)
    assert not (tmp_path / "out").exists()


def test_a_report_of_another_schema(model: Path, tmp_path: Path) -> None:
    edge_profile(model, *QUICK, "--out", tmp_path / "out")
    newer = slowed(tmp_path / "out" / "profile.json", 1.0, tmp_path / "newer.json", schema=7)
    assert "is a profile of schema 7, this edge reads 1" in str(refused("--compare", newer, model))


def test_an_engine_without_tensorrt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.runtime.capabilities.has_module", lambda name: not name.startswith("tensorrt"))
    (tmp_path / "model.engine").write_bytes(b"plan")
    assert isinstance(refused(tmp_path / "model.engine"), MissingDependencyError)


def test_a_stored_offline_profile_sets_the_scenario(small_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    edge_profile(small_bundle, *QUICK, "--scenario", "offline", "--batch", 2, "--out", out)
    told = json.loads(edge_profile("--compare", out, small_bundle, *QUICK, "--tolerance", 0.95, "--json").stdout)
    assert told["verdict"] == "same" and not told["interleaved"]


def test_measuring_from_python(model: Path) -> None:
    seen: list[int] = []
    order = ProfileOrder(rule=SamplingConfig(duration_s=0.05), layer_rounds=2)
    found = measure(model, order, seen.append)
    assert seen[-1] == found.latency_ms.distribution.n and len(found.layers) > 2


def test_no_thread_draws_while_something_is_timed(model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It would take the interpreter's lock within a sample."""
    from edge.cli import profile_orders, quiet_status
    from edge.profile import measuring

    def watched(path: Path, order: ProfileOrder, show: Callable[[int], None]) -> Profile:
        show(3)
        assert threading.active_count() == alive
        return measuring.measure(path, order, show)

    console, alive = Console(force_terminal=True, file=io.StringIO()), threading.active_count()
    monkeypatch.setattr(quiet_status, "Console", lambda **options: console)
    monkeypatch.setattr(profile_orders, "measure", watched)
    done = edge_profile(model, *QUICK, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "Timing model.onnx: 3" in console.file.getvalue()  # type: ignore[attr-defined]
