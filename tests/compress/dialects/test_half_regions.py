"""FP16 for what INT8 leaves in float: valid at opset 18, near the FP32 answers, and wide where FP16 would not do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from torch import nn

from edge.compress.dialects.half_regions import write_half
from edge.compress.dialects.writing import write_s8
from edge.compress.export import export_onnx, run_graph
from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import quantize_static
from edge.graph.layers import graph_layers
from tests.compress.dialects.drawn_graphs import FLOAT, Drawing, feeds, operators

if TYPE_CHECKING:
    from collections.abc import Sequence

HALF = onnx.TensorProto.FLOAT16


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, check_type=True).graph
    found = {t.name: t.data_type for t in graph.initializer}
    return found | {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info, *graph.output)}


def computed(model: onnx.ModelProto) -> dict[str, int]:
    """The type that each operator computes in, but for Q, DQ and Cast; of several of a kind the widest."""
    types = types_of(model)
    nodes = [n for n in model.graph.node if n.op_type not in ("QuantizeLinear", "DequantizeLinear", "Cast")]
    return {n.op_type: types[n.output[0]] for n in sorted(nodes, key=lambda n: types[n.output[0]] == FLOAT)}


def halved(model: onnx.ModelProto, keep_fp32: Sequence[str] = ()) -> onnx.ModelProto:
    """The graph in FP16, once it is known to be valid and to answer nearly the same, from and to FP32."""
    half = write_half(model, keep_fp32)
    onnx.checker.check_model(half, full_check=True)
    types = types_of(half)
    assert [o.version for o in half.opset_import] == [18]
    assert {types[v.name] for v in (*half.graph.input, *half.graph.output)} <= {FLOAT, onnx.TensorProto.INT64}
    for node in half.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert HALF not in {types[name] for name in (*node.input, *node.output)}
        assert node.op_type != "Cast" or types[node.input[0]] != types[node.output[0]]
    for found, wanted in zip(run_graph(half, feeds(half)), run_graph(model, feeds(model)), strict=True):
        np.testing.assert_allclose(found, wanted, atol=0.01 * max(np.abs(wanted).max(), 1e-3))
    assert write_half(half, keep_fp32).SerializeToString() == half.SerializeToString()
    return half


def test_a_float_graph_computes_in_fp16() -> None:
    drawing = Drawing({"x": (1, 3, 8, 8)})
    conv = drawing.node("Conv", ["x", drawing.constant(drawing.random.normal(size=(4, 3, 3, 3)))], name="conv")
    half = halved(drawing.model(drawing.node("Relu", [conv], "y")))
    assert operators(half) == ["Cast", "Conv", "Relu", "Cast"]
    assert computed(half) == {"Conv": HALF, "Relu": HALF}
    assert half.graph.output[0].name == "y"


def test_what_is_fused_into_integer_kernels_stays_fp32() -> None:
    """Convolution, activation, addition, concatenation and pool between DQ and Q are computed on INT8 values."""
    drawing = Drawing({"x": (1, 3, 8, 8)})
    x = drawing.quantized("x")
    first = drawing.quantized(drawing.node("Relu", [drawing.node("Conv", [x, drawing.weight(3, 3, 1, 1)])]))
    total = drawing.quantized(drawing.node("Relu", [drawing.node("Add", [first, x])]))
    joined = drawing.quantized(drawing.node("Concat", [total, first], axis=1))
    pooled = drawing.quantized(drawing.node("MaxPool", [joined], kernel_shape=[2, 2]))
    half = halved(drawing.model(drawing.node("Sigmoid", [pooled], "y")))
    assert operators(half).count("Cast") == 2
    assert {op for op, kind in computed(half).items() if kind == HALF} == {"Sigmoid"}


def test_an_activation_function_stays_in_its_integer_layer() -> None:
    """The last integer layer gives float: the Cast stands behind the function, so that the two are still one kernel."""
    drawing = Drawing({"x": (1, 3, 8, 8)})
    conv = drawing.node("Conv", [drawing.quantized("x"), drawing.weight(4, 3, 3, 3), drawing.bias(4)])
    half = halved(drawing.model(drawing.node("Sigmoid", [drawing.node("Relu", [conv])])))
    assert [op for op in operators(half) if not op.endswith("Linear")] == ["Conv", "Relu", "Cast", "Sigmoid", "Cast"]
    assert computed(half) == {"Conv": FLOAT, "Relu": FLOAT, "Sigmoid": HALF}


def test_a_relu_that_shares_its_layer_is_none_of_it() -> None:
    drawing = Drawing({"x": (1, 3, 8, 8)})
    conv = drawing.node("Conv", [drawing.quantized("x"), drawing.weight(4, 3, 3, 3)])
    half = halved(drawing.model(drawing.node("Relu", [conv]), drawing.node("Sigmoid", [conv])))
    assert computed(half) == {"Conv": FLOAT, "Relu": HALF, "Sigmoid": HALF}


def test_weight_only_layers_compute_in_fp16_behind_their_dq() -> None:
    drawing = Drawing({"x": (1, 8)})
    half = halved(drawing.model(drawing.node("Gemm", ["x", drawing.weight(4, 8)], transB=1)))
    assert computed(half) == {"Gemm": HALF}
    assert operators(half).count("Cast") == 3


def test_a_layer_that_is_quantized_on_both_sides_stays_one_across_what_moves_its_weights() -> None:
    drawing = Drawing({"x": (1, 5, 8)})
    weight = drawing.node("Transpose", [drawing.weight(4, 8)], perm=[1, 0])
    product = drawing.node("MatMul", [drawing.quantized("x"), weight])
    half = halved(drawing.model(drawing.node("Add", [product, drawing.bias(4)])))
    assert computed(half) == {"Transpose": FLOAT, "MatMul": FLOAT, "Add": HALF}


def deep(count: int = 4) -> onnx.ModelProto:
    drawing = Drawing({"x": (1, 8)})
    row = "x"
    for index in range(count):
        weight = drawing.constant(drawing.random.normal(size=(8, 8)) / 4)
        row = drawing.node("Gemm", [row, weight], name=f"head.layers.{index}")
        row = drawing.node("Reshape", [row, drawing.constant([1, 8], np.int64)])
    return drawing.model(drawing.node("Sigmoid", [row], name="score.sigmoid"))


def wide_names(model: onnx.ModelProto) -> set[str]:
    types = types_of(model)
    return {n.name for n in model.graph.node if n.name and types[n.output[0]] == FLOAT}


@pytest.mark.parametrize(
    ("keep", "names"),
    [
        ((), set()),
        (("head",), {f"head.layers.{i}" for i in range(4)}),
        (("head.layers.1", "score"), {"head.layers.1", "score.sigmoid"}),
        (("*.layers.[02]",), {"head.layers.0", "head.layers.2"}),
        (("hea",), set()),
        (("*",), {*(f"head.layers.{i}" for i in range(4)), "score.sigmoid"}),
    ],
)
def test_layers_that_are_asked_to_stay_stay(keep: tuple[str, ...], names: set[str]) -> None:
    assert wide_names(halved(deep(), keep)) == names


def test_values_between_layers_that_stay_are_not_rounded_on_their_way() -> None:
    """What only moves them has no name to be asked for by; it has the type of what it moves."""
    half = halved(deep(), ("head", "score"))
    assert "Cast" not in operators(half)
    assert half.SerializeToString() == write_half(deep(), ("*",)).SerializeToString()
    partly = halved(deep(), ("head.layers.0", "head.layers.1"))
    assert operators(partly).count("Cast") == 2


def test_every_layer_kept_leaves_the_graph_as_it_was() -> None:
    given = feeds(deep())
    np.testing.assert_array_equal(run_graph(write_half(deep(), ("*",)), given)[0], run_graph(deep(), given)[0])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1.0, 65504.0], HALF),
        ([1.0, 65520.0], FLOAT),
        ([1.0, -3.4e38], FLOAT),
        ([0.0, -np.inf], HALF),
        ([1e-12, 1e-12], FLOAT),
        ([1e-5, 1e-5], FLOAT),  # FP16 has it, a third of a percent off
        ([1e-4, 1e-4], HALF),
        ([0.0, 0.0], HALF),
        ([0.02, 1e-9], HALF),  # as among any weights: nothing beside the others
    ],
)
def test_constants_that_fp16_cannot_hold_keep_their_layer_wide(values: list[float], kind: int) -> None:
    drawing = Drawing({"x": (1, 2)})
    half = write_half(drawing.model(drawing.node("Add", ["x", drawing.constant(values)])))
    onnx.checker.check_model(half, full_check=True)
    assert computed(half) == {"Add": kind}


def test_a_large_layer_is_not_kept_wide_for_a_weight_near_zero() -> None:
    drawing = Drawing({"x": (1, 256)})
    weights = drawing.random.normal(size=(256, 256)) * 0.02
    weights[0, 0], weights[1, 1] = 1e-9, -1e-20
    assert computed(halved(drawing.model(drawing.node("Gemm", ["x", drawing.constant(weights)])))) == {"Gemm": HALF}


WIDE: dict[str, dict[str, Any]] = {
    "Exp": {},
    "Log": {},
    "Sqrt": {},
    "Reciprocal": {},
    "ReduceSum": {},
    "ReduceL1": {},
    "ReduceL2": {},
    "ReduceSumSquare": {},
    "ReduceLogSumExp": {},
    "ReduceProd": {},
    "LpNormalization": {},
    "MeanVarianceNormalization": {"axes": [1]},
}


@pytest.mark.parametrize("operator", WIDE)
def test_operators_that_leave_the_range_stay_fp32(operator: str) -> None:
    drawing = Drawing({"x": (1, 4)})
    positive = drawing.node("Sigmoid", ["x"])
    half = halved(drawing.model(drawing.node(operator, [positive], **WIDE[operator])))
    assert computed(half) == {"Sigmoid": HALF, operator: FLOAT}


def test_a_norm_stays_fp32_between_layers_in_fp16() -> None:
    drawing = Drawing({"x": (1, 5, 8)})
    weight = drawing.constant(drawing.random.normal(size=(8, 8)) / 4)
    row = drawing.node("MatMul", ["x", weight])
    norm = drawing.node("LayerNormalization", [row, drawing.constant(np.ones(8)), drawing.constant(np.zeros(8))])
    half = halved(drawing.model(drawing.node("MatMul", [norm, weight])))
    assert computed(half) == {"MatMul": HALF, "LayerNormalization": FLOAT}


def test_scales_of_a_resize_stay_fp32() -> None:
    drawing = Drawing({"x": (1, 2, 4, 4)})
    scales = drawing.constant([1, 1, 2, 2])
    half = halved(drawing.model(drawing.node("Resize", [drawing.node("Tanh", ["x"]), "", scales], mode="linear")))
    types = types_of(half)
    resize = next(n for n in half.graph.node if n.op_type == "Resize")
    assert [types[name] for name in resize.input if name] == [HALF, FLOAT]


def test_a_graph_input_that_both_kinds_read() -> None:
    drawing = Drawing({"x": (1, 4)})
    half = halved(
        drawing.model(drawing.node("Sigmoid", ["x"]), drawing.node("Exp", ["x"]), drawing.node("Tanh", ["x"]))
    )
    assert computed(half) == {"Sigmoid": HALF, "Exp": FLOAT, "Tanh": HALF}
    assert operators(half).count("Cast") == 3  # one in for two readers, two out


def test_an_output_that_is_read_inside_too() -> None:
    drawing = Drawing({"x": (1, 4)})
    middle = drawing.node("Tanh", ["x"], "middle")
    half = halved(drawing.model("middle", drawing.node("Sigmoid", [middle]), drawing.node("ReduceSum", [middle])))
    assert half.graph.output[0].name == "middle"
    assert computed(half) == {"Tanh": HALF, "Sigmoid": HALF, "ReduceSum": FLOAT}


def test_inputs_and_constants_that_are_outputs() -> None:
    drawing = Drawing({"x": (1, 4)})
    half = halved(drawing.model(drawing.node("Identity", ["x"]), drawing.node("Tanh", ["x"])))
    assert computed(half) == {"Identity": FLOAT, "Tanh": HALF}


def test_casts_to_float_lose_nothing_for_those_who_need_fp32() -> None:
    drawing = Drawing({"x": (1, 4)})
    whole = drawing.node("Cast", [drawing.constant([[2049, 4097, 70001, 3]], np.int64)], to=FLOAT)
    outputs = drawing.node("ReduceSum", [whole]), drawing.node("Mul", ["x", drawing.node("Neg", [whole])])
    half = write_half(drawing.model(*outputs))
    types = types_of(half)
    assert types[next(n for n in half.graph.node if n.op_type == "ReduceSum").input[0]] == FLOAT
    assert run_graph(half, feeds(half))[0] == 2049 + 4097 + 70001 + 3


def test_a_graph_that_is_fp16_in_part_stays_so() -> None:
    drawing = Drawing({"x": (1, 4)})
    narrow = drawing.node("Cast", ["x"], to=HALF)
    factor = drawing.constant([2.0], np.float16)
    back = drawing.node("Cast", [drawing.node("Mul", [narrow, factor])], to=FLOAT)
    half = halved(drawing.model(drawing.node("Tanh", [back])))
    assert operators(half) == ["Cast", "Mul", "Tanh", "Cast"]


def test_operators_of_other_domains_get_what_they_had() -> None:
    drawing = Drawing({"x": (1, 4)})
    gelu = drawing.node("QuickGelu", [drawing.node("Tanh", ["x"])], domain="com.microsoft", alpha=1.0)
    graph = helper.make_graph(
        [*drawing.nodes, helper.make_node("Sigmoid", [gelu], ["y"])],
        "custom",
        [helper.make_tensor_value_info("x", FLOAT, (1, 4))],
        [helper.make_tensor_value_info("y", FLOAT, (1, 4))],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    half = write_half(model)
    np.testing.assert_allclose(run_graph(half, feeds(half))[0], run_graph(model, feeds(model))[0], atol=1e-3)
    assert next(n for n in half.graph.node if n.op_type == "QuickGelu").domain == "com.microsoft"


def branches(captured: str) -> tuple[onnx.GraphProto, onnx.GraphProto]:
    """Both read a tensor of the graph around them; one has names that a tidied graph would like to use."""

    def branch(name: str, op: str) -> onnx.GraphProto:
        constant = numpy_helper.from_array(np.ones(4, np.float32), f"{name}_k")
        nodes = [helper.make_node(op, [captured, constant.name], [name], "source.py")]
        return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(name, FLOAT, (1, 4))], [constant])

    return branch("a", "Add"), branch("b", "Mul")


def test_what_the_branches_of_an_if_read_stays_what_it_was() -> None:
    drawing = Drawing({"x": (1, 4)})
    hidden = drawing.node("Tanh", ["x"])
    spare = drawing.node("Tanh", ["x"])  # the same again, which tidying would merge with the first
    flag = drawing.node("Greater", [drawing.node("ReduceMax", ["x"], keepdims=0), drawing.constant(0.0)])
    yes, no = branches(hidden)
    chosen = drawing.node("If", [flag], then_branch=yes, else_branch=no)
    half = halved(drawing.model(chosen, drawing.node("Sigmoid", [chosen]), drawing.node("Neg", [spare])))
    assert computed(half) == {"Tanh": HALF, "ReduceMax": HALF, "Greater": onnx.TensorProto.BOOL} | {
        "If": FLOAT,
        "Sigmoid": HALF,
        "Neg": HALF,
    }


def test_a_loop_stays_what_it_was() -> None:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes_on"]),
            helper.make_node("Add", ["total", "step"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("index", onnx.TensorProto.INT64, ()),
            helper.make_tensor_value_info("going", onnx.TensorProto.BOOL, ()),
            helper.make_tensor_value_info("total", FLOAT, (1, 4)),
        ],
        [
            helper.make_tensor_value_info("goes_on", onnx.TensorProto.BOOL, ()),
            helper.make_tensor_value_info("next", FLOAT, (1, 4)),
        ],
    )
    drawing = Drawing({"x": (1, 4)})
    drawing.node("Tanh", ["x"], "step")
    start = drawing.node("Sigmoid", ["x"])
    total = drawing.node("Loop", [drawing.constant(3, np.int64), "", start], body=body)
    half = halved(drawing.model(drawing.node("Neg", [total], "y"), y=(1, 4)))
    assert computed(half) == {"Tanh": HALF, "Sigmoid": HALF, "Loop": FLOAT, "Neg": HALF}


UNARY = ("Relu", "Tanh", "Exp", "Neg", "Sigmoid", "Identity", "Abs", "Q")


@given(operators=st.lists(st.sampled_from(UNARY), min_size=1, max_size=8), seed=st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_any_chain_stays_valid_and_near(operators: list[str], seed: int) -> None:
    drawing = Drawing({"x": (1, 4)}, seed)
    tensor = drawing.node("Sigmoid", ["x"])
    for operator in operators:
        tensor = drawing.quantized(tensor, 0.25) if operator == "Q" else drawing.node(operator, [tensor])
        tensor = drawing.node("Tanh", [tensor]) if operator == "Exp" else tensor
    half = write_half(drawing.model(tensor))
    onnx.checker.check_model(half, full_check=True)
    types_of(half)
    assert write_half(half).SerializeToString() == half.SerializeToString()
    for found, wanted in zip(run_graph(half, feeds(half)), run_graph(drawing.model(tensor), feeds(half)), strict=True):
        assert np.abs(found - wanted).max() <= 0.51  # a step of INT8, where a value lies between two


class Fused(nn.Module):
    """An encoder that becomes INT8, and a head with a norm and a layer for vectors that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU())
        self.head = nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.norm, self.score = nn.LayerNorm(8), nn.Linear(8, 4)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        vector = self.head(self.encoder(image))
        return self.score(self.norm(vector)), vector


