"""Graphs that look quantized and are not: what a declaration of precision must refuse."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper


def with_weights_only(s8: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph without the Q/DQ pairs of its activations: weights stay INT8, layers compute in float."""
    graph = _copy(s8)
    constants = {t.name for t in graph.graph.initializer}
    makers = {name: node for node in graph.graph.node for name in node.output}
    source: dict[str, str] = {}
    for node in graph.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] not in constants:
            source[node.output[0]] = makers[node.input[0]].input[0]
    for node in graph.graph.node:
        node.input[:] = [_behind(name, source) for name in node.input]
    kept = [n for n in graph.graph.node if not _is_activation_pair(n, constants)]
    del graph.graph.node[:]
    graph.graph.node.extend(kept)
    return graph


def _behind(name: str, source: dict[str, str]) -> str:
    while name in source:
        name = source[name]
    return name


def with_folded_weights(s8: onnx.ModelProto, layer: str) -> onnx.ModelProto:
    """The same graph with the weight of one layer as an FP32 constant, as careless constant folding leaves it."""
    graph = _copy(s8)
    constants = {t.name: t for t in graph.graph.initializer}
    makers = {name: node for node in graph.graph.node for name in node.output}
    node = next(n for n in graph.graph.node if n.name == layer)
    dequantize = makers[node.input[1]]
    levels, scales = (numpy_helper.to_array(constants[name]) for name in dequantize.input[:2])
    values = levels.astype(np.float32) * scales.reshape(-1, *[1] * (levels.ndim - 1))
    graph.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), "folded"))
    node.input[1] = "folded"
    return graph


def _is_activation_pair(node: onnx.NodeProto, constants: set[str]) -> bool:
    if node.op_type == "QuantizeLinear":
        return True
    return node.op_type == "DequantizeLinear" and node.input[0] not in constants


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
