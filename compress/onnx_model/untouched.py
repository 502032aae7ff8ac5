"""What stays as it is in a quantized ONNX model though nobody asked for it, by name."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np

from edge.compress.onnx_model.operator_kinds import DOMAINS
from edge.compress.precision_plan import expanded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.dialects.onnx_graph import OnnxGraph
    from edge.compress.onnx_model.graph_operations import Layer
    from edge.compress.quantize.placement_rules import PlacementPlan

_MULTIPLYING = frozenset({"Conv", "ConvTranspose", "DeformConv", "Gemm", "MatMul", "Einsum", "LSTM", "GRU", "RNN"})


def weights_left(
    graph: OnnxGraph, layers: Sequence[Layer], plan: PlacementPlan, keep_float: Sequence[str] = ()
) -> dict[str, str]:
    """Operator by layer: what multiplies by float constants and has no INT8 rule, but for what is kept on purpose."""
    placed, globs = set(plan.weighted), expanded(tuple(keep_float))
    return {
        layer.node.name: layer.node.op_type
        for layer in layers
        if layer.operation not in placed
        and layer.node.op_type in _MULTIPLYING
        and any(name in graph.constants and graph.array(name).dtype == np.float32 for name in layer.node.input[:3])
        and not any(fnmatchcase(layer.node.name, glob) for glob in globs)
    }


def custom_operators(graph: OnnxGraph) -> dict[str, str]:
    """Operator behind its domain by layer, of every operator that is not ONNX's own."""
    nodes = (node for node in graph.nodes if node.domain not in DOMAINS)
    return {node.name: f"{node.domain}::{node.op_type}" for node in nodes}
