"""`edge build` and `edge run --engine` on a simulated board, as an integrator types them: output and exit codes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from edge.cli import app, main
from edge.runtime.engine_cache import EngineCache
from edge.runtime.errors import BundleError, ConfigError, GateError, MissingDependencyError
from tests.edge.simulated_host import changed, packed

if TYPE_CHECKING:
    from pathlib import Path

    from edge.packing.pack import BundleContents
    from edge.runtime.bundle import Bundle
    from tests.edge.simulated_host import SimulatedCompiler, SimulatedHost

pytestmark = pytest.mark.usefixtures("jetson", "compiler")


def edge(*arguments: Any) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def edge_build(bundle: Bundle, *options: Any) -> Any:
    return edge("build", bundle.path, *options)


def lines(output: str) -> list[str]:
    """Of a table: the cells of each row, joined by one space."""
    return [" ".join(line.replace("│", " ").split()) for line in output.splitlines()]


def test_the_table_tells_what_was_built(int8_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    done = edge_build(int8_bundle)
    assert done.exit_code == 0, done.output
    told = lines(done.stdout)
    assert told[0].startswith("Signature: unsigned")
    assert "s8 for TensorRT 10.3.0 on NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super" in told
    assert "engine built: no engine was built on this machine yet" in told
    assert "declared 100.0% int8" in told and "proved 100.0% int8" in told
    assert any(line.startswith("build 0.") and line.endswith("MB in 62 s, 300 MiB at the peak") for line in told)
    assert any(line.startswith("goldens largest deviation") and "allowed 3e-02" in line for line in told)
    (entry,) = (EngineCache().root / "engines").iterdir()
    assert f"kept in {entry}" in told
    again = lines(edge_build(int8_bundle).stdout)
    assert any(line.startswith("engine there already, built 20") for line in again)


def test_json_holds_the_record_and_the_goldens(int8_bundle: Bundle) -> None:
    first = json.loads(edge_build(int8_bundle, "--json").stdout)
    assert first["id"] == int8_bundle.id
    assert first["signature"]["state"] == "unsigned"
    assert (first["dialect"], first["built"]) == ("s8", True)
    assert first["goldens"]["ok"] and first["goldens"]["engine"] == "tensorrt-10.3.0-mapped-graph/s8"
    assert first["record"]["schema"] == 1
    assert first["record"]["proved"] == {"int8": 1.0}
    assert first["path"].startswith(str(EngineCache().root))
    second = json.loads(edge_build(int8_bundle, "--json").stdout)
    assert not second["built"]
    assert (second["path"], second["record"]) == (first["path"], first["record"])


def test_options_reach_the_compiler(int8_bundle: Bundle, compiler: SimulatedCompiler) -> None:
    options = ["--workspace", 300, "--optimization-level", 2, "--no-sparse", "--dla-core", 1, "--typed"]
    done = edge_build(int8_bundle, *options, "--dialect", "s8", "--json")
    assert done.exit_code == 0, done.output
    (config,) = compiler.builds
    assert (config.workspace_mib, config.optimization_level, config.sparse_weights) == (300, 2, False)
    assert (config.dla_core, config.regime) == (1, "typed")
    assert json.loads(done.stdout)["record"]["key"]["flags"] == config.flags()
    assert edge_build(int8_bundle, "--dla-core", 2).exit_code == 2
    assert edge_build(int8_bundle, "--again").exit_code == 0
    assert len(compiler.builds) == 2


def test_sparse_kernels_are_allowed_where_the_bundle_has_sparse_layers(
    sparse_bundle: Bundle, int8_bundle: Bundle, compiler: SimulatedCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    done = edge_build(sparse_bundle)
    told = "sparsity sparse 2:4: 2 of 3 layers; sparse kernels {}, their gain not measured"
    assert done.exit_code == 0 and told.format("allowed") in lines(done.stdout)
    assert told.format("not allowed") in lines(edge_build(sparse_bundle, "--no-sparse").stdout)
    assert "sparsity" not in edge_build(int8_bundle).stdout
    assert [config.sparse_weights for config in compiler.builds] == [True, False, False]
    asked = edge_build(int8_bundle, "--sparse")
    assert isinstance(asked.exception, ConfigError)
    assert "is 2:4 sparse, as its stages tell; compress it with a `sparsify` stage" in str(asked.exception)


def test_what_run_takes_instead_is_said(int8_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert "edge run" not in edge_build(int8_bundle).stdout
    done = edge_build(int8_bundle, "--dialect", "fp32")
    assert done.stdout.splitlines()[-1] == "`edge run` takes the s8 engine; this one runs with --dialect fp32."


def exit_code(monkeypatch: pytest.MonkeyPatch, *command: Any) -> Any:
    monkeypatch.setattr(sys, "argv", ["edge", *(str(part) for part in command)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_an_engine_that_falls_short_ends_with_3(
    int8_bundle: Bundle, jetson: SimulatedHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jetson.board.trt.inspection.wide.add("distance")
    assert exit_code(monkeypatch, "build", int8_bundle.path) == 3
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert error[0].startswith("edge: 1 of 3 layers fall short of the precision plan as proved by TensorRT 10.3.0 on")
    assert "distance is fp32, planned int8" in error[0]


def test_an_engine_that_answers_otherwise_ends_with_3_and_is_not_kept(
    int8_bundle: Bundle, compiler: SimulatedCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    compiler.harm = lambda graph: changed(graph, "events.weight_scale", 3.0)
    done = edge_build(int8_bundle)
    assert isinstance(done.exception, GateError)
    assert "kept in nowhere" in lines(done.stdout)
    assert "the engine answers the goldens of s8 differently" in str(done.exception)
    assert "it was not kept; build again with --typed" in str(done.exception)
    told = json.loads(edge_build(int8_bundle, "--json").stdout)
    assert (told["path"], told["goldens"]["ok"]) == (None, False)
    run = edge("run", int8_bundle.path, "--source", "sim", "--engine", "tensorrt")
    assert isinstance(run.exception, BundleError), "no run takes it"


def test_an_engine_that_gives_nan_is_null_in_json(int8_bundle: Bundle, compiler: SimulatedCompiler) -> None:
    compiler.harm = lambda graph: changed(graph, "events.weight_scale", float("nan"))
    done = edge_build(int8_bundle, "--json")
    assert done.exception is not None
    assert json.loads(done.stdout)["goldens"]["deviation"] is None


@pytest.mark.parametrize("missing", ["tensorrt", "driver"])
def test_without_a_device_one_line_names_edge_check(
    int8_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    problem = "neither TensorRT nor TensorRT-RTX imports here" if missing == "tensorrt" else "there is no NVIDIA driver"

    def fails(index: int = 0) -> None:
        raise MissingDependencyError(problem, "install it")

    monkeypatch.setattr("edge.compile.board.host.open_host", fails)
    assert exit_code(monkeypatch, "build", int8_bundle.path) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert error[0].startswith(f"edge: {problem}; install it; ")
    assert error[0].endswith(f"edge check {int8_bundle.path} --target DEVICE")


def test_ctrl_c_leaves_nothing(int8_bundle: Bundle, compiler: SimulatedCompiler) -> None:
    compiler.raises = KeyboardInterrupt()
    done = edge_build(int8_bundle)
    assert done.exit_code == 130
    assert list((EngineCache().root / "engines").glob("*")) == []


def test_a_signature_can_be_required(
    int8_bundle: Bundle, compiler: SimulatedCompiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography")
    monkeypatch.setenv("EDGE_CONFIG", str(tmp_path / "config"))
    done = edge_build(int8_bundle, "--require-signature")
    assert isinstance(done.exception, BundleError)
    assert compiler.builds == []
    key = tmp_path / "team.pem"
    assert edge("sign", "--new-key", key).exit_code == 0
    assert edge("sign", int8_bundle.path, "--key", key).exit_code == 0
    trusted = ["--require-signature", "--trusted-key", tmp_path / "team.pub.pem"]
    done = edge_build(int8_bundle, *trusted)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Signature: signed by trusted key")
    assert json.loads(edge_build(int8_bundle, *trusted, "--json").stdout)["signature"]["state"] == "trusted"


def test_a_bundle_without_a_graph_for_tensorrt(small_contents: BundleContents, tmp_path: Path) -> None:
    bundle = packed(tmp_path / "bundle", small_contents, u8=small_contents.graphs["fp32"])
    done = edge_build(bundle)
    assert isinstance(done.exception, BundleError)
    assert "no graph for TensorRT, only u8" in str(done.exception)


def test_a_run_names_its_engine(int8_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert edge_build(int8_bundle).exit_code == 0
    out = tmp_path / "run"
    run = ["run", int8_bundle.path, "--source", "sim:seed=3", "--duration", 1.5, "--out", out]
    done = edge(*run, "--engine", "tensorrt", "--json")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["engine"] == "tensorrt-10.3.0-mapped-graph/s8"
    assert figures["fused"] == figures["anchors"] >= 13
    settings = yaml.safe_load((out / "run.yaml").read_text())
    assert settings["engine"] == figures["engine"]
    assert settings["engine_reason"].startswith("engine built here 20")
    told = edge(*run).stdout
    assert "tensorrt-10.3.0-mapped-graph/s8, virtual time" in told
    assert "One CUDA graph." in told
    onnxruntime = json.loads(edge(*run, "--engine", "onnxruntime", "--json").stdout)
    assert onnxruntime["engine"].startswith("onnxruntime-cpu/s8")


def test_a_second_device_is_built_for_verified_and_run(
    int8_bundle: Bundle, jetson: SimulatedHost, tmp_path: Path
) -> None:
    jetson.board.cuda.devices = 2
    given = ["--device", 1, "--json"]
    for verb, options in (
        ("build", []),
        ("verify", ["--engine", "tensorrt"]),
        ("run", ["--engine", "tensorrt", "--source", "sim:duration=0.5", "--out", tmp_path / "run"]),
    ):
        before = len(jetson.board.cuda.calls)
        done = edge(verb, int8_bundle.path, *options, *given)
        assert done.exit_code == 0, done.output
        assert "cudaSetDevice" in jetson.board.cuda.calls[before:]
        assert jetson.board.cuda._current() == 1, verb
        missing = edge(verb, int8_bundle.path, *options, "--device", 2)
        assert "there is no CUDA device 2; choose one of 0 to 1" in str(missing.exception)


def test_a_run_in_real_time_names_its_engine(int8_bundle: Bundle, tmp_path: Path) -> None:
    assert edge_build(int8_bundle).exit_code == 0
    run = ["run", int8_bundle.path, "--source", "sim:seed=3,duration=1.5", "--out", tmp_path / "run", "--realtime"]
    done = edge(*run, "--engine", "tensorrt", "--json")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert (figures["engine"], figures["time"]) == ("tensorrt-10.3.0-mapped-graph/s8", "wall")
    assert figures["fused"] > 0


def test_a_run_that_wants_an_engine_says_how_it_comes(
    int8_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", int8_bundle.path, "--source", "sim", "--out", tmp_path / "run", "--engine", "tensorrt"]
    assert exit_code(monkeypatch, *run) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert error == [f"edge: no engine was built on this machine yet; build it with: edge build {int8_bundle.path}"]
    assert not (tmp_path / "run").exists()
