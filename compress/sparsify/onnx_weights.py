"""The weights of an ONNX graph, float or INT8, read where a compiler would look for the pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.compress.dialects.onnx_graph import OnnxGraph, attribute
from edge.compress.sparsify.pattern import BLOCK, INPUT_AXIS, is_two_of_four

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx
    from numpy.typing import NDArray

_LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_SAME_ZEROS = frozenset({"DequantizeLinear", "QuantizeLinear", "Cast", "Identity"})  # with zero points of zero


@dataclass(frozen=True, eq=False)
class GraphWeight:
    """The weight of one layer.

    Attributes:
        layer: Name of its node, which is the path of its module where edge wrote the graph.
        operator: ONNX operator.
        values: Levels or floats, `[outputs, inputs, ...]`; of a transposed convolution as it is stored.
        groups: Of a convolution.
    """

    layer: str
    operator: str
    values: NDArray[Any]
    groups: int = 1

    @property
    def is_sparse(self) -> bool:
        """Whether a compiler finds the 2:4 pattern in it, in a layer that sparse kernels exist for."""
        if self.operator == "ConvTranspose" or self.groups != 1 or self.values.shape[INPUT_AXIS] < BLOCK:
            return False
        return is_two_of_four(self.values)


def graph_weights(model: onnx.ModelProto) -> Iterator[GraphWeight]:
    """The constant weights of convolutions and linear layers, in the order of the graph.

    Args:
        model: Its weights inside. INT8 weights are read through their DequantizeLinear.
    """
    graph = OnnxGraph(model)
    makers = graph.producers()
    for node in graph.nodes:
        if node.op_type in _LAYERS:
            values = _constant(graph, makers, node.input[1])
            if values is not None and values.ndim > 1:
                groups = attribute(node, "group", 1)
                yield GraphWeight(node.name or node.output[0], node.op_type, _inputs_second(node, values), groups)


def sparse_layers(model: onnx.ModelProto) -> dict[str, bool]:
    """Whether each layer with a constant weight is 2:4 sparse."""
    return {weight.layer: weight.is_sparse for weight in graph_weights(model)}


def _constant(graph: OnnxGraph, makers: dict[str, onnx.NodeProto], name: str) -> NDArray[Any] | None:
    """A constant, also behind what leaves its zeros where they are or turns it around."""
    if name in graph.constants:
        return graph.array(name)
    node = makers.get(name)
    if node is None or node.op_type not in _SAME_ZEROS | {"Transpose"} or _shifts_zero(graph, node):
        return None
    values = _constant(graph, makers, node.input[0])
    if values is None or node.op_type != "Transpose":
        return values
    order = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
    return np.transpose(values, order)


def _shifts_zero(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    """Whether level 0 is not the value 0, or that cannot be told."""
    point = node.input[2] if node.op_type in ("DequantizeLinear", "QuantizeLinear") and len(node.input) > 2 else ""
    if not point:
        return False
    return point not in graph.constants or bool(graph.array(point).any())


def _inputs_second(node: onnx.NodeProto, values: NDArray[Any]) -> NDArray[Any]:
    """`[outputs, inputs, ...]`, for products of matrices too, which store `[..., inputs, outputs]`."""
    if node.op_type == "MatMul" or (node.op_type == "Gemm" and not attribute(node, "transB", 0)):
        return np.moveaxis(values, (-1, -2), (0, 1))
    return values
