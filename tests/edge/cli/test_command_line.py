"""The command line as a program sees it: exit codes, one-line errors, `--json`, and what `--help` loads."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from edge.cli import app, main
from edge.cli.verbs import VERBS
from edge.runtime.bundle import Bundle
from edge.runtime.errors import BundleError, ConfigError, GateError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from edge.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('numpy', 'pydantic', 'yaml', 'torch', 'onnxruntime', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "[]"
    assert all(any(verb in line for line in lines) for verb in VERBS)


def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["edge", "verify", str(tmp_path / "nothing")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("edge: there is no bundle folder")
    assert error.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["edge", "--debug", "verify", str(tmp_path / "nothing")])
    with pytest.raises(Exception, match="there is no bundle folder"):
        main()


def test_ctrl_c_ends_with_130(small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edge.fused_run.run_bundle", interrupted)
    done = CliRunner().invoke(app, ["run", str(small_bundle), "--source", "sim", "--out", str(tmp_path / "run")])
    assert done.exit_code == 130
    assert not (tmp_path / "run").exists()


def test_run_reports_as_json(small_bundle: Path, tmp_path: Path) -> None:
    arguments = ["--source", "sim:seed=3", "--duration", "1.5", "--out", str(tmp_path / "run"), "--json"]
    done = CliRunner().invoke(app, ["run", str(small_bundle), *arguments])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    written = json.loads((tmp_path / "run" / "report.json").read_text())["runtime"]
    assert figures == written
    assert figures["fused"] == figures["anchors"] >= 13


def test_verify_accepts_a_whole_bundle_and_refuses_other_answers(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = CliRunner().invoke(app, ["verify", str(small_bundle), "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {
        "id": Bundle.open(small_bundle).id,
        "signature": {"state": "unsigned", "key_id": None, "key_name": None},
        "goldens": [
            {"dialect": "fp32", "engine": "onnxruntime-cpu/fp32", "deviation": 0.0, "allowed": 1e-4, "ok": True}
        ],
        "ok": True,
    }
    original = Bundle.golden_outputs

    for shift, deviation in ((0.5, None), (float("nan"), "inf"), (float("inf"), "inf")):

        def shifted(self: Bundle, dialect: str, by: float = shift) -> list[dict[str, object]]:
            return [{k: v + by for k, v in case.items()} for case in original(self, dialect)]

        monkeypatch.setattr(Bundle, "golden_outputs", shifted)
        failed = CliRunner().invoke(app, ["verify", str(small_bundle)])
        assert isinstance(failed.exception, GateError), shift
        assert deviation is None or deviation in failed.stdout


def test_goldens_of_another_graph_are_no_goldens(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Bundle.golden_outputs
    changes: tuple[Callable[[list[Any]], list[Any]], ...] = (
        lambda cases: cases[:1],
        lambda cases: [{k: v for k, v in case.items() if k != "events"} for case in cases],
        lambda cases: [{k: v[..., :1] for k, v in case.items()} for case in cases],
    )
    for change in changes:
        monkeypatch.setattr(Bundle, "golden_outputs", lambda self, d, change=change: change(original(self, d)))
        done = CliRunner().invoke(app, ["verify", str(small_bundle)])
        assert isinstance(done.exception, BundleError)
        assert "holds other tensors than its graph gives" in str(done.exception)


def test_inspect_tells_what_is_inside(small_bundle: Path) -> None:
    done = CliRunner().invoke(app, ["inspect", str(small_bundle)])
    assert done.exit_code == 0
    for word in ("small", "no_camera", "graph.fp32.onnx", "teacher", "Signature: unsigned;"):
        assert word in done.stdout


def test_inspect_draws_the_rig(small_bundle: Path, tmp_path: Path) -> None:
    picture = tmp_path / "rig.png"
    done = CliRunner().invoke(app, ["inspect", str(small_bundle), "--rig", "--out", str(picture)])
    assert done.exit_code == 0, done.output
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_out_that_is_no_run_is_refused(small_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = CliRunner().invoke(app, ["run", str(small_bundle), "--source", "sim", "--out", str(tmp_path / "file")])
    assert isinstance(done.exception, ConfigError)
