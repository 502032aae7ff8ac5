"""Linear layers on one vector become 1x1 convolutions: the very same answers, and what is another layer stays one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edge.compress.dialects.kernels import integer_kernels, optimized_graph
from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx, run_graph
from edge.compress.quantize.pt2e import quantize_static
from tests.compress.dialects.drawn_graphs import Drawing, feeds, named, operators

if TYPE_CHECKING:
    from collections.abc import Callable

PLUMBING = {"QuantizeLinear", "DequantizeLinear"}


def gemm(drawing: Drawing, row: str, outputs: int, inputs: int, *bias: str, output: str = "", **changes: Any) -> str:
    weight = drawing.weight(outputs, inputs)
    arguments = {"transB": 1, **changes}
    return drawing.node("Gemm", [row, weight, *bias], output, name=f"linear{len(drawing.nodes)}", **arguments)


def same_answers(model: onnx.ModelProto) -> onnx.ModelProto:
    """The s8 graph, once it is known to answer as the model does, bit by bit, and to stay as it is."""
    s8 = write_s8(model)
    onnx.checker.check_model(s8, full_check=True)
    for seed in range(3):
        for found, wanted in zip(run_graph(s8, feeds(s8, seed)), run_graph(model, feeds(model, seed)), strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert write_s8(s8).SerializeToString() == s8.SerializeToString()
    return s8


def layers(model: onnx.ModelProto) -> list[str]:
    return [op for op in operators(model) if op not in PLUMBING]


def first_layer(inputs: int = 8) -> tuple[Drawing, str]:
    drawing = Drawing({"x": (1, inputs)})
    return drawing, drawing.quantized("x")


def test_a_linear_on_a_graph_input() -> None:
    drawing, row = first_layer()
    s8 = same_answers(drawing.model(gemm(drawing, row, 5, 8, drawing.bias(5))))
    assert operators(s8) == ["Reshape", "QuantizeLinear", *["DequantizeLinear"] * 2, "Conv", "Reshape"]
    assert named(s8, "Conv") == ["linear3"]


@pytest.mark.parametrize("shape", [(5,), (1, 5), (1,), (1, 1), ()])
def test_biases_of_every_shape(shape: tuple[int, ...]) -> None:
    drawing, row = first_layer()
    s8 = same_answers(drawing.model(gemm(drawing, row, 5, 8, drawing.bias(*shape))))
    assert layers(s8) == ["Reshape", "Conv", "Reshape"]


@pytest.mark.parametrize("bias", [(), ("",)])
def test_without_a_bias(bias: tuple[str, ...]) -> None:
    drawing, row = first_layer()
    s8 = same_answers(drawing.model(gemm(drawing, row, 5, 8, *bias)))
    conv = next(n for n in s8.graph.node if n.op_type == "Conv")
    assert len(conv.input) == 2


def test_one_scale_for_all_weights() -> None:
    drawing, row = first_layer()
    levels = drawing.constant(drawing.random.integers(-127, 128, (5, 8)), np.int8)
    weight = drawing.node("DequantizeLinear", [levels, drawing.constant(0.25), drawing.constant(0, np.int8)])
    s8 = same_answers(drawing.model(drawing.node("Gemm", [row, weight], transB=1)))
    assert layers(s8) == ["Reshape", "Conv", "Reshape"]


def pooled(*, kept: bool = True) -> tuple[Drawing, str]:
    """A convolution, and the mean of its result."""
    drawing = Drawing({"image": (1, 3, 6, 6)})
    image = drawing.quantized("image")
    conv = drawing.node("Conv", [image, drawing.weight(8, 3, 3, 3), drawing.bias(8)], name="conv")
    conv = drawing.quantized(conv, 0.5)
    return drawing, drawing.node("ReduceMean", [conv, drawing.constant([2, 3], np.int64)], keepdims=int(kept))


FLAT: dict[str, Callable[[Drawing, str], str]] = {
    "Flatten": lambda drawing, tensor: drawing.node("Flatten", [tensor]),
    "Reshape": lambda drawing, tensor: drawing.node("Reshape", [tensor, drawing.constant([1, -1], np.int64)]),
}


@pytest.mark.parametrize("flat", FLAT)
def test_behind_a_pool_and_what_flattens_it_nothing_is_reshaped(flat: str) -> None:
    drawing, mean = pooled()
    row = drawing.quantized(FLAT[flat](drawing, drawing.quantized(mean, 0.25)), 0.25)
    s8 = same_answers(drawing.model(gemm(drawing, row, 5, 8, drawing.bias(5))))
    assert layers(s8) == ["Conv", "ReduceMean", "Conv", "Reshape"]
    assert operators(s8).count("QuantizeLinear") == 3  # image, conv, mean


@pytest.mark.parametrize("flat", FLAT)
def test_another_scale_behind_the_reshape_is_kept(flat: str) -> None:
    drawing, mean = pooled()
    row = drawing.quantized(FLAT[flat](drawing, drawing.quantized(mean, 0.25)), 2.0)
    s8 = same_answers(drawing.model(gemm(drawing, row, 5, 8)))
    assert layers(s8) == ["Conv", "ReduceMean", "Reshape", "Conv", "Reshape"]
    assert operators(s8).count("QuantizeLinear") == 4


def test_a_float_map_is_quantized_as_a_map() -> None:
    drawing, mean = pooled()
    s8 = same_answers(drawing.model(gemm(drawing, drawing.quantized(drawing.node("Flatten", [mean])), 5, 8)))
    assert layers(s8) == ["Conv", "ReduceMean", "Conv", "Reshape"]


def test_a_pool_that_leaves_a_row_is_reshaped_once() -> None:
    drawing, mean = pooled(kept=False)
    s8 = same_answers(drawing.model(gemm(drawing, drawing.quantized(mean), 5, 8)))
    assert layers(s8) == ["Conv", "ReduceMean", "Reshape", "Conv", "Reshape"]


def test_an_image_that_is_flattened_is_reshaped_once() -> None:
    drawing = Drawing({"image": (1, 3, 4, 4)})
    flat = drawing.node("Flatten", [drawing.quantized("image")])
    s8 = same_answers(drawing.model(gemm(drawing, drawing.quantized(flat), 5, 48)))
    assert layers(s8) == ["Reshape", "Conv", "Reshape"]


def test_several_layers_on_one_vector() -> None:
    drawing, mean = pooled()
    row = drawing.quantized(drawing.node("Flatten", [drawing.quantized(mean)]))
    outputs = gemm(drawing, row, 5, 8), gemm(drawing, row, 2, 8), drawing.node("Neg", [row])
    s8 = same_answers(drawing.model(*outputs))
    assert sorted(layers(s8)) == [*["Conv"] * 3, "Flatten", "Neg", "ReduceMean", *["Reshape"] * 2]
    assert len(set(named(s8, "Conv"))) == 3


@pytest.mark.parametrize("activation", ["Relu", "Clip"])
def test_an_activation_stays_next_to_its_layer(activation: str) -> None:
    drawing, row = first_layer()
    limits = [drawing.constant(-1.0), drawing.constant(6.0)] if activation == "Clip" else []
    hidden = drawing.node(activation, [gemm(drawing, row, 6, 8, drawing.bias(6)), *limits])
    s8 = same_answers(drawing.model(gemm(drawing, drawing.quantized(hidden), 5, 6)))
    assert layers(s8) == ["Reshape", "Conv", activation, "Conv", "Reshape"]


def test_other_functions_take_the_vector() -> None:
    drawing, row = first_layer()
    hidden = drawing.node("HardSigmoid", [gemm(drawing, row, 6, 8)])
    s8 = same_answers(drawing.model(gemm(drawing, drawing.quantized(hidden), 5, 6)))
    assert layers(s8) == ["Reshape", "Conv", "Reshape", "HardSigmoid", "Reshape", "Conv", "Reshape"]


def test_results_that_are_outputs_or_read_twice_keep_their_place() -> None:
    drawing, row = first_layer()
    logits = gemm(drawing, row, 6, 8, output="logits")
    s8 = same_answers(drawing.model("logits", drawing.node("Relu", [logits]), drawing.node("Neg", [logits])))
    assert s8.graph.output[0].name == "logits"
    drawing, row = first_layer()
    hidden = gemm(drawing, row, 6, 8)
    same_answers(drawing.model(drawing.node("Relu", [hidden]), drawing.node("Neg", [hidden])))


def left_alone(drawing: Drawing, *outputs: str) -> None:
    s8 = same_answers(drawing.model(*outputs))
    assert "Conv" not in operators(s8)


@pytest.mark.parametrize("change", [{"alpha": 0.5}, {"beta": 2.0}, {"alpha": 0.0}])
def test_factors_are_left_alone(change: dict[str, Any]) -> None:
    drawing, row = first_layer()
    left_alone(drawing, gemm(drawing, row, 5, 8, drawing.bias(5), **change))


def test_weights_that_lie_the_other_way_are_left_alone() -> None:
    drawing, row = first_layer()
    left_alone(drawing, gemm(drawing, row, 8, 8, transB=0))


def test_an_activation_that_lies_the_other_way_is_left_alone() -> None:
    drawing = Drawing({"x": (8, 1)})
    left_alone(drawing, gemm(drawing, drawing.quantized("x"), 5, 8, transA=1))


def test_a_batch_is_left_alone() -> None:
    drawing = Drawing({"x": (2, 8)})
    left_alone(drawing, gemm(drawing, drawing.quantized("x"), 5, 8))


def test_an_unknown_batch_is_left_alone() -> None:
    drawing = Drawing({"x": ("batch", 8)})
    s8 = write_s8(drawing.model(gemm(drawing, drawing.quantized("x"), 5, 8)))
    assert "Gemm" in operators(s8)


def test_linears_on_sequences_are_left_alone() -> None:
    drawing = Drawing({"x": (1, 7, 8)})
    weight = drawing.node("Transpose", [drawing.weight(5, 8)], perm=[1, 0])
    left_alone(drawing, drawing.node("MatMul", [drawing.quantized("x"), weight]))


def test_float_layers_and_weights_alone_are_left_alone() -> None:
    drawing, row = first_layer()
    float_weight = drawing.constant(np.ones((5, 8)))
    outputs = drawing.node("Gemm", [row, float_weight], transB=1), gemm(drawing, "x", 5, 8)
    left_alone(drawing, *outputs)


def test_a_bias_that_is_computed_is_left_alone() -> None:
    drawing = Drawing({"x": (1, 8), "shift": (1, 5)})
    left_alone(drawing, gemm(drawing, drawing.quantized("x"), 5, 8, "shift"))


def test_levels_that_no_quantizer_made_are_left_alone() -> None:
    drawing, _ = first_layer()
    pair = drawing.constant(0.125), drawing.constant(0, np.int8)
    levels = drawing.node("QuantizeLinear", ["x", *pair])
    moved = drawing.node("Reshape", [levels, drawing.constant([1, 8], np.int64)])
    left_alone(drawing, gemm(drawing, drawing.node("DequantizeLinear", [moved, *pair]), 5, 8))


def test_two_products_of_activations_are_left_alone() -> None:
    drawing = Drawing({"x": (1, 8), "y": (5, 8)})
    left_alone(drawing, drawing.node("Gemm", [drawing.quantized("x"), drawing.quantized("y")], transB=1))


class Mixed(nn.Module):
    """What ends many models: pooled features and a table, joined, through two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.table = nn.Sequential(nn.Linear(6, 8), nn.ReLU())
        self.head = nn.Sequential(
            nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 4), nn.Hardtanh(-0.2, 0.3), nn.Linear(4, 3)
        )

    def forward(self, image: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(torch.cat([self.image(image), self.table(table)], 1))
        return logits


@pytest.fixture(scope="module")
def mixed() -> tuple[onnx.ModelProto, onnx.ModelProto]:
    torch.manual_seed(0)
    calibration = (torch.randn(16, 3, 12, 12), torch.randn(16, 6))
    module = quantize_static(Mixed().eval(), calibration, [calibration])
    exported = export_onnx(module, tuple(t[:1] for t in calibration), ["image", "table"], ["logits"])
    return exported, write_s8(exported)


def test_a_trained_models_linears_are_all_rewritten(mixed: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    exported, s8 = mixed
    assert not {"Gemm", "MatMul"} & set(operators(s8))
    assert named(s8, "Conv") == named(exported, "Conv") + named(exported, "Gemm")
    given = feeds(s8)
    np.testing.assert_allclose(run_graph(s8, given)[0], run_graph(exported, given)[0], rtol=1e-5)


def test_in_u8_they_run_in_integer_kernels_and_nothing_is_transposed_for_them(
    mixed: tuple[onnx.ModelProto, onnx.ModelProto],
) -> None:
    u8 = write_u8(mixed[1])
    report = integer_kernels(u8)
    assert {kind: found.float for kind, found in report.kinds.items()} == dict.fromkeys(report.kinds, 0)
    assert report.kinds["linears"].integer == 4
    assert "Transpose" not in operators(u8)
    moved = [node.op_type for node in optimized_graph(u8.SerializeToString()).graph.node if "QGemm" in node.op_type]
    assert moved == ["QGemm"] * 4
    assert set(named(u8, "Gemm")) == {"table.0", "head.0", "head.2", "head.4"}
    given = feeds(u8)
    wanted = run_graph(mixed[1], given)[0]
    np.testing.assert_allclose(run_graph(u8, given)[0], wanted, atol=0.05 * np.abs(wanted).max())


def test_reshapes_behind_a_vector_may_copy_dimensions() -> None:
    """A 0 in a Reshape is the size of what comes in, of which a row has fewer."""
    drawing = Drawing({"map": (1, 8, 1, 1)})
    conv = drawing.node("Conv", [drawing.quantized("map"), drawing.weight(5, 8, 1, 1)], name="conv")
    wanted = drawing.node("Reshape", [conv, drawing.constant([0, -1, 0, 0], np.int64)])
    model = drawing.model(wanted)
    u8 = write_u8(model)
    given = feeds(model)
    assert run_graph(u8, given)[0].shape == (1, 5, 1, 1)
    np.testing.assert_allclose(run_graph(u8, given)[0], run_graph(model, given)[0], atol=1e-5)
