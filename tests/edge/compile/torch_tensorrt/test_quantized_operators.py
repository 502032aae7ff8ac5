"""Which quantize and dequantize calls count as convertible: symmetric INT8, per tensor or per channel on axis 0."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchao.quantization.pt2e.quantize_pt2e  # noqa: F401  (registers the operators)
from torch import Tensor, nn

from edge.compile.torch_tensorrt.quantized_operators import _is_symmetric_channels, _is_symmetric_tensor
from edge.compress.quantize.tracing import trace

QUANTIZED = torch.ops.quantized_decomposed


def call(*arguments: Any, operator: Any = QUANTIZED.quantize_per_tensor.default) -> torch.fx.Node:
    graph = torch.fx.Graph()
    return graph.call_function(operator, (graph.placeholder("x"), *arguments))


@pytest.mark.parametrize(
    ("arguments", "taken"),
    [
        ((0.1, 0, -128, 127, torch.int8), True),
        ((0.1, 0, -127, 127, torch.int8), True),
        ((0.1, 3, -128, 127, torch.int8), False),
        ((0.1, 0, 0, 255, torch.uint8), False),
        ((0.1, 0, -32768, 32767, torch.int16), False),
        ((0.1, 0, -128, 127), False),
    ],
)
def test_tensors_are_symmetric_int8(arguments: tuple[Any, ...], taken: bool) -> None:
    assert _is_symmetric_tensor(call(*arguments)) is taken


class Weighted(nn.Module):
    """A dequantized weight, as PT2E leaves it."""

    def __init__(self, zero: int | None, axis: int, levels: torch.dtype) -> None:
        super().__init__()
        self.axis, self.kind = axis, levels
        self.register_buffer("levels", torch.ones(4, 4).to(levels))
        self.register_buffer("scales", torch.full((4,), 0.1))
        self.register_buffer("zeros", None if zero is None else torch.full((4,), zero))

    def forward(self, x: Tensor) -> Tensor:
        low, high = torch.iinfo(self.kind).min, torch.iinfo(self.kind).max
        arguments = (self.levels, self.scales, self.zeros, self.axis, low, high, self.kind)
        made: Tensor = x @ QUANTIZED.dequantize_per_channel.default(*arguments)
        return made


@pytest.mark.parametrize(
    ("zero", "axis", "levels", "taken"),
    [
        (0, 0, torch.int8, True),
        (None, 0, torch.int8, True),
        (1, 0, torch.int8, False),
        (0, 1, torch.int8, False),
        (0, 0, torch.uint8, False),
    ],
)
def test_channels_are_symmetric_int8_on_axis_0(zero: int | None, axis: int, levels: torch.dtype, taken: bool) -> None:
    module = trace(Weighted(zero, axis, levels), (torch.zeros(2, 4),)).module()
    node = next(n for n in module.graph.nodes if "dequantize_per_channel" in str(n.target))
    assert _is_symmetric_channels(node) is taken


def test_zero_points_that_are_computed_are_not_looked_into() -> None:
    graph = torch.fx.Graph()
    x = graph.placeholder("x")
    node = graph.call_function(
        QUANTIZED.dequantize_per_channel.default, (x, x, graph.placeholder("z"), 0, -128, 127, torch.int8)
    )
    assert _is_symmetric_channels(node)
