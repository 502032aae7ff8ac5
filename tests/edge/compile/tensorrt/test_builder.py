"""What the builder is told, what is refused before, and TensorRT's own words where it does not build."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from edge.compile.tensorrt.builder import BuildError, build_engine, configure, has_quantization, target_capability
from edge.compile.tensorrt.engine_config import EngineConfig
from edge.compile.tensorrt.timing_cache import TimingCache
from edge.runtime.engine_key import ShapeRange
from edge.runtime.errors import ConfigError
from tests.edge.compile.tensorrt.fake_tensorrt import fake_library, parsed_by

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from edge.compile.tensorrt.library import TensorRTLibrary
    from edge.compile.tensorrt.network import ParsedNetwork
    from tests.edge.compile.tensorrt.fake_network import FakeNetwork
    from tests.edge.compile.tensorrt.fake_tensorrt import BuilderConfig

RANGE = ShapeRange(minimum=(1, 3, 8, 8), optimum=(2, 3, 8, 8), maximum=(4, 3, 8, 8))


def configured(parsed: ParsedNetwork, **settings: Any) -> BuilderConfig:
    made: BuilderConfig = configure(parsed, EngineConfig(**settings))
    return made


def quantized(network: FakeNetwork, _graph: bytes) -> None:
    given = network.pair(network.input("x", (1, 3, 8, 8)))
    network.add("CONVOLUTION", [given, network.weight(8, 3, 3, 3)], (1, 8, 6, 6))


def weights_only(network: FakeNetwork, _graph: bytes) -> None:
    network.add("CONVOLUTION", [network.input("x", (1, 3, 8, 8)), network.weight(8, 3, 3, 3)], (1, 8, 6, 6))


def any_batch(network: FakeNetwork, _graph: bytes) -> None:
    network.add("ACTIVATION", [network.input("x", (-1, 3, 8, 8))], (-1, 3, 8, 8))


@pytest.mark.parametrize(
    ("version", "settings", "flags"),
    [
        ("10.3.0", {}, {"INT8", "FP16"}),
        ("10.3.0", {"fp16": False}, {"INT8"}),
        ("10.3.0", {"regime": "typed"}, set()),
        ("11.4.0", {}, set()),
        ("1.7.1", {}, set()),
        ("11.4.0", {"sparse_weights": True}, {"SPARSE_WEIGHTS"}),
    ],
)
def test_precision_flags_are_of_the_untyped_regime_alone(
    version: str, settings: dict[str, Any], flags: set[str]
) -> None:
    library = fake_library(version)
    library.trt.on_parse = quantized
    assert configured(parsed_by(library, **settings), **settings).flags == flags


def test_int8_is_allowed_where_something_is_quantized(orin: TensorRTLibrary) -> None:
    assert configured(parsed_by(orin)).flags == {"FP16"}
    orin.trt.on_parse = weights_only
    parsed = parsed_by(orin)
    assert has_quantization(parsed)
    assert "INT8" in configured(parsed).flags


def test_engines_are_built_so_that_they_can_be_inspected(newest: TensorRTLibrary) -> None:
    assert configured(parsed_by(newest)).profiling_verbosity == newest.trt.ProfilingVerbosity.DETAILED


def test_workspace_and_optimization_level_are_tensorrts_own_unless_given(orin: TensorRTLibrary) -> None:
    plain = configured(parsed_by(orin))
    assert (plain.limits, plain.builder_optimization_level, plain.default_device_type) == ({}, None, None)
    chosen = configured(parsed_by(orin), workspace_mib=256, optimization_level=0)
    assert (chosen.limits, chosen.builder_optimization_level) == ({"WORKSPACE": 256 << 20}, 0)


def test_the_dla_takes_what_it_can_and_the_gpu_the_rest(orin: TensorRTLibrary) -> None:
    orin.trt.dla_cores = 2
    made = configured(parsed_by(orin), dla_core=1)
    assert (made.default_device_type, made.DLA_core) == (orin.trt.DeviceType.DLA, 1)
    assert "GPU_FALLBACK" in made.flags


@pytest.mark.parametrize(("version", "cores", "told"), [("1.7.1", 0, "no"), ("10.3.0", 0, "no"), ("10.3.0", 1, "1")])
def test_a_dla_core_that_is_not_here_is_refused(version: str, cores: int, told: str) -> None:
    library = fake_library(version)
    library.trt.dla_cores = cores
    with pytest.raises(ConfigError, match=f"finds {told} DLA cores here; do without DLA core 1"):
        configured(parsed_by(library), dla_core=1)


def test_rtx_builds_for_a_device_that_is_not_here(rtx: TensorRTLibrary) -> None:
    made = configured(parsed_by(rtx), compute_capability="12.0")
    assert (made.num_compute_capabilities, made.capabilities) == (1, {0: "SM120"})


def test_devices_that_it_does_not_build_for_are_refused(rtx: TensorRTLibrary, orin: TensorRTLibrary) -> None:
    with pytest.raises(ConfigError, match=r"does not build for compute capability 8\.7; it builds for 7\.5, 8\.0"):
        configured(parsed_by(rtx), compute_capability="8.7")
    parsed = parsed_by(orin)
    with pytest.raises(ConfigError, match="it builds only for the device that is here"):
        target_capability(parsed, parsed.builder.create_builder_config(), "8.7")


def test_ranges_of_shapes_become_a_profile(orin: TensorRTLibrary) -> None:
    assert configured(parsed_by(orin)).profiles == []
    orin.trt.on_parse = any_batch
    (profile,) = configured(parsed_by(orin), profiles={"x": RANGE}).profiles
    assert profile.shapes == {"x": (RANGE.minimum, RANGE.optimum, RANGE.maximum)}


def ranged(*shapes: tuple[int, ...]) -> ShapeRange:
    return ShapeRange(minimum=shapes[0], optimum=shapes[1], maximum=shapes[2])


@pytest.mark.parametrize(
    ("profiles", "told"),
    [
        ({}, "input 'x' has no fixed shape; export the graph with one, or give its range"),
        ({"x": RANGE, "y": RANGE}, "`profiles` names 'y', which is no input of variable shape; leave it out"),
        (
            {"x": ranged((1, 4, 8, 8), (2, 4, 8, 8), (4, 4, 8, 8))},
            "1x4x8x8 to 4x4x8x8, best 2x4x8x8, the graph has [?]x3x8x8; only what is [?] may vary",
        ),
        ({"x": ranged((1, 3, 8, 8), (2, 3, 8, 8), (4, 3, 9, 8))}, "the graph has [?]x3x8x8"),
        ({"x": ranged((1, 3, 8), (2, 3, 8), (4, 3, 8))}, "the graph has [?]x3x8x8"),
    ],
)
def test_ranges_that_do_not_fit_are_refused(orin: TensorRTLibrary, profiles: dict[str, ShapeRange], told: str) -> None:
    orin.trt.on_parse = any_batch
    with pytest.raises(ConfigError, match=told):
        configured(parsed_by(orin), profiles=profiles)


def test_ranges_that_tensorrt_refuses_are_told(orin: TensorRTLibrary) -> None:
    orin.trt.on_parse = any_batch
    orin.trt.refuses.add("profile")
    with pytest.raises(ConfigError, match="TensorRT refuses the ranges"):
        configured(parsed_by(orin), profiles={"x": RANGE})


def test_a_fixed_input_takes_no_range(orin: TensorRTLibrary) -> None:
    with pytest.raises(ConfigError, match="'x', which is no input of variable shape"):
        configured(parsed_by(orin), profiles={"x": RANGE})


def test_a_build_gives_the_plan_and_what_it_cost(orin: TensorRTLibrary) -> None:
    built = build_engine(parsed_by(orin), EngineConfig())
    assert (built.plan, built.library, built.notes) == (b"a plan", "TensorRT 10.3.0", ())
    assert 0 <= built.seconds < 60


def refused_build(library: TensorRTLibrary, *says: str, **settings: Any) -> BuildError:
    parsed = parsed_by(library)
    library.trt.on_build, library.trt.says = lambda _network, _config: None, list(says)
    with pytest.raises(BuildError) as refused:
        build_engine(parsed, EngineConfig(**settings))
    return refused.value


def test_a_build_that_fails_is_told_in_tensorrts_words(rtx: TensorRTLibrary) -> None:
    said = (
        "IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([pass.cpp:337: check_compatibility] Cannot compile "
        "operation 'head' for Turing (SM75): FP32 GEMM is not supported. In compileGraph at /src/codeGenerator.cpp:20)"
    )
    error = refused_build(rtx, "an earlier one", said, compute_capability="7.5")
    assert error.reason == "Cannot compile operation 'head' for Turing (SM75): FP32 GEMM is not supported"
    assert error.problem == (
        f"TensorRT-RTX 1.7.1.116 does not build the engine for compute capability 7.5: {error.reason}"
    )
    assert "wider" in error.remedy


@pytest.mark.parametrize(
    ("said", "reason", "remedy"),
    [
        ("Error Code 10: Could not find any implementation", "Error Code 10: Could not find", "wider"),
        (
            "IBuilder::build: Error Code 1: Myelin (no tactics within workspace limit)",
            "no tactics within workspace limit",
            "raise the bound of the workspace",
        ),
        ("Error Code 2: OutOfMemory (Requested 9 bytes.)", "Error Code 2: OutOfMemory", "lower the bound"),
    ],
)
def test_what_to_do_depends_on_what_it_says(orin: TensorRTLibrary, said: str, reason: str, remedy: str) -> None:
    error = refused_build(orin, said)
    assert error.reason.startswith(reason)
    assert remedy in error.remedy


def test_a_build_that_fails_in_silence_says_so(orin: TensorRTLibrary) -> None:
    assert refused_build(orin).problem == "TensorRT 10.3.0 does not build the engine: it does not say why"


def test_what_was_said_before_the_build_is_not_its_reason(orin: TensorRTLibrary) -> None:
    parsed = parsed_by(orin)
    parsed.logger.errors.append("of another graph")
    orin.trt.on_build = lambda _network, _config: None
    with pytest.raises(BuildError, match="it does not say why"):
        build_engine(parsed, EngineConfig())


def test_notes_of_the_timing_cache_reach_the_engine_and_the_log(
    orin: TensorRTLibrary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = TimingCache(tmp_path / "timings.cache")
    cache.path.write_bytes(b"timings of Thor")
    with caplog.at_level(logging.WARNING):
        built = build_engine(parsed_by(orin), EngineConfig(), cache)
    assert len(built.notes) == 1 and "begun anew" in built.notes[0]
    assert built.notes[0] in caplog.text
    assert build_engine(parsed_by(orin), EngineConfig(), cache).notes == ()


def test_a_build_that_fails_leaves_the_timings_alone(orin: TensorRTLibrary, tmp_path: Path) -> None:
    parsed = parsed_by(orin)
    orin.trt.on_build = lambda _network, _config: None
    with pytest.raises(BuildError):
        build_engine(parsed, EngineConfig(), TimingCache(tmp_path / "timings.cache"))
    assert list(tmp_path.iterdir()) == []
