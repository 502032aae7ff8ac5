"""`edge check` with a compiler at hand: a good bundle passes for every board, a bad model is refused by layer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.runtime.errors import GateError, MissingDependencyError
from tests.preflight.test_tensorrt_engines import SIX, odd_graph
from tests.runtime.text_bundle import text_graph

if TYPE_CHECKING:
    from pathlib import Path

    from tests.preflight.conftest import Compiled

pytestmark = pytest.mark.preflight
STEPS = (
    *("versions", "ONNX", "ONNX Runtime", "operators", "TensorRT parser", "Torch-TensorRT coverage"),
    *("Torch-TensorRT engine", "engine build", "precision", "kernels", "2:4 sparsity", "DLA", "memory"),
)


def check(model: Path, *arguments: str) -> tuple[Any, dict[str, Any]]:
    done = CliRunner().invoke(app, ["check", str(model), "--json", *arguments])
    report = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    return done, report


def statuses(report: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["status"] for step in report["steps"]}


@pytest.mark.parametrize(
    ("target", "jetpack"), [("orin-nano-8gb", "6.2"), ("agx-orin-64gb", "7.2"), ("agx-thor-t5000", None)]
)
def test_the_street_bundle_is_ready_for_the_board(street_bundle: Path, target: str, jetpack: str | None) -> None:
    arguments = ["--jetpack", jetpack] if jetpack else []
    done, report = check(street_bundle, "--target", target, "--strict", *arguments)
    assert done.exit_code == 0, done.output
    assert tuple(statuses(report)) == STEPS
    assert set(statuses(report).values()) <= {"passed", "noted"}
    assert report["precision"]["evidence"] == "declared"
    assert {layer["precision"] for layer in report["precision"]["layers"]} == {"int8"}
    assert "no engine for the target" in " ".join(report["notes"])


def test_engines_for_all_that_the_compiler_builds_for(street_bundle: Path) -> None:
    arguments = [word for capability in SIX for word in ("--sm", capability)]
    done, report = check(street_bundle, "--target", "orin-nano-8gb", *arguments)
    assert done.exit_code == 0, done.output
    sizes = next(s for s in report["steps"] if s["name"] == "engine build")["facts"]["engine_bytes"]
    assert tuple(sizes) == SIX
    assert min(sizes.values()) > 1_000_000


def test_dgx_spark_gets_its_own_and_no_stand_in(street_bundle: Path) -> None:
    done, report = check(street_bundle, "--target", "dgx-spark")
    assert done.exit_code == 0, done.output
    built = next(s for s in report["steps"] if s["name"] == "engine build")
    assert list(built["facts"]["engine_bytes"]) == ["12.1"]
    assert "stand-in" not in built["detail"]


def test_operators_that_tensorrt_lacks_are_named_layer_by_layer(tmp_path: Path) -> None:
    onnx.save(odd_graph(), str(tmp_path / "odd.onnx"))
    done, report = check(tmp_path / "odd.onnx", "--target", "orin-nano-8gb")
    assert isinstance(done.exception, GateError) and done.exception.exit_code == 3
    for step in ("operators", "TensorRT parser"):
        found = next(s for s in report["steps"] if s["name"] == step)
        assert found["status"] == "failed"
        assert {f["layer"] for f in found["findings"]} == {"head.det", "neck.sort"}, step
    assert "head.det" in str(done.exception) and "neck.sort" in str(done.exception)


@pytest.mark.parametrize(
    ("spoil", "layer"),
    [
        ("with_weights_only", "branches.camera.encoder.net.embedder.embedder.convolution"),
        ("with_folded_weights", "fusion.mix.0"),
    ],
)
def test_a_graph_that_only_looks_quantized_is_refused(
    street: Compiled, looks_quantized: Any, tmp_path: Path, spoil: str, layer: str
) -> None:
    arguments = () if spoil == "with_weights_only" else (layer,)
    onnx.save(getattr(looks_quantized, spoil)(street.s8, *arguments), str(tmp_path / "model.onnx"))
    done, report = check(tmp_path / "model.onnx", "--target", "orin-nx-16gb")
    assert isinstance(done.exception, GateError)
    assert [name for name, status in statuses(report).items() if status == "failed"] == ["precision"]
    assert layer in str(done.exception)


def test_a_board_build_without_a_board_names_the_check(street_bundle: Path) -> None:
    done = CliRunner().invoke(app, ["build", str(street_bundle)])
    assert isinstance(done.exception, MissingDependencyError) and done.exception.exit_code == 2
    assert "driver" in str(done.exception)


def test_ids_of_int64_are_taken(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_bytes(text_graph())
    done, report = check(tmp_path / "text.onnx", "--target", "orin-nano-8gb", "--strict")
    assert done.exit_code == 0, done.output
    assert (statuses(report)["TensorRT parser"], statuses(report)["engine build"]) == ("passed", "passed")
