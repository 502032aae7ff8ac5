"""Layers on the DLA that compute value by value: activations, arithmetic, comparisons, scales and norms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.compile.check.dla_layers.shapes import DlaPrecision, four_dimensions, listed, shape_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.graph.nodes import GraphNode

_CLIP = (1, 127)
_LRN_WINDOWS = (3, 5, 7, 9)


def activation(node: GraphNode, _precision: DlaPrecision) -> str:
    """ReLU, sigmoid and tanh."""
    return four_dimensions(node)


def leaky(node: GraphNode, _precision: DlaPrecision) -> str:
    """ReLU with a slope that is not negative."""
    negative = float(node.attribute("alpha", 0.01)) < 0
    return four_dimensions(node) or ("its slope is negative" if negative else "")


def clip(node: GraphNode, _precision: DlaPrecision) -> str:
    """From 0 to a constant between 1 and 127."""
    low, high = _bound(node, 1, "min"), _bound(node, 2, "max")
    if low is None or high is None:
        return "its limits are not constants"
    if low != 0 or not _CLIP[0] <= high <= _CLIP[1]:
        return f"it clips to {low:g} and {high:g}; the DLA clips to 0 and {_CLIP[0]} to {_CLIP[1]}"
    return four_dimensions(node)


def slopes(node: GraphNode, _precision: DlaPrecision) -> str:
    """Parametric ReLU: constant slopes of the rank of the input."""
    if not node.is_constant(node.input(1)):
        return "its slopes are not a constant"
    same = len(shape_of(node, node.input(1))) == len(shape_of(node, node.input(0)))
    return four_dimensions(node) or ("" if same else "its slopes have fewer dimensions than its input")


def elementwise(node: GraphNode, _precision: DlaPrecision) -> str:
    """Addition, subtraction, product, maximum and minimum."""
    return four_dimensions(node) or _broadcast(node)


def division(node: GraphNode, precision: DlaPrecision) -> str:
    """By INT8, or by a constant of one value."""
    constants = [node.values(name) for name in node.proto.input if node.is_constant(name)]
    if any(not _is_uniform(values) for values in constants):
        return "it divides by, or is, a constant of different values"
    if precision != "int8" and not node.is_constant(node.input(1)):
        return "its divisor is neither a constant nor INT8"
    return elementwise(node, precision)


def power(node: GraphNode, precision: DlaPrecision) -> str:
    """In INT8, with a constant of one value."""
    constants = [node.values(name) for name in node.proto.input if node.is_constant(name)]
    if len(constants) != 1 or not _is_uniform(constants[0]):
        return "one side must be a constant of one value"
    return "it is in INT8 only" if precision != "int8" else elementwise(node, precision)


def comparison(node: GraphNode, precision: DlaPrecision) -> str:
    """In INT8, and cast at once."""
    if precision != "int8":
        return "comparisons are in INT8 only"
    readers = node.readers()
    if not readers or any(reader.op_type != "Cast" for reader in readers):
        return "its result does not go to a cast alone"
    return elementwise(node, precision)


def batch_norm(node: GraphNode, _precision: DlaPrecision) -> str:
    """As a scale and a shift of each channel."""
    fixed = all(node.is_constant(name) for name in node.proto.input[1:])
    return four_dimensions(node) if fixed else "its statistics are not constants"


def unary(node: GraphNode, precision: DlaPrecision) -> str:
    """The absolute value; sine, cosine and arc tangent in INT8."""
    if node.operator != "Abs" and precision != "int8":
        return "it is in INT8 only"
    return four_dimensions(node)


def normalization(node: GraphNode, _precision: DlaPrecision) -> str:
    """Local response normalization over 3, 5, 7 or 9 channels."""
    size = int(node.attribute("size", 0))
    return four_dimensions(node) or ("" if size in _LRN_WINDOWS else f"its window of {size} is none of 3, 5, 7 and 9")


def _bound(node: GraphNode, index: int, name: str) -> float | None:
    """A limit of Clip, an attribute before opset 11; without it there is none, which the DLA does not have either."""
    fallback = float(np.finfo(np.float32).min if name == "min" else np.finfo(np.float32).max)
    if not node.input(index):
        return float(node.attribute(name, fallback))
    values = node.values(node.input(index))
    return float(values.reshape(-1)[0]) if values is not None and values.size == 1 else None


def _broadcast(node: GraphNode) -> str:
    """One operand may be one value, or one a channel; constants, which become a scale layer, may lack dimensions."""
    result = shape_of(node, node.proto.output[0])
    for name in node.proto.input:
        shape = shape_of(node, name)
        padded = (1,) * (4 - len(shape)) + shape if node.is_constant(name) else shape
        batches = {result[:1], (1,)} if node.is_constant(name) else {result[:1]}
        spread = {result[1:], (result[1], 1, 1), (1, 1, 1)}
        if padded[:1] not in batches or padded[1:] not in spread:
            return f"it broadcasts {listed(shape)} to {listed(result)}; the DLA spreads one value, or one a channel"
    return ""


def _is_uniform(values: NDArray[Any] | None) -> bool:
    return values is not None and values.size > 0 and bool((values == values.reshape(-1)[0]).all())
