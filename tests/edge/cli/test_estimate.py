"""`edge estimate` as a user and a program see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.testing import CliRunner

from edge.cli.estimate import estimate
from edge.compress.latency_table import load_latency_table
from edge.compress.precision_plan import PrecisionPlan
from edge.devices.estimate import published_error
from edge.runtime.errors import ConfigError, DeviceError, EdgeError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

app = typer.Typer()
app.command()(estimate)
BOARD = ("--target", "orin-nano-8gb")


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "160"})


@pytest.fixture
def model(small_graph: bytes, tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(small_graph)
    return tmp_path / "model.onnx"


def test_the_slowest_layers_the_total_and_the_caveat_are_shown(model: Path) -> None:
    done = run(model, *BOARD, "--layers", "2")
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    for words in ("slowest 2 of 6 kernels", "model.onnx on Jetson Orin Nano 8 GB, MAXN_SUPER", "ms", "memory:"):
        assert words in said
    error = published_error()
    assert "estimate, not a measurement" in said
    assert f"{error['lowest']:.2f} to {error['highest']:.2f} times the published latency" in said


def test_json_holds_all_of_it(model: Path) -> None:
    done = run(model, *BOARD, "--json", "--precision", "int8")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["device"] == "orin-nano-8gb"
    assert {layer["precision"] for layer in found["layers"]} == {"int8"}
    assert found["total_ms"] == pytest.approx(found["fixed_ms"] + sum(layer["ms"] for layer in found["layers"]))
    assert found["memory"]["fits"] is True
    assert found["caveat"].startswith("estimate, not a measurement")
    assert "table" not in found


def test_a_bundle_gives_what_its_graph_gives(small_bundle: Path, model: Path) -> None:
    of_bundle, of_file = (json.loads(run(path, *BOARD, "--json").stdout) for path in (small_bundle, model))
    assert of_bundle == of_file


def test_the_table_goes_to_a_file(model: Path, tmp_path: Path) -> None:
    done = run(model, *BOARD, "--table", tmp_path / "table.yaml")
    assert done.exit_code == 0, done.output
    table = load_latency_table(tmp_path / "table.yaml")
    assert table.source == "estimate:orin-nano-8gb"
    found = json.loads(run(model, *BOARD, "--json", "--precision", "int8").stdout)
    assert table.total_ms(PrecisionPlan.int8()) == pytest.approx(found["total_ms"])
    assert table.graph_sha256 == found["graph_sha256"]


def test_a_plan_is_followed(model: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("rules:\n- {layers: events, precision: fp16}\n- {layers: '*', precision: int8}\n")
    found = json.loads(run(model, *BOARD, "--json", "--plan", plan).stdout)
    precisions = {layer["layer"]: layer["precision"] for layer in found["layers"]}
    assert precisions.pop("events") == "fp16"
    assert set(precisions.values()) == {"int8"}


def test_a_slower_power_mode_takes_longer(model: Path) -> None:
    fast, slow = (json.loads(run(model, *BOARD, "--json", *extra).stdout) for extra in ((), ("--power-mode", "15W")))
    assert slow["power_mode"] == "15W"
    assert slow["total_ms"] > fast["total_ms"]


def mistakes(tmp_path: Path, model: Path) -> dict[str, tuple[list[str | Path], type[EdgeError], str]]:
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x0a\xff\xff")
    (tmp_path / "plan.yaml").write_text("rules: [{layers: a, precision: int4}]\n")
    return {
        "an unknown device": ([model, "--target", "orin-nano-8"], DeviceError, "did you mean"),
        "no GPU": ([model, "--target", "x86-cpu"], DeviceError, "has no GPU"),
        "an unknown precision": ([model, *BOARD, "--precision", "int4"], ConfigError, "as-declared, int8, fp16, fp32"),
        "precision and plan": (
            [model, *BOARD, "--precision", "int8", "--plan", tmp_path / "plan.yaml"],
            ConfigError,
            "contradict",
        ),
        "a malformed plan": ([model, *BOARD, "--plan", tmp_path / "plan.yaml"], ConfigError, "precision"),
        "no model": ([tmp_path / "none.onnx", *BOARD], ModelError, "cannot read"),
        "no ONNX": ([tmp_path / "broken.onnx", *BOARD], ModelError, "is no ONNX file"),
        "no such mode": ([model, *BOARD, "--power-mode", "60W"], DeviceError, "has no power mode '60W'"),
    }


MISTAKES = (
    *("an unknown device", "no GPU", "an unknown precision", "precision and plan", "a malformed plan", "no model"),
    *("no ONNX", "no such mode"),
)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(model: Path, tmp_path: Path, mistake: str) -> None:
    arguments, kind, message = mistakes(tmp_path, model)[mistake]
    done = run(*arguments)
    assert isinstance(done.exception, kind)
    assert message in str(done.exception)
    assert done.exception.exit_code == 2
