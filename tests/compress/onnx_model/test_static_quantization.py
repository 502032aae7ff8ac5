from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from edge.compress.dialects.writing import write_u8
from edge.compress.onnx_model.agreement import output_agreement
from edge.compress.onnx_model.config import OnnxQuantizeConfig
from edge.compress.onnx_model.static_quantization import quantize_onnx
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.errors import DataError, ModelError
from tests.compress.onnx_model.models import as_samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

Feeds = dict[str, "NDArray[Any]"]


def model_of(
    nodes: list[onnx.NodeProto], constants: Feeds, shape: list[Any], *, domains: dict[str, int] | None = None
) -> onnx.ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(shape))
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(v, k) for k, v in constants.items()])
    opsets = [helper.make_opsetid(domain, version) for domain, version in {"": 18, **(domains or {})}.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def layer(bias: bool = True, spread: float = 1.0) -> onnx.ModelProto:
    rng = np.random.default_rng(0)
    constants = {"w": (rng.normal(size=(16, 4, 3, 3)) * spread).astype(np.float32)}
    if bias:
        constants["b"] = rng.normal(size=16).astype(np.float32)
    return model_of([helper.make_node("Conv", ["x", *constants], ["y"], name="layer")], constants, ["N", 4, 12, 12])


def values(count: int = 8) -> Feeds:
    return {"x": np.exp(np.random.default_rng(1).normal(size=(count, 4, 12, 12))).astype(np.float32)}


def run(model: onnx.ModelProto, x: NDArray[Any], dialect: str = "s8") -> NDArray[Any]:
    engine = OnnxRuntimeEngine(model.SerializeToString(), dialect, emulate_int8=True)
    return np.concatenate([engine.run({"x": row[None]})["y"] for row in x])


def test_known_scales_give_known_numbers() -> None:
    constants = {
        "w": np.array([1.27, -0.635], np.float32).reshape(2, 1, 1, 1),
        "b": np.array([0.25, -1.0], np.float32),
    }
    model = model_of([helper.make_node("Conv", ["x", "w", "b"], ["y"])], constants, ["N", 1, 2, 2])
    full = np.array([-12.7, 0.04, 0.06, 12.7], np.float32).reshape(1, 1, 2, 2)
    result = quantize_onnx(model, as_samples(model, {"x": full}), OnnxQuantizeConfig(bias_correction=False))
    # Input step 0.1, weight steps 0.01 and 0.005: 0.04 rounds to 0, 0.06 to 0.1, and 20 saturates at 12.7.
    levels = np.array([0.0, 0.1, 1.0, 12.7])
    expected = np.stack([levels * 1.27 + 0.25, levels * -0.635 - 1.0]).reshape(1, 2, 2, 2)
    seen = np.array([0.04, 0.06, 1.0, 20.0], np.float32).reshape(1, 1, 2, 2)
    np.testing.assert_allclose(run(result.s8, seen), expected, atol=1e-5)


def test_bias_correction_takes_back_a_shift() -> None:
    model, arrays = layer(), values()
    shifts = {}
    for corrected in (False, True):
        config = OnnxQuantizeConfig(bias_correction=corrected)
        result = quantize_onnx(model, as_samples(model, arrays), config)
        assert result.corrected_biases == int(corrected)
        difference = run(result.s8, arrays["x"]) - run(model, arrays["x"], "fp32")
        shifts[corrected] = np.abs(difference.mean((0, 2, 3))).max()
    assert shifts[True] < shifts[False] / 50


def test_a_layer_without_a_bias_is_left_as_it_is() -> None:
    model = layer(bias=False)
    assert quantize_onnx(model, as_samples(model, values())).corrected_biases == 0


@pytest.mark.parametrize("transposed", [False, True])
def test_linear_layers_of_either_layout(transposed: bool) -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(6, 8)).astype(np.float32)
    constants = {"w": weight if transposed else np.ascontiguousarray(weight.T), "b": np.zeros(6, np.float32)}
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=int(transposed), name="head")
    model = model_of([node], constants, ["N", 8])
    arrays = {"x": rng.normal(size=(20, 8)).astype(np.float32)}
    result = quantize_onnx(model, as_samples(model, arrays))
    for graph, dialect in ((result.s8, "s8"), (write_u8(result.s8), "u8")):
        found = output_agreement(
            model.SerializeToString(), graph.SerializeToString(), dialect, as_samples(model, arrays)
        )
        assert found[0].sqnr_db is not None and found[0].sqnr_db > 35


