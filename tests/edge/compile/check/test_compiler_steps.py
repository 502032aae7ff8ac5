"""Steps that ask a compiler: its parser, its engines for stand-ins, and the precision that it was handed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.compile.check import compiler_steps
from edge.compile.check.compiler_steps import (
    build_engines,
    capability_for,
    check_precision,
    checked_capabilities,
    parse_graph,
)
from edge.compile.check.step import run_step
from edge.compile.check.target import open_target
from edge.compress.precision_plan import PrecisionPlan, PrecisionRule
from edge.runtime.errors import ConfigError, MissingDependencyError
from tests.edge.compile.check.subjects import subject
from tests.edge.compile.precision.pair_graphs import convolution
from tests.edge.compile.tensorrt.fake_network import FakeNetwork, ParserError
from tests.edge.compile.tensorrt.fake_tensorrt import BuilderConfig, fake_library

if TYPE_CHECKING:
    from edge.compile.tensorrt.library import TensorRTLibrary

ORIN, SPARK, CPU = open_target("orin-nano-8gb"), open_target("dgx-spark"), open_target("x86-cpu")
HALF = PrecisionPlan(rules=(PrecisionRule(layers="*", precision="fp16"),))


def refuse_graph(_network: FakeNetwork, _graph: bytes) -> list[ParserError]:
    return [ParserError("false", "head.det", "Det")]


def quantized(network: FakeNetwork, _graph: bytes) -> None:
    given = network.pair(network.input("x", (1, 4, 8, 8)))
    network.add("CONVOLUTION", [given, network.weight(8, 4, 3, 3)], (1, 8, 6, 6), name="stem")


def floating(network: FakeNetwork, _graph: bytes) -> None:
    given = network.input("x", (1, 4, 8, 8))
    network.add("CONVOLUTION", [given, network.constant((8, 4, 3, 3))], (1, 8, 6, 6), name="stem")


def test_the_parser_that_is_here_tells_whose_it_is(rtx: TensorRTLibrary) -> None:
    step = parse_graph(subject(), ORIN)
    assert (step.status, step.detail) == (
        "passed",
        "TensorRT-RTX 1.7.1.116 takes the graph, as 1 layer; the target's is TensorRT 10.3.0",
    )


@pytest.mark.parametrize(("version", "other"), [("10.3.0", False), ("10.3.0.26", False), ("10.16.2", True)])
def test_the_targets_own_parser_needs_no_caveat(monkeypatch: pytest.MonkeyPatch, version: str, other: bool) -> None:
    monkeypatch.setattr(compiler_steps, "open_library", lambda: fake_library(version))
    assert ("the target's is" in parse_graph(subject(), ORIN).detail) is other


def test_a_refusal_names_the_layers_once_and_nothing_is_built(rtx: TensorRTLibrary) -> None:
    rtx.trt.on_parse = refuse_graph
    step = run_step("TensorRT parser", lambda: parse_graph(subject(), ORIN))
    assert (step.status, [f.layer for f in step.findings]) == ("failed", ["head.det"])
    built = build_engines(subject(), ORIN, ())
    assert (built.status, built.detail) == ("noted", "not tried: the parser does not take the graph")
    precision, report = check_precision(subject(), ORIN)
    assert precision.status == "passed"
    assert report.source == "the ONNX graph, FP16 allowed"


def test_the_graph_that_suits_the_target_is_parsed(rtx: TensorRTLibrary) -> None:
    seen: list[bytes] = []

    def parse(network: FakeNetwork, graph: bytes) -> None:
        seen.append(graph)
        quantized(network, graph)

    rtx.trt.on_parse = parse
    both = subject(s8=convolution(), s8f16=convolution(weight=False))
    for target, dialect in ((ORIN, "s8"), (SPARK, "s8f16")):
        parse_graph(both, target)
        assert seen.pop() == both.graphs[dialect]


def test_engines_are_built_for_each_capability_that_is_named(rtx: TensorRTLibrary) -> None:
    built: list[Any] = []

    def build(_network: FakeNetwork, config: BuilderConfig) -> bytes:
        built.append(config.capabilities[0])
        return b"p" * 2_000_000

    rtx.trt.on_build = build
    step = build_engines(subject(), ORIN, ("8.6", "12.0"))
    assert built == ["SM86", "SM120"]
    assert step.detail == "TensorRT-RTX 1.7.1.116 built for 8.6 (2.0 MB), for 12.0 (2.0 MB); 8.6, 12.0 stand in for 8.7"
    assert step.facts == {"engine_bytes": {"8.6": 2_000_000, "12.0": 2_000_000}, "stand_ins": ["8.6", "12.0"]}


def test_an_engine_for_the_device_itself_is_no_stand_in(rtx: TensorRTLibrary) -> None:
    step = build_engines(subject(), SPARK, ())
    assert (step.facts["engine_bytes"], step.facts["stand_ins"]) == ({"12.1": 6}, [])
    assert build_engines(subject(), SPARK, ("12.1", "8.6")).facts["stand_ins"] == ["8.6"]


def test_a_build_that_fails_for_one_is_told_beside_the_others(rtx: TensorRTLibrary) -> None:
    def build(_network: FakeNetwork, config: BuilderConfig) -> bytes | None:
        rtx.trt.says = ["Cannot compile operation 'head': FP32 GEMM is not supported"]
        return None if config.capabilities[0] == "SM75" else b"plan"

    rtx.trt.on_build = build
    step = build_engines(subject(), ORIN, ("7.5", "8.6"))
    assert step.status == "failed"
    assert [str(f) for f in step.findings] == [
        "compute capability 7.5: Cannot compile operation 'head': FP32 GEMM is not supported"
    ]
    assert list(step.facts["engine_bytes"]) == ["8.6"]


def test_without_a_stand_in_nothing_is_built_and_none_is_promised(rtx: TensorRTLibrary) -> None:
    with pytest.raises(MissingDependencyError, match=r"builds for 7\.5, .* none of them stands in for 13\.0"):
        capability_for(rtx, "13.0")
    with pytest.raises(MissingDependencyError, match=r"TensorRT 10\.3\.0 builds only for the device that is here"):
        capability_for(fake_library("10.3.0"), "8.7")
    assert capability_for(rtx, "8.7") == "8.6"


def test_a_cpu_needs_no_compiler(no_compiler: None) -> None:
    for step in (parse_graph(subject(), CPU), build_engines(subject(), CPU, ())):
        assert (step.status, step.detail) == ("noted", "the target runs ONNX Runtime")


def test_capabilities_are_checked_before_anything_is_opened(rtx: TensorRTLibrary) -> None:
    assert checked_capabilities(("8.6", "12.0", "8.6")) == ("8.6", "12.0")
    for given, told in (("sm86", "'sm86' is no compute capability"), ("8.7", r"8\.7; choose among 7\.5, 8\.0")):
        with pytest.raises(ConfigError, match=told):
            checked_capabilities(("8.6", given))


def test_without_a_compiler_capabilities_must_be_well_formed(no_compiler: None) -> None:
    assert checked_capabilities(("8.7",)) == ("8.7",)
    with pytest.raises(ConfigError, match="is no compute capability; write it like"):
        checked_capabilities(("8.6.1",))


def test_tensorrt_of_a_board_takes_no_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler_steps, "open_library", lambda: fake_library("10.3.0"))
    with pytest.raises(ConfigError, match="leave --sm out"):
        checked_capabilities(("8.7",))


def test_precision_is_read_from_the_network_where_there_is_one(rtx: TensorRTLibrary) -> None:
    rtx.trt.on_parse = floating
    step, report = check_precision(subject(), ORIN)
    assert report.source == "TensorRT-RTX 1.7.1.116, typed network, FP16 allowed"
    assert (step.status, [str(f) for f in step.findings]) == ("failed", ["stem: fp16, planned int8"])
    rtx.trt.on_parse = quantized
    step, report = check_precision(subject(), ORIN)
    assert (step.status, report.shares()) == ("passed", {"int8": 1.0})


@pytest.mark.parametrize(("target", "status"), [(ORIN, "passed"), (SPARK, "failed")], ids=["untyped", "typed"])
def test_fp16_that_flags_allow_is_not_asked_of_the_graph(rtx: TensorRTLibrary, target: Any, status: str) -> None:
    """TensorRT up to 10 chooses FP16 by a flag, as `edge build` sets it; later ones take the graph's types."""
    rtx.trt.on_parse = floating
    assert check_precision(subject(plan=HALF), target)[0].status == status
