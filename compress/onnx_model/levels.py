"""Writes a plan into the graph: levels and scales of weights, one Q/DQ pair for each INT8 tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.compress.dialects.onnx_graph import OnnxGraph, attribute, make_node
from edge.compress.onnx_model.scales import weight_scales
from edge.compress.quantize.placement_rules import WEIGHTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import onnx
    from numpy.typing import NDArray

    from edge.compress.onnx_model.graph_operations import Layer
    from edge.compress.quantize.placement_rules import PlacementPlan


def write_levels(
    graph: OnnxGraph, layers: Iterable[Layer], plan: PlacementPlan, scales: Mapping[str, float], largest_level: int
) -> None:
    """Puts Q/DQ pairs into a graph, in place.

    Args:
        graph: With fixed shapes.
        layers: Of this graph.
        plan: Of these layers.
        scales: Of the plan's tensors.
        largest_level: Of weights: 127, or 63 with 7 bits.
    """
    nodes = {id(layer.operation): layer for layer in layers}
    for operation in plan.weighted:
        _quantize_weight(graph, nodes[id(operation)].node, largest_level)
    for name in plan.tensors:
        readers = [nodes[id(operation)] for operation in plan.readers(name)]
        if readers:
            values = _quantized(graph, name, np.float32(scales[name]))
            for layer in readers:
                _read_instead(layer, name, values)


def quantized_weight(weight: NDArray[Any], scales: NDArray[np.float32], largest_level: int) -> NDArray[np.int8]:
    """Levels of a weight whose scales lie on axis 0, or are one for all."""
    steps = scales.reshape(-1, *[1] * (weight.ndim - 1)) if scales.size > 1 else scales.reshape(())
    levels = np.clip(np.rint(weight / steps), -largest_level, largest_level)
    return np.asarray(levels, np.int8)


def is_transposed(node: onnx.NodeProto) -> bool:
    """Whether a linear layer's weight is stored as `[inputs, outputs]`."""
    return node.op_type == "MatMul" or (node.op_type == "Gemm" and not attribute(node, "transB", 0))


def _quantize_weight(graph: OnnxGraph, node: onnx.NodeProto, largest_level: int) -> None:
    weight = graph.array(node.input[1])
    weight = weight.T if is_transposed(node) else weight
    whole = node.op_type == "ConvTranspose"
    scales = weight_scales(weight, largest_level, whole=whole)
    levels = graph.add_constant(quantized_weight(weight, scales, largest_level))
    scales = scales.reshape(()) if whole else scales
    constants = [levels, graph.add_constant(scales), graph.add_constant(np.zeros(scales.shape, np.int8))]
    values = graph.fresh("weight")
    graph.nodes.append(make_node("DequantizeLinear", constants, values, **({} if whole else {"axis": 0})))
    if node.op_type == "MatMul":  # the dialects look for weights [outputs, inputs] behind a transposition
        moved = graph.fresh("moved")
        graph.nodes.append(make_node("Transpose", [values], moved, perm=[1, 0]))
        values = moved
    elif node.op_type == "Gemm" and is_transposed(node):
        kept = [type(a).FromString(a.SerializeToString()) for a in node.attribute if a.name != "transB"]
        del node.attribute[:]
        node.attribute.extend([*kept, *make_node("Gemm", [], "", transB=1).attribute])
    node.input[1] = values


def _quantized(graph: OnnxGraph, name: str, scale: np.float32) -> str:
    """The name of a tensor's values after INT8; of a constant the levels are written."""
    constants = [graph.add_constant(np.array(scale, np.float32)), graph.add_constant(np.array(0, np.int8))]
    values = graph.fresh("values")
    if name in graph.constants:
        rounded = np.clip(np.rint(graph.array(name) / scale), -128, 127).astype(np.int8)
        levels = graph.add_constant(rounded)
    else:
        levels = graph.fresh("levels")
        graph.nodes.append(make_node("QuantizeLinear", [name, *constants], levels))
    graph.nodes.append(make_node("DequantizeLinear", [levels, *constants], values))
    return values


def _read_instead(layer: Layer, name: str, values: str) -> None:
    """A layer's weight and bias stay what they are, though another layer may read the same constant as INT8."""
    node = layer.node
    last = 1 if layer.operation.kind in WEIGHTED else len(node.input)
    node.input[:last] = [values if read == name else read for read in node.input[:last]]
