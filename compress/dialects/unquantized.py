"""Layers that stay float though nobody asked for it: the placement has no rule for them, so they are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compress.dialects.onnx_graph import OnnxGraph
from edge.compress.precision_plan import PrecisionPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

_PLANE = 4  # dimensions of the largest weight that is quantized in a transposed convolution: a 2-D one's


def left_float(model: onnx.ModelProto, keep_float: Sequence[str] = ()) -> dict[str, str]:
    """Transposed 3-D convolutions of a quantized graph, without those that are kept in float on purpose.

    Args:
        model: A graph with Q/DQ pairs, its nodes named by their modules' paths.
        keep_float: Globs on module paths, as in `QuantizeConfig`.

    Returns:
        Operator by layer, in the order of the graph.
    """
    graph, plan = OnnxGraph(model), PrecisionPlan.int8(tuple(keep_float))
    return {n.name: n.op_type for n in graph.nodes if _has_no_rule(graph, n) and plan.of(n.name) == "int8"}


def _has_no_rule(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    if node.op_type != "ConvTranspose" or node.input[1] not in graph.constants:
        return False
    return len(graph.constants[node.input[1]].dims) > _PLANE