@pytest.fixture(scope="module")
def s8() -> onnx.ModelProto:
    torch.manual_seed(0)
    calibration = (torch.randn(16, 3, 16, 16),)
    config = QuantizeConfig(keep_float=("head", "norm", "score"))
    module = quantize_static(Fused().eval(), calibration, [calibration], config)
    return write_s8(export_onnx(module, (calibration[0][:1],), ["image"], ["logits", "vector"]))


def test_an_int8_encoder_with_an_fp16_head(s8: onnx.ModelProto) -> None:
    found = {layer.name: layer.precision for layer in graph_layers(halved(s8)) if layer.weighted}
    assert found == {"encoder.0": "int8", "encoder.2": "int8", "head.0": "fp16", "score": "fp16"}


def test_what_fp16_is_not_enough_for_stays_fp32(s8: onnx.ModelProto) -> None:
    found = {layer.name: layer.precision for layer in graph_layers(halved(s8, ("score",))) if layer.weighted}
    assert found == {"encoder.0": "int8", "encoder.2": "int8", "head.0": "fp16", "score": "fp32"}


def test_it_is_smaller_by_half_of_what_int8_left(s8: onnx.ModelProto) -> None:
    halves = write_half(s8)
    float_bytes = sum(numpy_helper.to_array(t).nbytes for t in s8.graph.initializer if t.data_type == FLOAT)
    saved = sum(len(t.raw_data) for t in s8.graph.initializer) - sum(len(t.raw_data) for t in halves.graph.initializer)
    assert saved == pytest.approx(float_bytes / 2, rel=0.2)


def test_names_survive(s8: onnx.ModelProto) -> None:
    before = {n.name for n in s8.graph.node if n.name}
    assert {n.name for n in write_half(s8).graph.node if n.name} == before
