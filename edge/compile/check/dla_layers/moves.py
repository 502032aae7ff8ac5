"""Layers on the DLA that move or pick values: concatenations, slices, reshapes, the largest of many, and softmax."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from edge.compile.check.dla_layers.shapes import MAX_EXTENT, DlaPrecision, four_dimensions, shape_of, within

if TYPE_CHECKING:
    from edge.graph.nodes import GraphNode

_SOFTMAX_EXTENT = 1024


def concatenation(node: GraphNode, _precision: DlaPrecision) -> str:
    """Along the channels only, of two inputs or more."""
    axis, rank = node.attribute("axis", 1), len(shape_of(node, node.proto.output[0]))
    if len(node.proto.input) < 2:
        return "it has one input"
    if any(node.is_constant(name) for name in node.proto.input):
        return "one of its inputs is a constant"
    return four_dimensions(node) or ("" if axis % rank == 1 else "it concatenates along another axis than the channels")


def slicing(node: GraphNode, _precision: DlaPrecision) -> str:
    """With constant limits and steps of 1, and not of the batch."""
    if any(not node.is_constant(name) for name in node.proto.input[1:] if name):
        return "its limits are not constants"
    given, made = shape_of(node, node.input(0)), shape_of(node, node.proto.output[0])
    steps = node.values(node.input(4)) if node.input(4) else None
    if steps is not None and (steps != 1).any():
        return "its steps are not 1"
    return four_dimensions(node) or ("" if given[:1] == made[:1] else "it slices the batch")


def split(node: GraphNode, _precision: DlaPrecision) -> str:
    """As slices: not of the batch."""
    axis = node.attribute("axis", 0) % max(1, len(shape_of(node, node.input(0))))
    return four_dimensions(node) or ("it splits the batch" if axis == 0 else "")


def shuffle(node: GraphNode, _precision: DlaPrecision) -> str:
    """Reshapes and transposes: the batch stays where it is."""
    given, made = shape_of(node, node.input(0)), shape_of(node, node.proto.output[0])
    if four_dimensions(node):
        return four_dimensions(node)
    if node.operator == "Transpose":
        order = node.attribute("perm") or [3, 2, 1, 0]
        return "" if order[0] == 0 else "it moves the batch"
    if given[0] != made[0]:
        return "it changes the batch"
    maker = node.maker(node.input(0))
    beside = [*node.readers(), *([maker] if maker is not None else [])]
    near = any(other.op_type in ("Concat", "Slice", "Split") for other in beside)
    return "reshapes next to a slice or a concatenation stay on the GPU" if near else ""


def largest(node: GraphNode, _precision: DlaPrecision) -> str:
    """The maximum over any of channels, height and width."""
    if node.operator == "GlobalMaxPool":
        return four_dimensions(node)
    rank = len(shape_of(node, node.input(0)))
    axes = node.attribute("axes")
    if axes is None and node.input(1):
        values = node.values(node.input(1))
        axes = values.tolist() if values is not None else None
    if not axes:
        return "it reduces the batch"
    return four_dimensions(node) or ("it reduces the batch" if 0 in {axis % rank for axis in axes} else "")


def softmax(node: GraphNode, _precision: DlaPrecision) -> str:
    """Along one axis; a long one only where nothing but it and the batch is larger than 1."""
    shape = shape_of(node, node.input(0))
    axis = node.attribute("axis", -1 if node.opset >= 13 else 1) % max(1, len(shape))
    if four_dimensions(node):
        return four_dimensions(node)
    if axis == 0:
        return "it is along the batch"
    others = prod(extent for index, extent in enumerate(shape[1:], 1) if index != axis)
    return within("axis", [shape[axis]], 1, MAX_EXTENT if others == 1 else _SOFTMAX_EXTENT)
