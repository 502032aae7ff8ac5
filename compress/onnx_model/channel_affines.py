"""Batch norms, and products and sums with one constant a channel, folded into the convolution before them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.compress.dialects.onnx_graph import OnnxGraph, attribute

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

Affine = tuple["NDArray[np.float64]", "NDArray[np.float64]"]  # factors and shifts, one a channel
_CONVOLUTIONS = ("Conv", "ConvTranspose")


def fold_affines(graph: OnnxGraph) -> int:
    """Folds what can be folded, in place, and says how many nodes that were."""
    folded = 0
    while (found := _next_fold(graph)) is not None:
        convolution, node, (factors, shifts) = found
        _scale_weights(graph, convolution, factors, shifts)
        convolution.output[0] = node.output[0]  # of the two names the one that others read
        graph.nodes.remove(node)
        folded += 1
    return folded


def _next_fold(graph: OnnxGraph) -> tuple[onnx.NodeProto, onnx.NodeProto, Affine] | None:
    readers = graph.readers()
    for convolution in graph.nodes:
        if convolution.op_type not in _CONVOLUTIONS or not _has_own_weights(graph, convolution):
            continue
        result = convolution.output[0]
        users = readers.get(result, [])
        if len(users) != 1 or result in graph.outputs or result in graph.captured:
            continue
        affine = _affine(graph, users[0], result, _channels(graph, convolution))
        if affine is not None:
            return convolution, users[0], affine
    return None


def _has_own_weights(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    weights = [name for name in node.input[1:] if name]
    floats = all(name in graph.constants and graph.array(name).dtype == np.float32 for name in weights)
    return floats and (node.op_type == "Conv" or attribute(node, "group", 1) == 1)


def _channels(graph: OnnxGraph, node: onnx.NodeProto) -> int:
    return int(graph.constants[node.input[1]].dims[0 if node.op_type == "Conv" else 1])


def _affine(graph: OnnxGraph, node: onnx.NodeProto, result: str, channels: int) -> Affine | None:
    if node.op_type == "BatchNormalization":
        return _batch_norm(graph, node, result)
    if node.op_type not in ("Mul", "Add"):
        return None
    others = [name for name in node.input if name != result]
    rank = len(graph.constants[others[0]].dims) if len(others) == 1 and others[0] in graph.constants else 0
    if not rank or graph.array(others[0]).dtype != np.float32:
        return None
    values = _per_channel(graph.array(others[0]), _weight_rank(graph, result), channels)
    if values is None:
        return None
    return (values, np.zeros(channels)) if node.op_type == "Mul" else (np.ones(channels), values)


def _batch_norm(graph: OnnxGraph, node: onnx.NodeProto, result: str) -> Affine | None:
    parts = node.input[1:5]
    if node.input[0] != result or any(name not in graph.constants for name in parts) or any(node.output[1:]):
        return None
    scale, bias, mean, variance = (graph.array(name).astype(np.float64) for name in parts)
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
    factors = scale / np.sqrt(variance + epsilon)
    return factors, bias - mean * factors


def _weight_rank(graph: OnnxGraph, result: str) -> int:
    return len(graph.constants[graph.producers()[result].input[1]].dims)


def _per_channel(values: NDArray[Any], rank: int, channels: int) -> NDArray[np.float64] | None:
    """`[C, 1, 1]` or `[1, C, 1, 1]` as `[C]`; None for what has another value for another place or sample."""
    if values.ndim > rank:
        return None
    shape = (1,) * (rank - values.ndim) + values.shape
    plain = shape[1] == channels and all(size == 1 for axis, size in enumerate(shape) if axis != 1)
    return values.reshape(channels).astype(np.float64) if plain else None


def _scale_weights(graph: OnnxGraph, node: onnx.NodeProto, factors: NDArray[Any], shifts: NDArray[Any]) -> None:
    weights = graph.array(node.input[1])
    axis = 0 if node.op_type == "Conv" else 1
    along = [len(factors) if dimension == axis else 1 for dimension in range(weights.ndim)]
    bias = graph.array(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(len(factors))
    scaled = (weights * factors.reshape(along)).astype(np.float32)
    shifted = (bias * factors + shifts).astype(np.float32)
    node.input[:] = [node.input[0], graph.add_constant(scaled), graph.add_constant(shifted)]
