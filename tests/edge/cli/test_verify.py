"""`edge verify` on a simulated board: both engines answer, the one that `edge run` takes is the one that is checked."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from edge.cli import app, main
from edge.compile.board.engine import board_config, engine_of
from edge.runtime.errors import BundleError, GateError, MissingDependencyError
from tests.edge.simulated_host import SimulatedCompiler, SimulatedHost, changed, packed
from tests.runtime.engines.simulated_tensorrt import make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from edge.packing.pack import BundleContents
    from edge.runtime.bundle import Bundle
    from edge.runtime.engine_cache import EngineCache

pytestmark = pytest.mark.usefixtures("jetson", "compiler")
ON_BOARD = "tensorrt-10.3.0-mapped-graph/s8"


def edge_verify(bundle: Bundle, *options: str) -> Any:
    return CliRunner().invoke(app, ["verify", str(bundle.path), *options])


def goldens(bundle: Bundle, *options: str) -> dict[str, bool]:
    """Whether each engine passed."""
    told = json.loads(edge_verify(bundle, *options, "--json").stdout)
    assert told["ok"] == all(row["ok"] for row in told["goldens"])
    return {row["engine"].replace("-emulated", ""): row["ok"] for row in told["goldens"]}


def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(index: int = 0) -> None:
        raise MissingDependencyError("there is no NVIDIA driver here", "install it")

    monkeypatch.setattr("edge.compile.board.host.open_host", fails)


def test_on_a_board_both_engines_answer(int8_bundle: Bundle, compiler: SimulatedCompiler) -> None:
    both = {"onnxruntime-cpu/s8": True, "onnxruntime-cpu/fp32": True, ON_BOARD: True}
    assert goldens(int8_bundle) == both
    assert len(compiler.builds) == 1, "there was none"
    assert goldens(int8_bundle) == both
    assert len(compiler.builds) == 1
    assert list(goldens(int8_bundle, "--engine", "tensorrt")) == [ON_BOARD]
    assert list(goldens(int8_bundle, "--engine", "onnxruntime")) == ["onnxruntime-cpu/s8", "onnxruntime-cpu/fp32"]
    done = edge_verify(int8_bundle)
    assert "s8" in done.stdout and "3e-02" in done.stdout


def test_the_engine_that_a_run_takes_is_verified(
    int8_bundle: Bundle, jetson: SimulatedHost, compiler: SimulatedCompiler, engine_cache: EngineCache
) -> None:
    """It was built with other options than verify would use, and gives way to none that nobody asked for."""
    config = board_config(333, optimization_level=5, regime="typed")
    built = engine_of(int8_bundle, jetson.open(), config, engine_cache, "s8", compiler=compiler)
    assert ON_BOARD in goldens(int8_bundle)
    assert compiler.builds == [config.model_copy(update={"sparse_weights": False})]  # decided: the graph is dense
    assert [entry.key for entry in engine_cache.entries()] == [built.record.key]


def test_an_engine_of_another_tensorrt_is_built_anew(
    int8_bundle: Bundle, compiler: SimulatedCompiler, engine_cache: EngineCache
) -> None:
    before = SimulatedHost("10.7.0").open()
    engine_of(int8_bundle, before, board_config(512), engine_cache, compiler=compiler)
    assert goldens(int8_bundle)[ON_BOARD]
    assert len(compiler.builds) == 2
    assert sorted(entry.key.library_version for entry in engine_cache.entries()) == ["10.3.0", "10.7.0"]


def test_a_new_engine_that_answers_otherwise_ends_with_3(
    int8_bundle: Bundle,
    compiler: SimulatedCompiler,
    engine_cache: EngineCache,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    compiler.harm = lambda graph: changed(graph, "events.weight_scale", 3.0)
    assert goldens(int8_bundle) == {"onnxruntime-cpu/s8": True, "onnxruntime-cpu/fp32": True, ON_BOARD: False}
    monkeypatch.setattr(sys, "argv", ["edge", "verify", str(int8_bundle.path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert f"edge: s8 in {ON_BOARD} of " in capsys.readouterr().err
    assert list(engine_cache.entries()) == []


def test_a_kept_engine_that_answers_otherwise_ends_with_3(
    int8_bundle: Bundle, jetson: SimulatedHost, compiler: SimulatedCompiler, engine_cache: EngineCache
) -> None:
    """As when somebody put another plan there and made a record for it."""
    import hashlib

    built = engine_of(int8_bundle, jetson.open(), board_config(512), engine_cache, compiler=compiler)
    plan = make_plan(changed(int8_bundle.graph("s8"), "objects.weight_scale", 3.0))
    digest = hashlib.sha256(plan).hexdigest()
    record = built.record.model_copy(update={"engine_sha256": digest, "engine_bytes": len(plan)})
    engine_cache.store(record.key, plan, record)
    assert goldens(int8_bundle)[ON_BOARD] is False
    assert isinstance(edge_verify(int8_bundle).exception, GateError)


def test_a_damaged_engine_is_an_error(
    int8_bundle: Bundle, compiler: SimulatedCompiler, jetson: SimulatedHost, engine_cache: EngineCache
) -> None:
    built = engine_of(int8_bundle, jetson.open(), board_config(), engine_cache, compiler=compiler)
    assert built.path is not None
    (built.path / "engine.plan").write_bytes(b"x")
    done = edge_verify(int8_bundle)
    assert isinstance(done.exception, BundleError)
    assert "engine.plan was altered" in str(done.exception)
    assert len(compiler.builds) == 1


def test_without_onnx_runtime_a_board_still_verifies(
    int8_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.runtime.capabilities.has_module", lambda name: name != "onnxruntime")
    assert goldens(int8_bundle) == {ON_BOARD: True}
    assert "ONNX Runtime is not installed, so the graphs were run in TensorRT only" in caplog.text
    assert isinstance(edge_verify(int8_bundle, "--engine", "onnxruntime").exception, MissingDependencyError)
    no_device(monkeypatch)
    assert isinstance(edge_verify(int8_bundle).exception, MissingDependencyError)


@pytest.mark.parametrize("expected", [True, False])
def test_without_a_device_onnx_runtime_is_enough(
    int8_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, expected: bool
) -> None:
    no_device(monkeypatch)
    monkeypatch.setattr("edge.compile.board.host.is_tensorrt_expected", lambda: expected)
    assert list(goldens(int8_bundle)) == ["onnxruntime-cpu/s8", "onnxruntime-cpu/fp32"]
    assert ("TensorRT was left out: there is no NVIDIA driver here" in caplog.text) is expected
    assert isinstance(edge_verify(int8_bundle, "--engine", "tensorrt").exception, MissingDependencyError)


def test_a_bundle_without_a_graph_for_tensorrt_is_verified_without_it(
    small_contents: BundleContents, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = packed(tmp_path / "bundle", small_contents, u8=small_contents.graphs["fp32"])
    assert list(goldens(bundle)) == ["onnxruntime-cpu/u8"]
    assert "TensorRT was left out: the bundle has no graph for it, only u8" in caplog.text
    assert "no graph for TensorRT" in str(edge_verify(bundle, "--engine", "tensorrt").exception)
