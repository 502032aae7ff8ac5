"""Padding with zeros in front of a convolution becomes the convolution's own: same answers, no detour by float."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from edge.compress.dialects.kernels import integer_kernels
from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx, run_graph
from edge.compress.quantize.pt2e import quantize_static
from tests.compress.dialects.drawn_graphs import Drawing, feeds, named, operators


class PaddedNet(nn.Module):
    """As models that came from TensorFlow are: each strided convolution is padded below and to the right."""

    def __init__(self, value: float = 0.0, mode: str = "constant") -> None:
        super().__init__()
        self.value, self.mode = value, mode
        self.stem, self.depthwise = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 3, 2, groups=8)
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, image: torch.Tensor) -> Any:
        x = functional.relu6(self.stem(self.padded(image)))
        return self.head(functional.relu6(self.depthwise(self.padded(x)))).mean((2, 3))

    def padded(self, x: torch.Tensor) -> torch.Tensor:
        if self.mode != "constant":
            return functional.pad(x, (0, 1, 0, 1), self.mode)
        return functional.pad(x, (0, 1, 0, 1), value=self.value)


def quantized(model: nn.Module) -> tuple[nn.Module, onnx.ModelProto]:
    torch.manual_seed(0)
    batches = [(torch.randn(4, 3, 16, 16),) for _ in range(4)]
    module = quantize_static(model.eval(), batches[0], batches)
    return module, write_s8(export_onnx(module, (torch.randn(1, 3, 16, 16),), ["image"], ["y"]))


def test_a_padded_network_has_no_pad_left_and_answers_as_before() -> None:
    module, s8 = quantized(PaddedNet())
    assert "Pad" not in operators(s8)
    pads = {n.name: list(a.ints) for n in s8.graph.node if n.op_type == "Conv" for a in n.attribute if a.name == "pads"}
    assert pads["stem"] == pads["depthwise"] == [0, 0, 1, 1]
    for seed in range(5):
        image = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
        (found,) = run_graph(s8, {"image": image.numpy()})
        np.testing.assert_allclose(found, module(image).detach().numpy(), atol=1e-5)


def test_every_convolution_of_it_runs_in_an_integer_kernel() -> None:
    _, s8 = quantized(PaddedNet())
    report = integer_kernels(write_u8(s8))
    assert report.kinds["convolutions"].float == 0
    assert report.kinds["convolutions"].integer == 2
    assert report.kinds["linears"].integer == 1  # 1x1 on one place is a linear to ONNX Runtime
    assert report.kinds["linears"].float == 0


@pytest.mark.parametrize("net", [PaddedNet(value=1.0), PaddedNet(mode="reflect")])
def test_what_pads_with_anything_but_zeros_stays_and_answers_right(net: PaddedNet) -> None:
    module, s8 = quantized(net)
    assert "Conv" in operators(s8)
    assert [op for op in operators(s8) if op in ("Pad", "Gather", "Slice", "Concat")]
    image = torch.randn(1, 3, 16, 16)
    (found,) = run_graph(s8, {"image": image.numpy()})
    np.testing.assert_allclose(found, module(image).detach().numpy(), atol=1e-5)


def padded_convolution(
    pads: list[int], own: list[int], *, scale: float = 0.125, mode: str = "constant", value: float | None = None
) -> tuple[Drawing, str]:
    drawing = Drawing({"x": (1, 2, 5, 6)})
    rest = [] if value is None else [drawing.constant(value)]
    before = drawing.quantized("x")
    padded = drawing.node("Pad", [before, drawing.constant(pads, np.int64), *rest], mode=mode)
    after = drawing.quantized(padded, scale)
    return drawing, drawing.node("Conv", [after, drawing.weight(3, 2, 2, 2)], name="conv", pads=own)


amount = st.integers(0, 3)


@given(st.tuples(amount, amount, amount, amount), st.tuples(amount, amount, amount, amount))
@settings(max_examples=25, deadline=None)
def test_amounts_of_both_are_added(outer: tuple[int, ...], own: tuple[int, ...]) -> None:
    top, left, bottom, right = outer
    drawing, result = padded_convolution([0, 0, top, left, 0, 0, bottom, right], list(own))
    model = drawing.model(result)
    s8 = write_s8(model)
    assert "Pad" not in operators(s8)
    for wanted, found in zip(run_graph(model, feeds(model)), run_graph(s8, feeds(model)), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("pads", "changes"),
    [
        ([0, 0, 1, 1, 0, 0, 1, 1], {"scale": 0.25}),  # other levels: the pad's Q rounds anew
        ([0, 0, 1, 1, 0, 0, 1, 1], {"value": 0.5}),
        ([0, 0, 1, 1, 0, 0, 1, 1], {"mode": "edge"}),
        ([0, 0, -1, 0, 0, 0, 0, 0], {}),  # crops
        ([0, 0, -1, 0, 0, 0, 0, 2], {}),
    ],
)
def test_what_is_no_padding_of_the_convolution_stays(pads: list[int], changes: dict[str, Any]) -> None:
    drawing, result = padded_convolution(pads, [0, 0, 0, 0], **changes)
    model = drawing.model(result)
    s8 = write_s8(model)
    assert operators(s8).count("Pad") == 1
    for wanted, found in zip(run_graph(model, feeds(model)), run_graph(s8, feeds(model)), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_pad_that_something_else_reads_stays_for_that() -> None:
    drawing = Drawing({"x": (1, 2, 5, 6)})
    pads = drawing.constant([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    padded = drawing.quantized(drawing.node("Pad", [drawing.quantized("x"), pads]))
    conv = drawing.node("Conv", [padded, drawing.weight(3, 2, 2, 2)], name="conv")
    pool = drawing.node("MaxPool", [padded], kernel_shape=[2, 2])
    model = drawing.model(conv, pool)
    s8 = write_s8(model)
    assert sorted(op for op in operators(s8) if op not in ("QuantizeLinear", "DequantizeLinear")) == [
        "Conv",
        "MaxPool",
        "Pad",
    ]
    assert named(s8, "Conv") == ["conv"]
    for wanted, found in zip(run_graph(model, feeds(model)), run_graph(s8, feeds(model)), strict=True):
        np.testing.assert_array_equal(found, wanted)
