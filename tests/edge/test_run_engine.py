"""What runs a bundle: the board's engine where one was built, else ONNX Runtime, and that is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from edge.compile.board.engine import board_config, engine_of
from edge.fused_run import run_bundle
from edge.run_engine import open_engine
from edge.runtime.engines.tensorrt import RunnerConfig, TensorRTEngine
from edge.runtime.errors import BundleError, ConfigError, MissingDependencyError, ModelError
from edge.runtime.pipeline import RunSettings
from edge.runtime.sources.grammar import open_sources
from tests.edge.simulated_host import SimulatedHost, packed
from tests.runtime.engines.cuda_names import Status

if TYPE_CHECKING:
    from pathlib import Path

    from edge.compile.board.engine import BoardEngine
    from edge.packing.pack import BundleContents
    from edge.runtime.bundle import Bundle
    from edge.runtime.engine_cache import EngineCache
    from tests.edge.simulated_host import SimulatedCompiler

NO_DEVICE = MissingDependencyError("there is no NVIDIA driver here", "install it")


@pytest.fixture
def fp32_bundle(small_contents: BundleContents, tmp_path: Path) -> Bundle:
    return packed(tmp_path / "float", small_contents)


def without_host(monkeypatch: pytest.MonkeyPatch, *, expected: bool) -> None:
    def fails(index: int = 0) -> None:
        raise NO_DEVICE

    monkeypatch.setattr("edge.run_engine.open_host", fails)
    monkeypatch.setattr("edge.run_engine.is_tensorrt_expected", lambda: expected)


def build(
    bundle: Bundle, jetson: SimulatedHost, compiler: SimulatedCompiler, cache: EngineCache, **options: Any
) -> BoardEngine:
    config = options.pop("config", board_config(512))
    return engine_of(bundle, jetson.open(), config, cache, **options, compiler=compiler)


def test_without_tensorrt_nobody_is_bothered(
    fp32_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_host(monkeypatch, expected=False)
    found = open_engine(fp32_bundle)
    assert (found.engine.name, found.reason, found.notes) == ("onnxruntime-cpu/fp32", "the bundle's only graph", ())
    assert caplog.records == []


def test_this_very_machine_needs_no_tensorrt(fp32_bundle: Bundle) -> None:
    assert open_engine(fp32_bundle, threads=2, choice="onnxruntime").threads == 2


@pytest.mark.parametrize("choice", ["auto", "tensorrt"])
def test_tensorrt_without_a_device_is_said(
    fp32_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, choice: Any
) -> None:
    without_host(monkeypatch, expected=True)
    if choice == "tensorrt":
        with pytest.raises(MissingDependencyError, match="no NVIDIA driver"):
            open_engine(fp32_bundle, choice=choice)
        return
    found = open_engine(fp32_bundle)
    assert found.reason == "the bundle's only graph; no TensorRT engine: there is no NVIDIA driver here"
    (warning,) = caplog.records
    assert "ONNX Runtime runs the model" in warning.message
    assert "no NVIDIA driver here; install it" in warning.message


def test_a_device_without_an_engine_is_said_in_log_report_and_settings(
    fp32_bundle: Bundle, jetson: SimulatedHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = open_engine(fp32_bundle)
    assert found.engine.name == "onnxruntime-cpu/fp32"
    assert found.reason == "the bundle's only graph; no TensorRT engine: no engine was built on this machine yet"
    assert f"build it with: edge build {fp32_bundle.path}" in caplog.text
    out = tmp_path / "run"
    run_bundle(fp32_bundle, open_sources(["sim:duration=0.3"]), out, RunSettings(), engine=found)
    assert found.reason in json.loads((out / "report.json").read_text())["notes"][0]
    assert yaml.safe_load((out / "run.yaml").read_text())["engine_reason"] == found.reason


def test_what_an_engine_there_has_otherwise_is_the_reason(
    fp32_bundle: Bundle, jetson: SimulatedHost, compiler: SimulatedCompiler, engine_cache: EngineCache
) -> None:
    """How it was built is none, for any would do."""
    build(fp32_bundle, SimulatedHost("10.7.0"), compiler, engine_cache)
    reason = open_engine(fp32_bundle).reason
    assert reason.endswith("differs: TensorRT 10.7.0 there, 10.3.0 here")


def test_an_engine_that_was_built_runs(
    int8_bundle: Bundle, jetson: SimulatedHost, compiler: SimulatedCompiler, engine_cache: EngineCache
) -> None:
    built = build(int8_bundle, jetson, compiler, engine_cache)
    found = open_engine(int8_bundle)
    assert isinstance(found.engine, TensorRTEngine)
    assert found.engine.name == "tensorrt-10.3.0-mapped-graph/s8"
    assert found.reason == f"engine built here {built.record.built_at}"
    assert found.notes == found.engine.notes and len(found.notes) == 2
    given = int8_bundle.golden_inputs()[0]
    expected = int8_bundle.golden_outputs("s8")[0]
    for name, value in found.engine.run(given).items():
        np.testing.assert_allclose(value, expected[name], atol=0.03 * np.abs(expected[name]).max())
    found.engine.close()
    assert jetson.board.left_behind() == {}


def test_a_run_in_virtual_time_gives_the_same_on_either(
    fp32_bundle: Bundle,
    jetson: SimulatedHost,
    compiler: SimulatedCompiler,
    engine_cache: EngineCache,
    tmp_path: Path,
) -> None:
    build(fp32_bundle, jetson, compiler, engine_cache)
    written = {}
    for choice in ("tensorrt", "onnxruntime"):
        engine = open_engine(fp32_bundle, choice=choice)
        out = tmp_path / choice
        run_bundle(fp32_bundle, open_sources(["sim:seed=3,duration=1.5"]), out, RunSettings(), engine=engine)
        written[choice] = (out / "results.jsonl").read_bytes()
    assert written["tensorrt"] == written["onnxruntime"]
    report = json.loads((tmp_path / "tensorrt" / "report.json").read_text())
    assert report["runtime"]["engine"] == "tensorrt-10.3.0-mapped-graph/fp32"
    assert report["notes"][1:3] == [
        "Tensors in mapped memory: CPU and GPU share one memory, so nothing is copied.",
        "One CUDA graph.",
    ]
    on_device = [what for what in report["runtime"]["memory_mib"] if "device" in what]
    assert on_device == [
        "temporaries of the engine, on the device",
        "tensors of the engine, on the device and for it",
    ]
    other = json.loads((tmp_path / "onnxruntime" / "report.json").read_text())
    assert not [what for what in other["runtime"]["memory_mib"] if "device" in what]


def test_an_engine_that_is_asked_for_and_not_built_is_an_error(
    int8_bundle: Bundle, jetson: SimulatedHost, engine_cache: EngineCache
) -> None:
    with pytest.raises(BundleError, match="no engine was built on this machine yet") as caught:
        open_engine(int8_bundle, choice="tensorrt")
    assert caught.value.remedy == f"build it with: edge build {int8_bundle.path}"
    with pytest.raises(BundleError, match=f"edge build {int8_bundle.path} --dialect fp32"):
        open_engine(int8_bundle, "fp32", choice="tensorrt")
    for dialect, message in (("u8", "has no 'u8' graph"), ("s9", "has no 's9' graph; choose one of s8, fp32")):
        with pytest.raises(BundleError, match=message):
            open_engine(int8_bundle, dialect, choice="tensorrt")
        with pytest.raises(BundleError, match=message):
            open_engine(int8_bundle, dialect)


def test_the_graph_for_x86_is_none_for_tensorrt(
    small_contents: BundleContents, tmp_path: Path, jetson: SimulatedHost, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = packed(tmp_path / "bundle", small_contents, u8=small_contents.graphs["fp32"])
    assert open_engine(bundle, "u8").reason == "asked for", "who asks for it asks for ONNX Runtime"
    assert caplog.records == []
    assert "no TensorRT engine: bundle " in open_engine(bundle).reason
    assert "has no graph for TensorRT, only u8; pack it with s8 or fp32" in caplog.text
    with pytest.raises(BundleError, match="no graph for TensorRT, only u8"):
        open_engine(bundle, choice="tensorrt")


@pytest.mark.parametrize("choice", ["auto", "tensorrt"])
@pytest.mark.parametrize(
    ("file", "message"), [("engine.plan", r"engine\.plan was altered"), ("record.json", "none of the engines here")]
)
def test_a_damaged_engine_is_no_reason_to_fall_back(
    int8_bundle: Bundle,
    jetson: SimulatedHost,
    compiler: SimulatedCompiler,
    engine_cache: EngineCache,
    choice: Any,
    file: str,
    message: str,
) -> None:
    """A record that cannot be read does not tell which engine it is of: then it is left out, and that is said."""
    built = build(int8_bundle, jetson, compiler, engine_cache)
    assert built.path is not None
    (built.path / file).write_bytes(b"x")
    if file == "record.json" and choice == "auto":
        assert message in open_engine(int8_bundle).reason
        return
    with pytest.raises(BundleError, match=message):
        open_engine(int8_bundle, choice=choice)


def test_an_engine_that_does_not_load_is_no_reason_to_fall_back(
    int8_bundle: Bundle, jetson: SimulatedHost, compiler: SimulatedCompiler, engine_cache: EngineCache
) -> None:
    build(int8_bundle, jetson, compiler, engine_cache)
    jetson.board.cuda.fail("cudaHostAlloc", jetson.board.cuda.calls.count("cudaHostAlloc") + 1)
    with pytest.raises(ModelError, match="cudaErrorMemoryAllocation"):
        open_engine(int8_bundle)
    lacks = jetson.board.cuda.cudaDeviceAttr.cudaDevAttrCanMapHostMemory
    jetson.board.cuda.facts[lacks] = 0
    with pytest.raises(ConfigError, match="does not read the CPU's memory in place"):
        open_engine(int8_bundle, config=RunnerConfig(memory="mapped"))


def test_the_dialect_that_is_asked_for_runs(
    int8_bundle: Bundle, jetson: SimulatedHost, compiler: SimulatedCompiler, engine_cache: EngineCache
) -> None:
    build(int8_bundle, jetson, compiler, engine_cache, dialect="fp32")
    assert open_engine(int8_bundle).engine.name.endswith("/fp32"), "the only one that was built"
    build(int8_bundle, jetson, compiler, engine_cache)
    assert open_engine(int8_bundle).engine.name.endswith("/s8"), "suits TensorRT best"
    assert open_engine(int8_bundle, "fp32").engine.name == "tensorrt-10.3.0-mapped-graph/fp32"


def test_of_two_ways_to_build_the_newest_runs(
    int8_bundle: Bundle,
    jetson: SimulatedHost,
    compiler: SimulatedCompiler,
    engine_cache: EngineCache,
) -> None:
    for minute, workspace in ((2, 256), (3, 1024), (1, 512)):
        built = build(int8_bundle, jetson, compiler, engine_cache, config=board_config(workspace))
        found = engine_cache.find(built.record.key)
        assert found is not None
        record = built.record.model_copy(update={"built_at": f"2026-09-30T12:0{minute}:00Z"})
        engine_cache.store(record.key, found.plan, record)
    assert open_engine(int8_bundle).reason == "engine built here 2026-09-30T12:03:00Z"


def test_a_device_that_is_not_there(
    int8_bundle: Bundle, jetson: SimulatedHost, engine_cache: EngineCache, caplog: pytest.LogCaptureFixture
) -> None:
    config = RunnerConfig(device=3)
    assert "no TensorRT engine: there is no CUDA device 3" in open_engine(int8_bundle, config=config).reason
    with pytest.raises(BundleError, match="there is no CUDA device 3; choose one of 0 to 0"):
        open_engine(int8_bundle, choice="tensorrt", config=config)


def test_a_device_that_does_not_start_is_an_error(int8_bundle: Bundle, jetson: SimulatedHost) -> None:
    jetson.board.cuda.fail("cudaSetDevice", status=Status.cudaErrorNotSupported)
    with pytest.raises(ModelError, match="CUDA cannot start device 0"):
        open_engine(int8_bundle)


def test_a_board_needs_one_engine_and_says_which(
    int8_bundle: Bundle,
    jetson: SimulatedHost,
    compiler: SimulatedCompiler,
    engine_cache: EngineCache,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without ONNX Runtime the engine that is missing is the board's, not ONNX Runtime."""
    monkeypatch.setattr("edge.run_engine.has_module", lambda name: name != "onnxruntime")
    with pytest.raises(BundleError, match=r"no engine was built .* edge build"):
        open_engine(int8_bundle)
    build(int8_bundle, jetson, compiler, engine_cache)
    assert open_engine(int8_bundle).engine.name.startswith("tensorrt-")
