"""DLA lint: every limit from both sides, what versions and Q/DQ change, and how the report counts."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edge.compile.check.dla import DlaLayer, DlaReport, has_dla, lint_dla
from edge.compile.check.dla_layers.limits import known_operators
from edge.runtime.errors import ConfigError, ModelError
from tests.edge.compile.check.dla_samples import CONVOLUTION, IMAGE, OTHERS, SAMPLES, DlaSample, one
from tests.edge.compile.operators.samples import FLOAT, FLOAT16, graph, model

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_limit_from_both_sides(sample: DlaSample) -> None:
    inside, outside = (_case(m, precision=sample.precision) for m in (sample.inside, sample.outside))
    assert inside.fits, inside.reason
    assert inside.precision is not None
    assert not outside.fits
    assert outside.precision is None
    assert re.search(sample.words, outside.reason)


def test_every_operator_of_the_dla_has_a_graph_that_fits() -> None:
    shown = [*(sample.inside for sample in SAMPLES), *OTHERS]
    fitting = {layer.operator for made in shown for layer in lint_dla(made, "10.3", "int8").layers if layer.fits}
    assert fitting == set(known_operators())


@pytest.mark.parametrize("operator", ["Sin", "Cos", "Atan"])
def test_trigonometry_runs_in_int8_only(operator: str) -> None:
    assert _case(one(operator), precision="int8").precision == "int8"
    assert not _case(one(operator), precision="fp16").fits


@pytest.mark.parametrize("operator", ["Sigmoid", "Tanh", "Softmax"])
def test_some_layers_compute_in_fp16_whatever_is_asked(operator: str) -> None:
    assert _case(one(operator), precision="int8").precision == "fp16"
    assert _case(one("Relu"), precision="int8").precision == "int8"


@pytest.mark.parametrize(("version", "fits"), [("8.6.2", False), ("8.6.12", True), ("10.3", True), ("10.7", True)])
def test_reductions_came_after_jetpack_6_0(version: str, fits: bool) -> None:
    layer = _case(one("GlobalMaxPool"), version)
    assert layer.fits == fits
    assert fits or "since TensorRT 8.6.12 only" in layer.reason


@pytest.mark.parametrize(
    ("version", "there"),
    [("8.5.2", True), ("10.3.0", True), ("10.7.1", True), ("10.8", False), ("10.16.2", False), ("11.4.0", False)],
)
def test_which_tensorrt_has_the_dla(version: str, there: bool) -> None:
    assert has_dla(version) == there


@pytest.mark.parametrize("version", ["11.4.1", "11.5"])
def test_the_dla_came_back(version: str) -> None:
    assert has_dla(version)


def test_nothing_fits_where_tensorrt_has_no_dla() -> None:
    report = lint_dla(CONVOLUTION, "10.16.2")
    assert [layer.reason for layer in report.layers] == ["TensorRT 10.16.2 has no DLA"]
    assert report.share == 0.0
    assert report.notes == ("TensorRT has the DLA up to 10.7, and from 11.4.1 on for AGX Orin; 10.16.2 has none",)


def test_tensorrt_11_takes_what_is_typed_fp16() -> None:
    assert "is typed FP32" in _case(one("Relu"), "11.4.1").reason
    half = graph("Relu", ["x"], {"x": (FLOAT16, IMAGE)}, outputs={"y": (FLOAT16, None)})
    report = lint_dla(half, "11.4.1", "int8")
    assert report.precision == "fp16"
    assert report.layers[0].precision == "fp16"
    assert "AGX Orin only" in report.notes[0]


def test_an_older_tensorrt_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"DLA of TensorRT 8\.2.*8\.5"):
        lint_dla(CONVOLUTION, "8.2")


def test_shapes_must_be_fixed() -> None:
    dynamic = graph("Relu", ["x"], {"x": (FLOAT, ("batch", 4, 8, 8))})
    with pytest.raises(ModelError, match=r"not fixed; export the model with fixed shapes"):
        lint_dla(dynamic, "10.3")


@pytest.mark.parametrize("asked", ["fp16", "int8"])
def test_with_qdq_the_answer_is_fp16_and_of_the_graph_without_them(asked: Any) -> None:
    report = lint_dla(_quantized(), "10.3", asked)
    assert report.quantized
    assert (report.asked, report.precision) == (asked, "fp16")
    assert [(layer.name, layer.fits, layer.precision) for layer in report.layers] == [("stem.conv", True, "fp16")]
    assert len(report.notes) == 1
    assert "takes no Q/DQ" in report.notes[0]


def test_int8_without_qdq_takes_a_calibrator() -> None:
    report = lint_dla(CONVOLUTION, "10.3", "int8")
    assert (report.quantized, report.precision) == (False, "int8")
    assert ["calibrator" in note for note in report.notes] == [True]
    assert lint_dla(CONVOLUTION, "10.3").notes == ()


def test_what_the_build_computes_is_no_layer() -> None:
    nodes = [
        helper.make_node("Reshape", ["w", "shape"], ["weights"], "fold"),
        helper.make_node("Conv", ["x", "weights"], ["y"], "conv"),
    ]
    constants = {"w": np.ones(16, np.float32), "shape": np.array([4, 4, 1, 1], np.int64)}
    report = lint_dla(model(nodes, {"x": (FLOAT, IMAGE)}, {"y": (FLOAT, None)}, constants), "10.3")
    assert [layer.name for layer in report.layers] == ["conv"]


def test_shares_and_transitions_are_counted() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "on.dla"),
        helper.make_node("Erf", ["a"], ["b"], "on.gpu"),
        helper.make_node("Conv", ["b", "w"], ["c"], "on.dla.too"),
        helper.make_node("Conv", ["c", "v"], ["y"], "too.wide"),
    ]
    constants = {"w": np.ones((4, 4, 1, 1), np.float32), "v": np.ones((4, 4, 1, 1), np.float32)}
    nodes[3].attribute.append(helper.make_attribute("strides", [16, 16]))
    report = lint_dla(model(nodes, {"x": (FLOAT, IMAGE)}, {"y": (FLOAT, None)}, constants), "10.3")
    assert [(layer.name, layer.fits) for layer in report.layers] == [
        ("on.dla", True),
        ("on.gpu", False),
        ("on.dla.too", True),
        ("too.wide", False),
    ]
    assert (report.loadables, report.transitions) == (2, 3)
    assert report.share == pytest.approx(512 / 513)


@given(fits=st.lists(st.booleans(), max_size=60))
def test_counts_agree_with_a_walk_along_the_layers(fits: Sequence[bool]) -> None:
    report = _report(fits)
    starts = sum(1 for index, here in enumerate(fits) if here and (index == 0 or not fits[index - 1]))
    changes = sum(1 for before, after in pairwise(fits) if before != after)
    assert (report.loadables, report.transitions) == (starts, changes)
    assert report.share == (sum(fits) / len(fits) if fits else None)


@pytest.mark.parametrize(("runs", "warned"), [(16, False), (17, True)])
def test_more_loadables_than_a_core_holds_are_noted(runs: int, warned: bool) -> None:
    operators = ["Relu", "Erf"] * runs
    names = ["x", *(f"t{index}" for index in range(1, len(operators))), "y"]
    nodes = [helper.make_node(op, [names[i]], [names[i + 1]]) for i, op in enumerate(operators)]
    report = lint_dla(model(nodes, {"x": (FLOAT, IMAGE)}, {"y": (FLOAT, None)}), "10.3")
    assert report.loadables == runs
    assert any("more than the 16 loadables" in note for note in report.notes) == warned


@given(kernel=st.integers(1, 40), stride=st.integers(1, 12), padding=st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_convolutions_fit_exactly_within_their_ranges(kernel: int, stride: int, padding: int) -> None:
    weights = {"w": np.ones((1, 1, kernel, kernel), np.float32)}
    made = one("Conv", (1, 1, 48, 48), weights, strides=[stride] * 2, pads=[padding] * 4)
    assert _case(made).fits == (kernel <= 32 and stride <= 8 and padding < kernel)


def test_a_report_is_json_and_comes_back() -> None:
    report = lint_dla(_quantized(), "10.3", "int8")
    assert DlaReport.model_validate_json(report.model_dump_json()) == report


def _case(made: onnx.ModelProto, version: str = "10.3", precision: Any = "fp16") -> DlaLayer:
    return next(layer for layer in lint_dla(made, version, precision).layers if layer.name == "case")


def _report(fits: Sequence[bool]) -> DlaReport:
    layers = tuple(DlaLayer(name=str(index), operator="Conv", macs=7, fits=fit) for index, fit in enumerate(fits))
    return DlaReport(tensorrt="10.3", asked="fp16", precision="fp16", quantized=False, layers=layers)


def _quantized() -> onnx.ModelProto:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["v"]),
        helper.make_node("Conv", ["d", "v"], ["y"], "stem.conv"),
    ]
    constants = {"s": np.float32(0.1), "z": np.int8(0), "w": np.ones((4, 4, 3, 3), np.int8)}
    made = model(nodes, {"x": (FLOAT, IMAGE)}, {"y": (FLOAT, None)}, constants)
    assert made.graph.initializer[2].data_type == TensorProto.INT8
    return made
