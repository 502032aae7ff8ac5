"""Declared precision by a graph's own Q/DQ pairs: INT8 only where both sides are dequantized."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edge.compile.precision.declared_in_graph import graph_precision
from edge.runtime.errors import ModelError
from tests.edge.compile.precision.pair_graphs import KERNEL, PairGraph, convolution

MACS = 8 * 6 * 6 * 4 * 9


def test_pairs_on_both_sides_declare_int8() -> None:
    found = graph_precision(convolution())
    assert (found.evidence, found.source) == ("declared", "the ONNX graph")
    assert [(x.name, x.macs, x.precision, x.reason, x.has_weight) for x in found.layers] == [
        ("stem", MACS, "int8", "", True)
    ]


@pytest.mark.parametrize(
    ("sides", "reason"),
    [
        ({"activation": False}, "its activation is not dequantized INT8"),
        ({"weight": False}, "its weight is not dequantized INT8"),
        ({"activation": False, "weight": False}, ""),
    ],
)
def test_one_side_alone_is_float_and_says_why(sides: dict[str, bool], reason: str) -> None:
    (found,) = graph_precision(convolution(**sides)).layers
    assert (found.precision, found.reason) == ("fp32", reason)


def test_what_only_moves_values_may_stand_between() -> None:
    made = PairGraph()
    moved = made.add("Transpose", [made.quantized("x")], "t", perm=[0, 1, 3, 2])
    made.add("Conv", [moved, made.int8_weight("w", *KERNEL)], "y", "stem")
    assert graph_precision(made.model("y")).shares() == {"int8": 1.0}


def test_what_computes_may_not_stand_between() -> None:
    made = PairGraph()
    active = made.add("Relu", [made.quantized("x")], "r")
    made.add("Conv", [active, made.int8_weight("w", *KERNEL)], "y", "stem")
    (found,) = graph_precision(made.model("y")).layers
    assert (found.precision, found.reason) == ("fp32", "its activation is not dequantized INT8")


@pytest.mark.parametrize("levels", [np.int8, np.uint8])
def test_u8_activations_count_too(levels: type[np.generic]) -> None:
    made = PairGraph()
    made.add("Conv", [made.quantized("x", levels), made.int8_weight("w", *KERNEL)], "y", "stem")
    assert graph_precision(made.model("y")).shares() == {"int8": 1.0}


def test_products_of_activations_have_no_weight() -> None:
    made = PairGraph(shape=(1, 4, 16), inputs={"k": (1, 16, 4)})
    made.add("MatMul", ["x", "k"], "scores", "attention")
    made.add("MatMul", ["scores", made.floats("w", 4, 8)], "y", "linear")
    found = {x.name: (x.has_weight, x.macs) for x in graph_precision(made.model("y")).layers}
    assert found == {"attention": (False, 4 * 4 * 16), "linear": (True, 4 * 8 * 4)}


def test_linear_layers_and_transposed_convolutions_are_counted() -> None:
    made = PairGraph()
    up = made.add("ConvTranspose", ["x", made.floats("u", 4, 6, 2, 2)], "up.y", "up", strides=[2, 2])
    flat = made.add("Flatten", [up], "flat")
    made.add("Gemm", [flat, made.floats("g", 10, 6 * 16 * 16)], "y", "head", transB=1)
    found = {x.name: x.macs for x in graph_precision(made.model("y")).layers}
    assert found == {"up": 4 * 8 * 8 * 6 * 4, "head": 10 * 6 * 256}


def test_fp16_weights_and_activations_declare_fp16() -> None:
    made = PairGraph()
    half = made.add("Cast", ["x"], "h", to=onnx.TensorProto.FLOAT16)
    made.add("Conv", [half, made.constant("w", np.ones(KERNEL, np.float16))], "c", "stem")
    made.add("Cast", ["c"], "y", to=onnx.TensorProto.FLOAT)
    assert graph_precision(made.model("y")).shares() == {"fp16": 1.0}


def test_a_graph_without_matrices_declares_nothing() -> None:
    made = PairGraph()
    made.add("Relu", ["x"], "y")
    found = graph_precision(made.model("y"))
    assert (found.layers, found.shares()) == ((), {})


def test_shapes_that_are_not_fixed_are_refused() -> None:
    model = convolution()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ModelError, match="is not fixed; export the model with fixed shapes"):
        graph_precision(model)
