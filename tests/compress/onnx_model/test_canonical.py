from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper, parser

from edge.compress.onnx_model.canonical import canonical_form
from edge.compress.onnx_model.fixed_shapes import fix_shapes
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def outputs(model: onnx.ModelProto, **feeds: NDArray[Any]) -> list[NDArray[Any]]:
    return list(OnnxRuntimeEngine(model.SerializeToString()).run(feeds).values())


def model_of(nodes: list[onnx.NodeProto], constants: dict[str, NDArray[Any]], opset: int = 18) -> onnx.ModelProto:
    """From `x` [N, 4, 6, 6] to `y`."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 6, 6])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    initializers = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def pixels(count: int = 2, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, 4, 6, 6)).astype(np.float32)


def norm_constants(channels: int, seed: int) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    values = {name: rng.normal(size=channels).astype(np.float32) for name in ("scale", "shift", "mean")}
    return {**values, "variance": rng.uniform(0.1, 3, channels).astype(np.float32)}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.booleans(), st.sampled_from(["Conv", "ConvTranspose"]))
def test_batch_norms_fold_into_convolutions(seed: int, biased: bool, operator: str) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(5, 4, 3, 3) if operator == "Conv" else (4, 5, 3, 3)).astype(np.float32)
    constants = {"w": weight, **norm_constants(5, seed)}
    if biased:
        constants["b"] = rng.normal(size=5).astype(np.float32)
    nodes = [
        helper.make_node(operator, ["x", "w", *(["b"] if biased else [])], ["c"], name="layer"),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"], epsilon=1e-3),
        helper.make_node("Relu", ["n"], ["y"]),
    ]
    model = model_of(nodes, constants)
    folded = canonical_form(model)
    assert [n.op_type for n in folded.graph.node] == [operator, "Relu"]
    np.testing.assert_allclose(outputs(folded, x=pixels())[0], outputs(model, x=pixels())[0], rtol=1e-3, atol=1e-4)


def test_products_and_sums_by_channel_fold_too_but_not_those_by_place() -> None:
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(size=(5, 4, 3, 3)).astype(np.float32),
        "m": rng.normal(size=(1, 5, 1, 1)).astype(np.float32),
        "a": rng.normal(size=(5, 1, 1)).astype(np.float32),
        "place": rng.normal(size=(4, 4)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Mul", ["m", "c"], ["d"]),
        helper.make_node("Add", ["d", "a"], ["e"]),
        helper.make_node("Add", ["e", "place"], ["y"]),
    ]
    model = model_of(nodes, constants)
    folded = canonical_form(model)
    assert [n.op_type for n in folded.graph.node] == ["Conv", "Add"]
    np.testing.assert_allclose(outputs(folded, x=pixels())[0], outputs(model, x=pixels())[0], rtol=1e-4, atol=1e-4)


def test_a_result_that_others_read_is_not_folded_into() -> None:
    constants = {"w": np.ones((5, 4, 1, 1), np.float32), **norm_constants(5, 1)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"]),
        helper.make_node("Add", ["c", "n"], ["y"]),
    ]
    model = model_of(nodes, constants)
    folded = canonical_form(model)
    assert "BatchNormalization" in [n.op_type for n in folded.graph.node]
    np.testing.assert_allclose(outputs(folded, x=pixels())[0], outputs(model, x=pixels())[0], rtol=1e-5)


@pytest.mark.parametrize("opset", [13, 14, 15, 16, 17, 19, 20])
def test_other_opsets_are_brought_to_18(opset: int) -> None:
    mean = ["r"] if opset < 18 else ["r", "axes"]
    axes = {"axes": [2, 3]} if opset < 18 else {}
    constants = {"w": np.full((5, 4, 3, 3), 0.1, np.float32), "axes": np.array([2, 3])}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ReduceMean", mean, ["y"], keepdims=0, **axes),
    ]
    model = model_of(nodes, {k: v for k, v in constants.items() if k != "axes" or opset >= 18}, opset)
    form = canonical_form(model)
    assert [(o.domain, o.version) for o in form.opset_import] == [("", 18)]
    np.testing.assert_allclose(outputs(form, x=pixels())[0], outputs(model, x=pixels())[0], rtol=1e-5)


def test_an_older_opset_is_refused() -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {}, 12)
    with pytest.raises(ModelError, match=r"opset 12.*13 or newer"):
        canonical_form(model)


def test_an_operator_that_18_lacks_is_refused_with_the_remedy() -> None:
    model = model_of([helper.make_node("Gelu", ["x"], ["y"])], {}, 20)
    with pytest.raises(ModelError, match=r"opset 20 cannot be brought to 18.*opset_version=18"):
        canonical_form(model)


def test_a_quantized_model_is_refused_by_the_name_of_its_node() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"], name="first"),
        helper.make_node("DequantizeLinear", ["q", "s"], ["y"]),
    ]
    with pytest.raises(ModelError, match=r"'first' is QuantizeLinear.*float model"):
        canonical_form(model_of(nodes, {"s": np.array(0.1, np.float32)}))


def test_an_invalid_model_is_refused() -> None:
    with pytest.raises(ModelError, match="not valid ONNX"):
        canonical_form(model_of([helper.make_node("Relu", ["nowhere"], ["y"])], {}))


def test_local_functions_are_written_out_and_identities_dropped() -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18, "own" : 1]>
        g (float[N, 4, 6, 6] x) => (float[N, 4, 6, 6] y) { a = Identity(x)  b = own.twice(a)  y = Dropout(b) }
        <domain: "own", opset_import: ["" : 18]> twice (v) => (w) { w = Add(v, v) }"""
    )
    form = canonical_form(model)
    assert [n.op_type for n in form.graph.node if n.op_type != "Dropout"] == ["Add"]
    assert not form.functions
    np.testing.assert_array_equal(outputs(form, x=pixels())[0], 2 * pixels())


