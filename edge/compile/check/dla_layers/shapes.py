"""What holds for every layer on the DLA: four dimensions, fixed, and none too large."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.graph.nodes import GraphNode
    from edge.graph.tensors import Shape

DlaPrecision = Literal["fp16", "int8"]
MAX_BATCH = 4096
MAX_EXTENT = 8192


def extents(node: GraphNode) -> str:
    """Why the extents of its tensors do not fit, in words; empty where they do."""
    for name in (*data_inputs(node), *node.proto.output[:1]):
        shape = node.shape(name)
        if shape is None:
            return f"the shape of '{name}' is not fixed"
        if prod(shape[:-3]) > MAX_BATCH:
            return f"its batch of {prod(shape[:-3])} is larger than {MAX_BATCH}"
        if any(extent > MAX_EXTENT for extent in shape[-3:]):
            return f"it has an extent of {max(shape[-3:])}, more than {MAX_EXTENT}"
    return ""


def data_inputs(node: GraphNode) -> list[str]:
    """Its inputs that are not known when the engine is built."""
    return [name for name in node.proto.input if name and not node.is_constant(name)]


def shape_of(node: GraphNode, name: str) -> Shape:
    """Of a tensor whose shape is known."""
    return node.shape(name) or ()


def four_dimensions(node: GraphNode) -> str:
    """The layers of the DLA know tensors of batch, channels, height and width only."""
    ranks = [len(shape_of(node, name)) for name in (*data_inputs(node), node.proto.output[0])]
    other = next((rank for rank in ranks if rank != 4), None)
    return "" if other is None else f"one of its tensors has {other} dimensions; the DLA takes four"


def within(what: str, values: Sequence[int], low: int, high: int) -> str:
    """What is said of a parameter that has a value outside its range; empty where all are inside."""
    outside = [value for value in values if not low <= value <= high]
    return f"its {what} of {outside[0]} is not within {low} to {high}" if outside else ""


def two_ints(node: GraphNode, name: str, default: int) -> list[int]:
    """A parameter of height and width."""
    return list(node.attribute(name) or [default, default])


def listed(values: Sequence[int]) -> str:
    """Extents, or a choice of numbers, in words."""
    return " x ".join(str(value) for value in values)
