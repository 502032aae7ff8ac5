"""Proved precision of ONNX Runtime: what its optimized graph really computes in, found by the layers' names."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edge.compile.precision.declared_in_graph import graph_precision
from edge.compile.precision.proved_in_onnxruntime import optimized_precision
from edge.compress.precision_plan import PrecisionPlan
from edge.runtime.errors import GateError, ModelError
from tests.edge.compile.precision.pair_graphs import KERNEL, PairGraph, convolution


def prove(model: onnx.ModelProto) -> dict[str, tuple[str, str]]:
    found = optimized_precision(model.SerializeToString(), graph_precision(model))
    assert found.evidence == "proved"
    assert found.source.startswith("ONNX Runtime ") and found.source.endswith(", CPU")
    return {x.name: (x.precision, x.reason) for x in found.layers}


def two_layers(*, kept: bool = False, weights_only: bool = False) -> onnx.ModelProto:
    """Two convolutions with U8 activations, as x86 wants them; the second may be kept in float."""
    made = PairGraph()
    given = "x" if weights_only else made.quantized("x", np.uint8)
    stem = made.add("Conv", [given, made.int8_weight("w", *KERNEL)], "a", "stem")
    between = stem if weights_only else made.quantized(stem, np.uint8)
    if kept:
        between = made.add("Sqrt", [made.add("Abs", [between], "abs")], "root")
    kernel = made.floats("v", 8, 8, 3, 3) if kept else made.int8_weight("v", 8, 8, 3, 3)
    head = made.add("Conv", [between, kernel], "b", "head")
    made.add("Identity", [head if weights_only or kept else made.quantized(head, np.uint8)], "y")
    return made.model("y")


def test_u8_with_int8_weights_runs_in_integer_kernels() -> None:
    assert prove(two_layers()) == {"stem": ("int8", ""), "head": ("int8", "")}


def test_a_layer_that_is_kept_in_float_shows() -> None:
    found = prove(two_layers(kept=True))
    assert found["stem"] == ("int8", "")
    assert found["head"][0] == "fp32"
    assert found["head"][1].startswith("it runs in ")


def test_weights_alone_are_computed_in_float() -> None:
    assert {precision for precision, _ in prove(two_layers(weights_only=True)).values()} == {"fp32"}


def test_int8_that_is_declared_and_not_run_is_found() -> None:
    """Without a QuantizeLinear behind it ONNX Runtime has no integer kernel for a convolution."""
    model = convolution()
    declared = graph_precision(model)
    assert declared.shares() == {"int8": 1.0}
    proved = optimized_precision(model.SerializeToString(), declared)
    with pytest.raises(GateError, match=r"as proved by ONNX Runtime .*stem is fp32, planned int8, it runs in Conv"):
        proved.demand(PrecisionPlan.int8())


def test_layers_are_found_that_were_renamed_for_another_layout() -> None:
    """Float convolutions are reordered for wide registers, and named after what they make."""
    made = PairGraph(shape=(1, 16, 8, 8))
    stem = made.add("Conv", ["x", made.floats("w", 32, 16, 3, 3)], "made", "stem")
    neck = made.add("Conv", [made.add("Relu", [stem], "active"), made.floats("v", 32, 32, 3, 3)], "next", "neck")
    made.add("Clip", [made.add("Add", [neck, made.floats("b", 1, 32, 1, 1)], "sum")], "y")
    assert {name: found for name, (found, _) in prove(made.model("y")).items()} == {"stem": "fp32", "neck": "fp32"}


@pytest.mark.parametrize(("operator", "shape"), [("Gemm", (1, 16)), ("MatMul", (1, 4, 16))])
def test_linear_layers_are_found_that_were_fused_with_what_follows(operator: str, shape: tuple[int, ...]) -> None:
    made = PairGraph(shape=shape)
    linear = made.add(operator, ["x", made.floats("w", 16, 8)], "made", "linear")
    made.add("Relu", [made.add("Add", [linear, made.floats("b", 8)], "sum")], "y")
    assert prove(made.model("y"))["linear"][0] == "fp32"


def test_transposed_convolutions_and_products_are_float_kernels_too() -> None:
    made = PairGraph()
    up = made.add("ConvTranspose", ["x", made.floats("u", 4, 6, 2, 2)], "up.y", "up", strides=[2, 2])
    made.add("MatMul", [up, made.floats("m", 16, 3)], "y", "product")
    found = prove(made.model("y"))
    assert found == {"up": ("fp32", "it runs in ConvTranspose"), "product": ("fp32", "it runs in MatMul")}


def test_fp16_that_is_cast_because_there_is_no_kernel_counts_as_fp32() -> None:
    made = PairGraph()
    half = made.add("Cast", ["x"], "h", to=onnx.TensorProto.FLOAT16)
    made.add("Conv", [half, made.constant("w", np.ones(KERNEL, np.float16))], "c", "stem")
    made.add("Cast", ["c"], "y", to=onnx.TensorProto.FLOAT)
    model = made.model("y")
    optimized = optimized_precision(model.SerializeToString(), graph_precision(model))
    cast = b"InsertedPrecisionFreeCast" in _optimized(model)
    assert optimized.shares() == {"fp32" if cast else "fp16": 1.0}


def _optimized(model: onnx.ModelProto) -> bytes:
    from edge.compress.dialects.kernels import optimized_graph

    return bytes(optimized_graph(model.SerializeToString()).SerializeToString())


def test_what_was_folded_away_is_unknown() -> None:
    made = PairGraph()
    fixed = made.constant("k", np.ones((1, 4, 8, 8), np.float32))
    made.add("Conv", [fixed, made.floats("w", *KERNEL)], "c", "folded")
    made.add("Conv", ["x", made.floats("v", *KERNEL)], "d", "stem")
    made.add("Add", ["c", "d"], "y")
    found = prove(made.model("y"))
    assert found["folded"] == ("unknown", "the optimized graph names no kernel for it")
    assert found["stem"][0] == "fp32"


def test_a_graph_that_does_not_load_is_refused() -> None:
    model = convolution()
    declared = graph_precision(model)
    model.graph.node[-1].op_type = "Unheard"
    with pytest.raises(ModelError, match="ONNX Runtime refuses the graph"):
        optimized_precision(model.SerializeToString(), declared)
