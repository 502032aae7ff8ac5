"""How many multiply-accumulates an ONNX operator is, by the shapes of its tensors."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from edge.compress.dialects.onnx_graph import attribute

if TYPE_CHECKING:
    import onnx

Shapes = Callable[[str], tuple[int, ...]]


def multiply_accumulates(node: onnx.NodeProto, operator: str, shape: Shapes) -> int:
    """Of one inference; 0 where an operator has no weights to multiply by.

    Args:
        node: With its inputs and outputs.
        operator: Its name, with its domain where that is not ONNX's own.
        shape: Gives the shape of a tensor.
    """
    rule = MAC_RULES.get(operator)
    return rule(node, shape) if rule else 0


def _convolution(node: onnx.NodeProto, shape: Shapes) -> int:
    return prod(shape(node.output[0])) * prod(shape(node.input[1])[1:])


def _transposed_convolution(node: onnx.NodeProto, shape: Shapes) -> int:
    return prod(shape(node.input[0])) * prod(shape(node.input[1])[1:])


def _gemm(node: onnx.NodeProto, shape: Shapes) -> int:
    return prod(shape(node.output[0])) * shape(node.input[0])[0 if attribute(node, "transA", 0) else 1]


def _matmul(node: onnx.NodeProto, shape: Shapes) -> int:
    return prod(shape(node.output[0])) * shape(node.input[0])[-1]


def _recurrent(node: onnx.NodeProto, shape: Shapes) -> int:
    """Every step of every sequence meets both weight matrices once."""
    steps = prod(shape(node.input[0])[:-1])
    return steps * (prod(shape(node.input[1])) + prod(shape(node.input[2])))


MAC_RULES: dict[str, Callable[[onnx.NodeProto, Shapes], int]] = {
    "Conv": _convolution,
    "ConvInteger": _convolution,
    "ConvTranspose": _transposed_convolution,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
}
