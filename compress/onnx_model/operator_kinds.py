"""What each ONNX operator is to the placement rules: what `edge.compress.quantize.placement` says of torch's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.compress.dialects.onnx_graph import OnnxGraph, attribute
from edge.compress.dialects.zero_pads import zero_padding
from edge.compress.quantize.placement_rules import Kind

if TYPE_CHECKING:
    import onnx

DOMAINS = ("", "ai.onnx")
_KINDS = {
    **dict.fromkeys(("Conv", "ConvTranspose"), Kind.CONVOLUTION),
    **dict.fromkeys(("Gemm", "MatMul"), Kind.LINEAR),
    **dict.fromkeys(("Relu", "Clip"), Kind.ACTIVATION),
    **dict.fromkeys(("MaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze"), Kind.SAME_SCALE),
    **dict.fromkeys(("Slice", "Gather", "Expand", "Resize"), Kind.SAME_SCALE),
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "ReduceMean"), Kind.AVERAGE),
    "Add": Kind.ADDITION,
    "Mul": Kind.GATE,
    "Concat": Kind.CONCATENATION,
}
# Of one tensor, value by value: what activation functions are written with.
ELEMENTWISE = frozenset(
    {
        *("Sigmoid", "HardSigmoid", "Tanh", "Erf", "Softplus", "Clip", "Relu", "Exp", "Log", "Neg", "Pow", "Sqrt"),
        *("Add", "Sub", "Mul", "Div", "Min", "Max", "Cast"),
    }
)
_LARGEST_KERNEL = {"Conv": 5, "ConvTranspose": 4}  # dimensions of a weight: 3-D convolutions, 2-D transposed ones


def kind_of(graph: OnnxGraph, node: onnx.NodeProto) -> Kind:
    """The kind by operator, attributes and constants; whether its inputs are floats is not looked at."""
    kind = _KINDS.get(node.op_type, Kind.OTHER) if node.domain in DOMAINS else Kind.OTHER
    if kind is Kind.CONVOLUTION:
        return kind if _weight_rank(graph, node) in range(3, _LARGEST_KERNEL[node.op_type] + 1) else Kind.OTHER
    if kind is Kind.LINEAR:
        return kind if _weight_rank(graph, node) == 2 and not attribute(node, "transA", 0) else Kind.OTHER
    if node.op_type == "Gather":
        return kind if _picks_one(graph, node) else Kind.OTHER
    if node.op_type == "Pad":
        return Kind.SAME_SCALE if zero_padding(graph, node) is not None else Kind.OTHER
    if node.op_type == "Resize":
        mode = next((a.s for a in node.attribute if a.name == "mode"), b"nearest")
        return kind if mode in (b"nearest", b"linear") else Kind.OTHER
    return kind


def _weight_rank(graph: OnnxGraph, node: onnx.NodeProto) -> int:
    """Dimensions of a layer's own float weight; 0 where it has none."""
    weight, activation = node.input[1], node.input[0]
    if weight not in graph.constants or activation in graph.constants:
        return 0
    values = graph.array(weight)
    return values.ndim if values.dtype == np.float32 else 0


def _picks_one(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    """One index into a tensor, and not a table of embeddings looked up."""
    return node.input[1] in graph.constants and not graph.constants[node.input[1]].dims
