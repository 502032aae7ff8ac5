"""Linear layers on one vector, written as 1x1 convolutions.

The two are the same sums. But TensorRT's integer kernels for convolutions are on every device, those for matrix
products are not: a DLA has none, and TensorRT-RTX refuses FP32 products on compute capability 7.5. The last layers of
many models are of this kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.compress.dialects.float_results import inferred_shapes
from edge.compress.dialects.onnx_graph import OnnxGraph, attribute, make_node

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

Shapes = dict[str, tuple[int, ...]]
Nodes = dict[str, "onnx.NodeProto"]
_RESHAPING = ("Reshape", "Flatten")
_ACTIVATIONS = ("Relu", "Clip")  # what compilers fuse into a convolution, where nothing stands between


def write_vector_linears(graph: OnnxGraph) -> None:
    """Rewrites every quantized Gemm whose input is one row, in place."""
    shapes = inferred_shapes(graph)
    for node in [n for n in graph.nodes if n.op_type == "Gemm"]:
        makers = graph.producers()  # anew, for the layer before this one may be a convolution by now
        if _is_quantized_row(graph, node, makers, shapes):
            graph.nodes.remove(node)
            graph.nodes.extend(_convolution(graph, node, makers, shapes))


def _is_quantized_row(graph: OnnxGraph, node: onnx.NodeProto, makers: Nodes, shapes: Shapes) -> bool:
    activation, weight = (makers.get(name) for name in node.input[:2])
    if activation is None or weight is None or {activation.op_type, weight.op_type} != {"DequantizeLinear"}:
        return False
    quantize = makers.get(activation.input[0])
    if quantize is None or quantize.op_type != "QuantizeLinear" or weight.input[0] not in graph.constants:
        return False
    plain = all(a.f == 1.0 for a in node.attribute if a.name in ("alpha", "beta"))
    layout = attribute(node, "transB", 0) == 1 and not attribute(node, "transA", 0)
    return plain and layout and shapes.get(node.input[0], ())[:1] == (1,) and _bias(graph, node) is not None


def _bias(graph: OnnxGraph, node: onnx.NodeProto) -> list[str] | None:
    """The bias as a convolution takes it, one value an output; None where there is one that cannot be written so."""
    name = node.input[2] if len(node.input) > 2 else ""
    if name and name not in graph.constants:
        return None
    outputs = graph.constants[graph.producers()[node.input[1]].input[0]].dims[0]
    return [graph.add_constant(np.broadcast_to(graph.array(name), (1, outputs))[0])] if name else []


def _convolution(graph: OnnxGraph, node: onnx.NodeProto, makers: Nodes, shapes: Shapes) -> list[onnx.NodeProto]:
    weight = makers[node.input[1]]
    levels = graph.array(weight.input[0])
    kernel, sums = graph.fresh("kernel"), graph.fresh("sums")
    steps, values = _as_map(graph, node, makers, shapes)
    constant = graph.add_constant(levels[:, :, None, None])
    steps.append(make_node("DequantizeLinear", [constant, *weight.input[1:]], kernel, axis=0))
    convolution = make_node("Conv", [values, kernel, *(_bias(graph, node) or [])], sums)
    convolution.name = node.name
    steps.append(convolution)
    result, output = sums, node.output[0]
    activation = _activation(graph, output)
    if activation is not None:
        graph.nodes.remove(activation)
        result, output = graph.fresh("active"), activation.output[0]
        activation.input[0], activation.output[0] = sums, result
        steps.append(activation)
    shapes[result] = (1, len(levels), 1, 1)
    return [*steps, make_node("Reshape", [result, graph.add_constant(np.array([1, len(levels)], np.int64))], output)]


def _activation(graph: OnnxGraph, name: str) -> onnx.NodeProto | None:
    """The activation function of a layer, where nothing else reads the layer's result."""
    users = graph.readers().get(name, [])
    if name in graph.outputs or len(users) != 1 or users[0].op_type not in _ACTIVATIONS:
        return None
    return users[0] if all(i in graph.constants for i in users[0].input[1:] if i) else None


def _as_map(graph: OnnxGraph, node: onnx.NodeProto, makers: Nodes, shapes: Shapes) -> tuple[list[onnx.NodeProto], str]:
    """The row as `[1, C, 1, 1]`, before its Q: what lies between a DQ and its layer may keep the two apart."""
    quantize = makers[makers[node.input[0]].input[0]]
    row, scale = quantize.input[0], list(quantize.input[1:])
    channels = shapes[node.input[0]][1]
    before = makers.get(row)
    wide = before.input[0] if before is not None and before.op_type in _RESHAPING else row
    source = makers.get(wide)
    if shapes.get(wide) == (1, channels, 1, 1):
        if source is None or source.op_type != "DequantizeLinear":
            return _requantized(wide, scale, graph)
        if _equal(graph, source.input[1:], scale):
            return [], wide
    # Between a DQ and a Q of another scale something stands: ONNX Runtime makes one of two that touch.
    reshaped = graph.fresh("map")
    steps, values = _requantized(reshaped, scale, graph)
    shape = graph.add_constant(np.array([1, channels, 1, 1], np.int64))
    return [make_node("Reshape", [wide, shape], reshaped), *steps], values


def _requantized(tensor: str, scale: list[str], graph: OnnxGraph) -> tuple[list[onnx.NodeProto], str]:
    levels, values = graph.fresh("levels"), graph.fresh("values")
    return [
        make_node("QuantizeLinear", [tensor, *scale], levels),
        make_node("DequantizeLinear", [levels, *scale], values),
    ], values


def _equal(graph: OnnxGraph, first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two scales with their zero points hold the same, under whatever names."""
    return all(
        a == b or bool(np.array_equal(graph.array(a), graph.array(b))) for a, b in zip(first, second, strict=True)
    )