def test_nodes_without_names_are_named_by_what_they_make() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["/stem/Conv_output_0"]),
        helper.make_node("Relu", ["/stem/Conv_output_0"], ["y"]),
    ]
    form = canonical_form(model_of(nodes, {"w": np.ones((5, 4, 1, 1), np.float32)}))
    assert [n.name for n in form.graph.node] == ["/stem/Conv", "y"]


def test_what_follows_from_shapes_is_folded() -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[N, 4, H, 6] x) => (float[] y) <int64[1] last = {-1}, int64 zero = {0}, int64[1] at = {0}> {
          s = Shape(x)  n = Gather(s, zero)  m = Unsqueeze(n, at)  t = Concat<axis = 0>(m, last)  r = Reshape(x, t)
          z = ConstantOfShape(s)  q = Add(x, z)  p = Reshape(q, t)  y = Add(r, p) }"""
    )
    sample = {"x": pixels(1)}
    fixed = fix_shapes(canonical_form(model), sample)
    assert [n.op_type for n in fixed.graph.node].count("Shape") == 0
    assert {n.op_type for n in fixed.graph.node} == {"Reshape", "Add"}
    np.testing.assert_array_equal(outputs(fixed, **sample)[0], outputs(model, **sample)[0])
    assert [d.dim_value for d in fixed.graph.input[0].type.tensor_type.shape.dim] == [1, 4, 6, 6]
    assert [d.dim_value for d in fixed.graph.output[0].type.tensor_type.shape.dim] == [1, 144]


def test_draws_and_branches_are_not_folded() -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        g (float[N, 4, 6, 6] x) => (float[] y) <float big = {100.0}> {
          noise = RandomNormal<shape = [1, 4, 6, 6]>()  a = Add(x, noise)
          m = ReduceMax<keepdims = 0>(x)  c = Greater(m, big)
          b = If (c) <then_branch = t () => (float[1, 4, 6, 6] u) { u = Neg(a) },
                      else_branch = e () => (float[1, 4, 6, 6] v) { v = Mul(a, big) }>  y = Relu(b) }"""
    )
    fixed = fix_shapes(canonical_form(model), {"x": pixels(1)})
    assert {"RandomNormal", "If"} <= {n.op_type for n in fixed.graph.node}
    onnx.checker.check_model(fixed, full_check=True)
