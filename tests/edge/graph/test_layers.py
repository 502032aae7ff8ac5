"""Layers of a graph: work counted by hand, and the precision that Q/DQ pairs declare, with what is missing for INT8."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper

from edge.compress.dialects.writing import write_s8, write_u8
from edge.graph.layers import GraphLayer, graph_layers, weighted_layers
from edge.runtime.errors import ModelError
from tests.compress.dialects.drawn_graphs import Drawing
from tests.edge.compile.operators.samples import BOOL, FLOAT, FLOAT16, INT64, graph, model

if TYPE_CHECKING:
    from collections.abc import Callable

BFLOAT16 = onnx.TensorProto.BFLOAT16


def only(made: onnx.ModelProto) -> GraphLayer:
    (layer,) = graph_layers(made)
    return layer


def zeros(*shape: int, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    return np.zeros(shape, dtype)


IMAGE = {"x": (FLOAT, (1, 4, 8, 8))}
WORK: dict[str, tuple[onnx.ModelProto, int]] = {
    "convolution": (graph("Conv", ["x", "w"], IMAGE, {"w": zeros(6, 4, 3, 3)}), 6 * 6 * 6 * 4 * 9),
    "with a bias": (
        graph("Conv", ["x", "w", "b"], IMAGE, {"w": zeros(6, 4, 3, 3), "b": zeros(6)}, pads=[1] * 4, strides=[2, 2]),
        6 * 4 * 4 * 4 * 9,
    ),
    "in groups": (graph("Conv", ["x", "w"], IMAGE, {"w": zeros(8, 2, 3, 3)}, group=2), 8 * 6 * 6 * 2 * 9),
    "depthwise": (graph("Conv", ["x", "w"], IMAGE, {"w": zeros(4, 1, 3, 3)}, group=4), 4 * 6 * 6 * 9),
    "dilated": (graph("Conv", ["x", "w"], IMAGE, {"w": zeros(6, 4, 3, 3)}, dilations=[2, 2]), 6 * 4 * 4 * 4 * 9),
    "of a series": (graph("Conv", ["x", "w"], {"x": (FLOAT, (1, 2, 20))}, {"w": zeros(5, 2, 4)}), 5 * 17 * 2 * 4),
    "of a volume": (
        graph("Conv", ["x", "w"], {"x": (FLOAT, (1, 2, 4, 4, 4))}, {"w": zeros(3, 2, 2, 2, 2)}),
        3 * 27 * 2 * 8,
    ),
    "transposed": (
        graph("ConvTranspose", ["x", "w"], IMAGE, {"w": zeros(4, 3, 2, 2)}, strides=[2, 2]),
        4 * 64 * 3 * 4,
    ),
    "transposed in groups": (
        graph("ConvTranspose", ["x", "w"], IMAGE, {"w": zeros(4, 3, 2, 2)}, group=2),
        4 * 64 * 3 * 4,
    ),
    "linear": (graph("Gemm", ["x", "w"], {"x": (FLOAT, (3, 8))}, {"w": zeros(8, 5)}), 3 * 8 * 5),
    "weights the other way": (
        graph("Gemm", ["x", "w", "b"], {"x": (FLOAT, (3, 8))}, {"w": zeros(5, 8), "b": zeros(5)}, transB=1),
        3 * 8 * 5,
    ),
    "both the other way": (
        graph("Gemm", ["x", "w"], {"x": (FLOAT, (8, 3))}, {"w": zeros(5, 8)}, transA=1, transB=1),
        3 * 8 * 5,
    ),
    "on a sequence": (graph("MatMul", ["x", "w"], {"x": (FLOAT, (2, 7, 8))}, {"w": zeros(8, 5)}), 2 * 7 * 8 * 5),
    "a vector": (graph("MatMul", ["x", "w"], {"x": (FLOAT, (8,))}, {"w": zeros(8, 5)}), 8 * 5),
    "attention": (
        graph("MatMul", ["q", "k"], {"q": (FLOAT, (2, 3, 7, 8)), "k": (FLOAT, (2, 3, 8, 9))}),
        2 * 3 * 7 * 8 * 9,
    ),
    "on levels": (
        graph(
            "ConvInteger",
            ["x", "w"],
            {"x": (onnx.TensorProto.UINT8, (1, 4, 8, 8))},
            {"w": zeros(6, 4, 3, 3, dtype=np.int8)},
            outputs={"y": (onnx.TensorProto.INT32, None)},
        ),
        6 * 36 * 4 * 9,
    ),
}
RECURRENT = {"RNN": 1, "GRU": 3, "LSTM": 4}  # gates


@pytest.mark.parametrize("case", WORK)
def test_work_counted_by_hand(case: str) -> None:
    made, macs = WORK[case]
    layer = only(made)
    assert (layer.name, layer.macs, layer.weighted) == ("case", macs, True)
    assert weighted_layers(made) == (layer,)


@pytest.mark.parametrize("ways", [1, 2])
@pytest.mark.parametrize("operator", RECURRENT)
def test_recurrences_counted_by_hand(operator: str, ways: int) -> None:
    gates, steps, batch, inputs, hidden = RECURRENT[operator], 5, 2, 3, 4
    weights = {"w": zeros(ways, gates * hidden, inputs), "r": zeros(ways, gates * hidden, hidden)}
    made = graph(
        operator,
        ["x", "w", "r"],
        {"x": (FLOAT, (steps, batch, inputs))},
        weights,
        hidden_size=hidden,
        direction="bidirectional" if ways == 2 else "forward",
    )
    layer = only(made)
    assert layer.macs == steps * batch * ways * gates * hidden * (inputs + hidden)
    assert not layer.weighted
    assert weighted_layers(made) == ()


def test_what_a_layer_reads_and_writes() -> None:
    given = {"w": zeros(6, 4, 3, 3), "b": zeros(6)}
    layer = only(graph("Conv", ["x", "w", "b"], IMAGE, given))
    assert (layer.weights, layer.reads, layer.writes) == (6 * 4 * 9 + 6, 4 * 64, 6 * 36)
    assert (layer.output, layer.shape, layer.operator) == ("y", (1, 6, 6, 6), "Conv")
    joined = only(graph("Concat", ["x", "x", "c"], IMAGE, {"c": zeros(1, 2, 8, 8)}, axis=1))
    assert (joined.macs, joined.weights, joined.reads, joined.writes) == (0, 2 * 64, 2 * 4 * 64, 10 * 64)


def test_every_result_is_written() -> None:
    outputs: dict[str, Any] = {"y": (FLOAT, None), "z": (FLOAT, None)}
    layer = only(graph("Split", ["x"], IMAGE, outputs=outputs, axis=1, num_outputs=2))
    assert (layer.writes, layer.shape) == (4 * 64, (1, 2, 8, 8))


@pytest.mark.parametrize(
    ("element", "precision"), [(FLOAT, "fp32"), (FLOAT16, "fp16"), (BFLOAT16, "bf16"), (INT64, "fp32")]
)
def test_float_layers_compute_in_their_type(element: int, precision: str) -> None:
    assert only(graph("Add", ["x", "x"], {"x": (element, (2,))}, outputs={"y": (element, None)})).precision == precision


def quantized_conv() -> tuple[Drawing, str, str]:
    drawing = Drawing({"x": (1, 4, 8, 8)})
    return drawing, drawing.quantized("x"), drawing.weight(6, 4, 3, 3)


def declared(made: onnx.ModelProto) -> dict[str, tuple[str, str]]:
    return {layer.operator: (layer.precision, layer.reason) for layer in graph_layers(made)}


def test_activation_and_weight_make_a_layer_int8() -> None:
    drawing, image, weight = quantized_conv()
    assert declared(drawing.model(drawing.node("Conv", [image, weight]))) == {"Conv": ("int8", "")}


def test_half_of_a_pair_is_none_and_the_missing_side_is_named() -> None:
    drawing, image, weight = quantized_conv()
    floats = drawing.constant(np.ones((6, 4, 3, 3)))
    cases = {
        ("x", weight): "its activation is not dequantized INT8",
        (image, floats): "its weight is not dequantized INT8",
        ("x", floats): "",
    }
    for (activation, kernel), reason in cases.items():
        drawing.nodes = [node for node in drawing.nodes if node.op_type != "Conv"]
        made = drawing.model(drawing.node("Conv", [activation, kernel], "y"))
        assert declared(made) == {"Conv": ("fp32", reason)}


def test_folded_weights_are_no_int8_weights() -> None:
    """A constant that holds the dequantized values computes the same, and no compiler makes INT8 of it."""
    drawing, image, weight = quantized_conv()
    made = drawing.model(drawing.node("Conv", [image, weight]))
    dequantize = next(n for n in made.graph.node if n.output[0] == weight)
    held = {t.name: onnx.numpy_helper.to_array(t) for t in made.graph.initializer}
    levels, scales = held[dequantize.input[0]], held[dequantize.input[1]]
    folded = (levels * scales[:, None, None, None]).astype(np.float32)
    made.graph.node.remove(dequantize)
    made.graph.initializer.append(onnx.numpy_helper.from_array(folded, weight))
    assert declared(made) == {"Conv": ("fp32", "its weight is not dequantized INT8")}


MOVES: dict[str, Callable[[Drawing, str], str]] = {
    "Reshape": lambda d, t: d.node("Reshape", [t, d.constant([1, 4, 8, 8], np.int64)]),
    "Transpose": lambda d, t: d.node("Transpose", [t], perm=[0, 1, 3, 2]),
    "Identity": lambda d, t: d.node("Identity", [t]),
    "Slice": lambda d, t: d.node("Slice", [t, *(d.constant([n], np.int64) for n in (0, 6, 3))]),
    "Expand": lambda d, t: d.node("Expand", [t, d.constant([1, 4, 8, 8], np.int64)]),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_dq_counts_across_what_only_moves_values(move: str) -> None:
    drawing, image, weight = quantized_conv()
    found = declared(drawing.model(drawing.node("Conv", [MOVES[move](drawing, image), weight])))
    assert found["Conv"] == ("int8", "")


def test_a_dq_does_not_count_across_what_computes() -> None:
    drawing, image, weight = quantized_conv()
    found = declared(drawing.model(drawing.node("Conv", [drawing.node("Relu", [image]), weight])))
    assert found["Conv"] == ("fp32", "its activation is not dequantized INT8")


def test_a_dq_that_is_cast_is_none_for_a_compiler() -> None:
    drawing, image, weight = quantized_conv()
    image, weight = (drawing.node("Cast", [tensor], to=FLOAT16) for tensor in (image, weight))
    conv = drawing.node("Cast", [drawing.node("Conv", [image, weight])], to=FLOAT)
    assert declared(drawing.model(conv)) == {"Conv": ("fp16", "")}


def test_levels_of_other_widths_are_not_int8() -> None:
    drawing = Drawing({"x": (1, 4, 8, 8)})
    pair = drawing.constant(0.1), drawing.constant(0, np.int32)
    image = drawing.node("DequantizeLinear", [drawing.constant(zeros(1, 4, 8, 8), np.int32), *pair])
    found = declared(drawing.model(drawing.node("Conv", [image, drawing.weight(6, 4, 3, 3)])))
    assert found == {"Conv": ("fp32", "its activation is not dequantized INT8")}


def test_transposed_weights_and_products_of_two_activations() -> None:
    drawing = Drawing({"x": (1, 7, 8), "y": (1, 8, 7)})
    weight = drawing.node("Transpose", [drawing.weight(5, 8)], perm=[1, 0])
    product = drawing.node("MatMul", [drawing.quantized("x"), weight], name="linear")
    scores = drawing.node("MatMul", [drawing.quantized("x"), drawing.quantized("y")], name="scores")
    found = {layer.name: layer for layer in weighted_layers(drawing.model(product, scores))}
    assert {name: layer.precision for name, layer in found.items()} == {"linear": "int8", "scores": "int8"}
    assert (found["linear"].weights, found["scores"].weights) == (5 * 8, 0)


def test_other_operators_are_int8_between_dq_and_q() -> None:
    drawing, image, _ = quantized_conv()
    between = drawing.quantized(drawing.node("Add", [image, drawing.quantized("x", 0.25)]))
    found = declared(drawing.model(drawing.node("MaxPool", [between], kernel_shape=[2, 2])))
    assert found == {"Add": ("int8", ""), "MaxPool": ("fp32", "")}
    drawing, image, _ = quantized_conv()
    assert declared(drawing.model(drawing.quantized(drawing.node("Add", [image, "x"]))))["Add"] == ("fp32", "")


def test_the_dialects_of_one_model_declare_the_same_work() -> None:
    drawing, image, weight = quantized_conv()
    relu = drawing.node("Relu", [drawing.node("Conv", [image, weight], name="stem")])
    head = drawing.node("Conv", [drawing.quantized(relu, 0.25), drawing.weight(3, 6, 3, 3)], name="head")
    s8 = write_s8(drawing.model(head))
    for found in (s8, write_u8(s8)):
        layers = [(layer.name, layer.macs, layer.precision) for layer in weighted_layers(found)]
        assert layers == [("stem", 6 * 36 * 36, "int8"), ("head", 3 * 16 * 54, "int8")]
    assert [layer.operator for layer in weighted_layers(write_u8(s8))] == ["Conv", "ConvInteger"]


def test_names_are_those_of_the_graph_or_of_what_is_made() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["t"]), helper.make_node("Relu", ["t"], ["y"], "second")]
    made = model(nodes, IMAGE, {"y": (FLOAT, None)})
    assert [layer.name for layer in graph_layers(made)] == ["t", "second"]


@pytest.mark.parametrize("shape", [("batch", 4, 8, 8), (1, 4, None, 8)])
def test_shapes_that_are_not_fixed_are_refused_by_the_tensors_name(shape: tuple[Any, ...]) -> None:
    made = graph("Conv", ["x", "w"], {"x": (FLOAT, shape)}, {"w": zeros(6, 4, 3, 3)})
    with pytest.raises(ModelError, match=r"tensor '[xy]' is not fixed; export the model with fixed shapes, batch 1"):
        graph_layers(made)


def test_a_tensor_of_unknown_rank_is_no_number() -> None:
    made = graph("Relu", ["x"], {"x": (FLOAT, None)})
    with pytest.raises(ModelError, match="the shape of tensor 'y' is not fixed"):
        graph_layers(made)


def test_only_weighted_layers_need_fixed_shapes_where_only_they_are_asked_for() -> None:
    nodes = [
        helper.make_node("NonZero", ["x"], ["where"]),
        helper.make_node("Conv", ["x", "w"], ["y"], "conv"),
    ]
    results: dict[str, Any] = {"y": (FLOAT, None), "where": (INT64, None)}
    made = model(nodes, IMAGE, results, {"w": zeros(6, 4, 3, 3)})
    assert [layer.macs for layer in weighted_layers(made)] == [6 * 36 * 36]
    with pytest.raises(ModelError, match="'where' is not fixed"):
        graph_layers(made)


def test_shapes_that_contradict_each_other_are_refused() -> None:
    made = graph("MatMul", ["x", "w"], {"x": (FLOAT, (3, 8))}, {"w": zeros(9, 5)})
    with pytest.raises(ModelError, match=r"cannot be inferred .*; check it with onnx\.checker"):
        graph_layers(made)


def custom(*typed: onnx.ValueInfoProto) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["x"], ["t"], "pool", domain="my.company"),
        helper.make_node("Conv", ["t", "w"], ["y"], "conv"),
    ]
    made = model(nodes, IMAGE, {"y": (FLOAT, None)}, {"w": zeros(6, 4, 3, 3)}, domains=["my.company"])
    made.graph.value_info.extend(typed)
    return made


def test_operators_of_other_domains_are_what_they_are() -> None:
    made = custom(helper.make_tensor_value_info("t", FLOAT, (1, 4, 5, 5)))
    found = [(layer.name, layer.operator, layer.macs) for layer in graph_layers(made)]
    assert found == [("pool", "my.company::Conv", 0), ("conv", "Conv", 6 * 9 * 36)]


def test_results_of_other_domains_without_a_shape_are_refused_for_that() -> None:
    with pytest.raises(ModelError, match=r"'t' is not known: my\.company::Conv is no operator of ONNX; write its"):
        graph_layers(custom())


def test_own_functions_are_looked_into() -> None:
    imports = [helper.make_opsetid("", 18)]
    body = [helper.make_node("Conv", ["a", "k"], ["b"], "inner")]
    function = helper.make_function("own", "Block", ["a", "k"], ["b"], body, imports)
    nodes = [helper.make_node("Block", ["x", "w"], ["y"], "call", domain="own")]
    given = {"w": zeros(6, 4, 3, 3)}
    made = model(nodes, IMAGE, {"y": (FLOAT, None)}, given, domains=["own"], functions=[function])
    assert [(layer.operator, layer.macs) for layer in graph_layers(made)] == [("Conv", 6 * 36 * 36)]


def branching(operator: str) -> onnx.ModelProto:
    result = [helper.make_tensor_value_info("r", FLOAT, None)]
    node = helper.make_node(operator, ["x", "x"][: 1 if operator == "Neg" else 2], ["r"], "inside")
    bodies = [helper.make_graph([node], name, [], result) for name in ("yes", "no")]
    branch = helper.make_node("If", ["c"], ["y"], "gate", then_branch=bodies[0], else_branch=bodies[1])
    return model([branch], {"x": (FLOAT, (4, 4)), "c": (BOOL, ())}, {"y": (FLOAT, (4, 4))})


def test_layers_in_branches_are_not_left_out_in_silence() -> None:
    for read in (graph_layers, weighted_layers):
        with pytest.raises(ModelError, match=r"layer 'inside' \(MatMul\) lies inside If 'gate'; export .* without"):
            read(branching("MatMul"))
    assert [layer.operator for layer in graph_layers(branching("Neg"))] == ["If"]


def test_a_first_result_that_is_left_out_is_named() -> None:
    weights = {"w": zeros(1, 16, 3), "r": zeros(1, 16, 4)}
    node = helper.make_node("LSTM", ["x", "w", "r"], ["", "h"], "recurrence", hidden_size=4)
    made = model([node], {"x": (FLOAT, (5, 1, 3))}, {"h": (FLOAT, None)}, weights)
    with pytest.raises(ModelError, match=r"'recurrence' \(LSTM\) leaves out its first result"):
        graph_layers(made)