@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions_have_one_scale(groups: int) -> None:
    constants = {"w": np.random.default_rng(0).normal(size=(4, 3, 2, 2)).astype(np.float32)}
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], group=groups, name="up")
    model = model_of([node], constants, ["N", 4, 12, 12])
    result = quantize_onnx(model, as_samples(model, values()))
    assert result.left_float == {}
    scales = {t.name: t for t in result.s8.graph.initializer}
    used = [scales[n.input[1]] for n in result.s8.graph.node if n.op_type == "DequantizeLinear"]
    assert len(used) == 2 and all(not tensor.dims for tensor in used)
    difference = run(result.s8, values()["x"]) - run(model, values()["x"], "fp32")
    assert np.square(difference).mean() < 2e-3 * run(model, values()["x"], "fp32").var()


def test_a_swish_is_an_activation_and_a_squeezed_gate_is_a_gate() -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[N, 4, 12, 12] x) => (float[N, 4, 12, 12] y) <int64[2] axes = {2, 3}> {
          a = Conv(x, w)  s = Sigmoid(a)  h = Mul(a, s)  c = Conv(h, w)
          m = ReduceMean(c, axes)  e = Conv(m, w)  t = Sigmoid(e)  k = Mul(c, t)  y = Conv(k, w) }"""
    )
    weight = np.random.default_rng(0).normal(size=(4, 4, 1, 1)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    graph = quantize_onnx(model, as_samples(model, values())).s8.graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    inputs = [[makers.get(name) for name in node.input] for node in graph.node if node.op_type == "Mul"]
    assert inputs == [["DequantizeLinear", "Sigmoid"], ["DequantizeLinear", "DequantizeLinear"]]


def test_operators_that_are_not_onnx_stay_and_are_named(caplog: pytest.LogCaptureFixture) -> None:
    weight = np.random.default_rng(0).normal(size=(4, 4, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="first"),
        helper.make_node("Gelu", ["a"], ["b"], name="between", domain="com.microsoft"),
        helper.make_node("Conv", ["b", "w"], ["y"], name="last"),
    ]
    model = model_of(nodes, {"w": weight}, ["N", 4, 12, 12], domains={"com.microsoft": 1})
    with caplog.at_level(logging.WARNING):
        result = quantize_onnx(model, as_samples(model, values()))
    assert result.custom == {"between": "com.microsoft::Gelu"}
    assert "between (com.microsoft::Gelu) is no operator of ONNX" in caplog.text
    assert {n.op_type for n in result.s8.graph.node} >= {"Conv", "Gelu", "QuantizeLinear"}
    difference = run(result.s8, values()["x"]) - run(model, values()["x"], "fp32")
    assert np.square(difference).mean() < 1e-2 * run(model, values()["x"], "fp32").var()


def test_an_operator_that_nothing_here_runs_is_an_error() -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["a"]), helper.make_node("Warp", ["a"], ["y"], domain="our.own")]
    weight = np.ones((4, 4, 1, 1), np.float32)
    model = model_of(nodes, {"w": weight}, ["N", 4, 12, 12], domains={"our.own": 1})
    with pytest.raises(ModelError, match=r"our\.own"):
        quantize_onnx(model, as_samples(model, values()))


def test_layers_with_weights_and_without_a_rule_are_named() -> None:
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(4, 4, 3, 3)).astype(np.float32),
        "left": rng.normal(size=(10, 10)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], name="first"),
        helper.make_node("MatMul", ["left", "a"], ["y"], name="mix.rows"),
    ]
    model = model_of(nodes, constants, ["N", 4, 12, 12])
    assert quantize_onnx(model, as_samples(model, values())).left_float == {"mix.rows": "MatMul"}
    kept = OnnxQuantizeConfig(keep_float=("mix",))
    assert quantize_onnx(model, as_samples(model, values()), kept).left_float == {}


def test_a_model_without_a_layer_for_int8_is_refused() -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {}, ["N", 4, 12, 12])
    with pytest.raises(ModelError, match="no layer that INT8 is for"):
        quantize_onnx(model, as_samples(model, values()))


def test_nan_inside_the_model_is_told_by_layer_and_sample() -> None:
    weight = np.ones((4, 4, 1, 1), np.float32)
    nodes = [
        helper.make_node("Log", ["x"], ["a"], name="logarithm"),
        helper.make_node("Conv", ["a", "w"], ["y"], name="layer"),
    ]
    model, arrays = model_of(nodes, {"w": weight}, ["N", 4, 12, 12]), values()
    arrays["x"][5, 0, 0, 0] = -1.0
    with pytest.raises(DataError, match="layer 'logarithm' gives NaN or infinity on calibration sample 's5'"):
        quantize_onnx(model, as_samples(model, arrays))


def test_a_batch_that_is_dynamic_by_name_only_goes_one_by_one(caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    constants: Feeds = {"w": rng.normal(size=(6, 8)).astype(np.float32), "row": np.array([1, 8], np.int64)}
    nodes = [
        helper.make_node("Reshape", ["x", "row"], ["r"]),
        helper.make_node("Gemm", ["r", "w"], ["y"], transB=1),
    ]
    model = model_of(nodes, constants, ["N", 8])
    with caplog.at_level(logging.WARNING):
        result = quantize_onnx(model, as_samples(model, {"x": rng.normal(size=(5, 8)).astype(np.float32)}))
    assert "samples go one by one" in caplog.text
    assert any(n.op_type == "QuantizeLinear" for n in result.s8.graph.node)


def test_an_input_without_a_batch_takes_part() -> None:
    rng = np.random.default_rng(0)
    gain = helper.make_tensor_value_info("gain", TensorProto.FLOAT, [8])
    nodes = [helper.make_node("Mul", ["x", "gain"], ["a"]), helper.make_node("Gemm", ["a", "w"], ["y"], transB=1)]
    model = model_of(nodes, {"w": rng.normal(size=(6, 8)).astype(np.float32)}, ["N", 8])
    model.graph.input.append(gain)
    arrays = {name: rng.normal(size=(10, 8)).astype(np.float32) for name in ("x", "gain")}
    samples = as_samples(model, arrays)
    assert samples.whole == {"gain"}
    result = quantize_onnx(model, samples)
    found = output_agreement(model.SerializeToString(), result.s8.SerializeToString(), "s8", samples)[0]
    assert found.sqnr_db is not None and found.sqnr_db > 30


def test_agreement_of_known_outputs() -> None:
    tables = [np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[[0, 2, 2]]]
    first, second = (
        model_of([helper.make_node("Gemm", ["x", "w"], ["y"])], {"w": table}, ["N", 3]).SerializeToString()
        for table in tables
    )
    samples = as_samples(onnx.load_model_from_string(first), {"x": np.eye(3, dtype=np.float32)})
    found = output_agreement(first, second, "fp32", samples)[0]
    assert found.decisions == 3 and found.agreement == pytest.approx(2 / 3)
    assert found.sqnr_db == pytest.approx(10 * np.log10(3 / 2))
    same = output_agreement(first, first, "fp32", samples)[0]
    assert same.agreement == 1 and same.sqnr_db is None
