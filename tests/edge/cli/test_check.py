"""`edge check` as a user and a program see it: exit codes, a table that fits, whole JSON, and mistakes named."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING, Any

import onnx
import pytest
import typer
from typer.testing import CliRunner

from edge.cli.check import check
from edge.compile.check import compiler_steps
from edge.compile.check.examination import STAND_IN_NOTE
from edge.compile.check.report import CheckReport
from edge.compile.torch_tensorrt import installation
from edge.runtime.errors import (
    BundleError,
    ConfigError,
    DeviceError,
    EdgeError,
    GateError,
    MissingDependencyError,
    ModelError,
)
from tests.edge.compile.check.subjects import odd_graph
from tests.edge.compile.precision.pair_graphs import PairGraph, convolution
from tests.edge.compile.tensorrt.fake_tensorrt import fake_library

if TYPE_CHECKING:
    from pathlib import Path

    from edge.compile.tensorrt.library import TensorRTLibrary

app = typer.Typer()
app.command()(check)
BOARD = ("--target", "orin-nano-8gb")


def _absent(*_: Any) -> Any:
    raise MissingDependencyError("there is no TensorRT", "install it")


def _no_package(name: str) -> str:
    raise PackageNotFoundError(name)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> TensorRTLibrary:
    """A TensorRT-RTX that takes everything, no Torch-TensorRT, whatever this machine has; and no keys of a user."""
    library = fake_library("1.7.1.116")
    monkeypatch.setattr(compiler_steps, "open_library", lambda: library)
    monkeypatch.setattr(installation, "version", _no_package)
    return library


@pytest.fixture
def no_compiler(machine: TensorRTLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler_steps, "open_library", _absent)


def run(*arguments: str | Path, columns: int = 160) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": str(columns)})


def written(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return written(tmp_path / "good.onnx", convolution(activation=False, weight=False))


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    return written(tmp_path / "odd.onnx", odd_graph())


def refused(done: Any, kind: type[EdgeError], code: int) -> str:
    assert isinstance(done.exception, kind), done.exception
    assert done.exception.exit_code == code
    return str(done.exception)


def test_a_good_model_ends_with_0_and_a_summary(good: Path) -> None:
    done = run(good, *BOARD)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("good.onnx (onnx) for Jetson Orin Nano 8 GB, JetPack 6.2, TensorRT 10.3.0")
    assert done.stdout.rstrip().endswith("8 passed, 5 noted: ready.")
    for words in ("versions", "TensorRT-RTX 1.7.1.116 built for 8.6", "8.6 stands in for 8.7", "precision", "memory"):
        assert words in done.stdout
    assert "no engine for the target" in " ".join(done.stdout.split())


def test_a_bundle_is_checked(small_bundle: Path) -> None:
    done = run(small_bundle, *BOARD, "--jetpack", "7.2")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("small (bundle) for Jetson Orin Nano 8 GB, JetPack 7.2, TensorRT 10.16.2")


def test_an_unsupported_operator_ends_with_3_and_names_its_layer(odd: Path) -> None:
    done = run(odd, *BOARD)
    told = refused(done, GateError, 3)
    assert told.startswith("odd.onnx is not ready for orin-nano-8gb: operators: head.det (Det), head.not (BitwiseNot)")
    assert "head.det (Det): the parser of TensorRT 10.3 has no such operator" in done.stdout
    assert "1 failed" in done.stdout and "not ready." in done.stdout


def test_what_was_not_checked_passes_unless_it_is_strict(good: Path, no_compiler: None) -> None:
    done = run(good, *BOARD)
    assert done.exit_code == 0, done.output
    assert "2 not checked: nothing speaks against it so far." in done.stdout
    assert done.stdout.count("make preflight") == 1  # once under the table, not in every row
    told = refused(run(good, *BOARD, "--strict"), GateError, 3)
    assert "not checked here: TensorRT parser, engine build" in told
    assert "make preflight" not in told


def test_strict_minds_nothing_that_was_checked(good: Path) -> None:
    assert run(good, *BOARD, "--strict").exit_code == 0


@pytest.mark.parametrize("fails", [False, True])
def test_json_is_whole_and_alone_on_stdout(good: Path, odd: Path, fails: bool) -> None:
    done = run(odd if fails else good, *BOARD, "--json")
    told = json.loads(done.stdout)
    report = CheckReport.model_validate(told)
    assert (told["schema"], told["target"], told["jetpack"], told["tensorrt"]) == (1, "orin-nano-8gb", "6.2", "10.3.0")
    assert (told["subject"], told["kind"]) == ("odd.onnx" if fails else "good.onnx", "onnx")
    assert len(report.steps) == 13
    assert set(told["steps"][0]) == {"name", "status", "detail", "remedy", "findings", "facts"}
    assert report.precision is not None and report.precision.evidence == "declared"
    assert report.notes == (STAND_IN_NOTE,)
    assert bool(report.failed) == fails
    assert isinstance(done.exception, GateError) == fails


def test_json_holds_all_findings_where_the_table_cuts_them(tmp_path: Path) -> None:
    made = PairGraph(shape=(1, 1, 4, 4))
    name = made.add("Cast", ["x"], "c", "cast", to=onnx.TensorProto.INT32)
    for index in range(15):
        name = made.add("BitwiseNot", [name], f"n{index}", f"not.{index}")
    made.add("Cast", [name], "y", "back", to=onnx.TensorProto.FLOAT)
    model = written(tmp_path / "many.onnx", made.model("y"))
    table = run(model, *BOARD).stdout
    assert "and 3 more; --json lists them" in table
    assert table.count("(BitwiseNot): ") == 12
    steps = json.loads(run(model, *BOARD, "--json").stdout)["steps"]
    assert len(next(s for s in steps if s["name"] == "operators")["findings"]) == 15
    assert "and 9 more" in refused(run(model, *BOARD), GateError, 3)


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_the_table_fits_the_terminal(odd: Path, columns: int, no_compiler: None) -> None:
    done = run(odd, *BOARD, columns=columns)
    assert max(len(line) for line in done.stdout.splitlines()) <= columns
    words = " ".join(done.stdout.split())
    for told in ("not checked", "head.det (Det)", "Jetson Orin Nano 8 GB"):
        assert told in words
    rows = [line for line in done.stdout.splitlines() if "Torch-TensorRT coverage" in line]
    assert bool(rows) == (columns >= 100)  # narrower, the names of steps are wrapped and leave room for the rest


def test_names_with_brackets_are_no_markup(tmp_path: Path, no_compiler: None) -> None:
    made = PairGraph()
    made.add("Conv", [made.quantized("x"), made.floats("w", 8, 4, 3, 3)], "y", "heads[red][/]")
    done = run(written(tmp_path / "[bold]a[red].onnx", made.model("y")), *BOARD)
    told = refused(done, GateError, 3)
    assert "[bold]a[red].onnx (onnx)" in done.stdout
    assert "heads[red][/]: " in told and "heads[red][/]: " in done.stdout


def test_a_path_with_brackets_is_no_markup(tmp_path: Path) -> None:
    (tmp_path / "[").mkdir()
    model = written(tmp_path / "[" / "bold].onnx", convolution())
    assert "[/bold]" in str(model)
    assert run(model, *BOARD).exit_code == 0


def test_names_that_a_terminal_would_act_on_are_escaped(tmp_path: Path, no_compiler: None) -> None:
    made = PairGraph()
    made.add("Conv", [made.quantized("x"), made.floats("w", 8, 4, 3, 3)], "y", "stem\x1b[2J\x07")
    done = run(written(tmp_path / "hostile.onnx", made.model("y")), *BOARD)
    told = refused(done, GateError, 3)
    assert "\x1b" not in done.stdout + told and "\x07" not in done.stdout + told
    assert "stem\\x1b[2J" in done.stdout and "stem\\x1b[2J" in told


def test_a_plan_takes_the_place_of_the_models_own(tmp_path: Path, no_compiler: None) -> None:
    model = written(tmp_path / "mixed.onnx", convolution(weight=False))
    assert "stem: fp16, planned int8, its weight is not" in refused(run(model, *BOARD), GateError, 3)
    plan = tmp_path / "plan.yaml"
    plan.write_text("rules: [{layers: stem, precision: fp16}]\n")
    assert run(model, *BOARD, "--plan", plan).exit_code == 0
    told = refused(run(model, "--target", "dgx-spark", "--plan", plan), GateError, 3)
    assert "stem: fp32, planned fp16" in told  # its TensorRT takes the graph's types


def test_engines_are_built_for_the_capabilities_that_are_named(good: Path) -> None:
    done = run(good, *BOARD, "--sm", "8.6", "--sm", "12.0", "--json")
    assert done.exit_code == 0, done.output
    step = next(s for s in json.loads(done.stdout)["steps"] if s["name"] == "engine build")
    assert list(step["facts"]["engine_bytes"]) == ["8.6", "12.0"]


def mistakes(tmp_path: Path, good: Path) -> dict[str, tuple[list[str | Path], type[EdgeError], str]]:
    onnx.save_model(
        convolution(), str(tmp_path / "outside.onnx"), save_as_external_data=True, location="gone.bin", size_threshold=0
    )
    (tmp_path / "gone.bin").unlink()
    (tmp_path / "plan.yaml").write_text("rules: [{layers: a, precision: int4}]\n")
    return {
        "an unknown device": (
            [good, "--target", "orin-nano-8"],
            DeviceError,
            "there is no device 'orin-nano-8'; did you mean orin-nano-8gb",
        ),
        "a device that never was": ([good, "--target", "hal9000"], DeviceError, "choose one of agx-orin-32gb"),
        "a JetPack that the device never had": (
            [good, *BOARD, "--jetpack", "7.0"],
            DeviceError,
            "never had JetPack 7.0; choose one of 5.1.1",
        ),
        "a JetPack for a CPU": ([good, "--target", "x86-cpu", "--jetpack", "6.2"], DeviceError, "has no JetPack"),
        "weights that are missing": (
            [tmp_path / "outside.onnx", *BOARD],
            ModelError,
            "lies in gone.bin, which is missing; copy that file beside the model",
        ),
        "no model": ([tmp_path / "none.onnx", *BOARD], ModelError, "there is no"),
        "a malformed plan": ([good, *BOARD, "--plan", tmp_path / "plan.yaml"], ConfigError, "rules.0.precision"),
        "a missing plan": ([good, *BOARD, "--plan", tmp_path / "none.yaml"], ConfigError, "none.yaml"),
        "a malformed capability": ([good, *BOARD, "--sm", "sm_86"], ConfigError, "'sm_86' is no compute capability"),
        "a capability that is not built for": ([good, *BOARD, "--sm", "8.7"], ConfigError, "choose among 7.5, 8.0"),
    }


MISTAKES = (
    *("an unknown device", "a device that never was", "a JetPack that the device never had", "a JetPack for a CPU"),
    *("weights that are missing", "no model", "a malformed plan", "a missing plan", "a malformed capability"),
    "a capability that is not built for",
)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_end_with_2_and_say_what_to_do(tmp_path: Path, good: Path, mistake: str) -> None:
    arguments, kind, told = mistakes(tmp_path, good)[mistake]
    done = run(*arguments)
    assert told in refused(done, kind, 2)
    assert done.stdout == ""


def test_a_signature_can_be_required(small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CONFIG", str(tmp_path / "config"))
    assert "unsigned" in refused(run(small_bundle, *BOARD, "--require-signature"), BundleError, 2)


@pytest.mark.parametrize("package", ["onnx", "torch"])
def test_packages_that_it_cannot_do_without_are_named(
    good: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge.runtime import capabilities

    real = capabilities.require_module

    def require(name: str) -> Any:
        if name == package:
            raise MissingDependencyError(f"this needs {name}", "install it")
        return real(name)

    monkeypatch.setattr(capabilities, "require_module", require)
    assert f"this needs {package}" in refused(run(good, *BOARD), MissingDependencyError, 2)
