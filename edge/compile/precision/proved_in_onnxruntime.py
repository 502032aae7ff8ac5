"""Proved precision of ONNX Runtime: read from the graph that it made of ours for this processor."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import onnx

from edge.compile.precision.layer_precision import LayerPrecision, PrecisionReport
from edge.compress.dialects.kernels import INTEGER_KERNELS, optimized_graph
from edge.compress.dialects.onnx_graph import OnnxGraph
from edge.runtime.capabilities import require_module

if TYPE_CHECKING:
    from collections.abc import Iterable

# What ONNX Runtime adds to the names of nodes that it rewrote: to their own, or to that of what they make. The first is
# of layers that are cast, because there is no kernel of their type.
_CAST = "InsertedPrecisionFreeCast_"
_ADDED = re.compile(rf"^{_CAST}|^fused |_token_\d+$|_nchwc$|/\w+Fusion/?$")
_MULTIPLIES = re.compile(r"Conv|Gemm|MatMul")
# What is computed in the kernel of the layer before it.
_ABSORBED = frozenset({"Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "Tanh", "Add", "Identity"})


def optimized_precision(graph: bytes, declared: PrecisionReport) -> PrecisionReport:
    """What the layers of a graph became in ONNX Runtime on this machine.

    Args:
        graph: The ONNX file.
        declared: The same layers as the graph declares them: names and multiply-accumulates.

    Raises:
        ModelError: ONNX Runtime does not load the graph.
    """
    kernels = _by_name(optimized_graph(graph).graph.node)
    ends = _ends(OnnxGraph(onnx.load_model_from_string(graph)))
    found = (next((kernels[n] for n in (x.name, *ends.get(x.name, ())) if n in kernels), None) for x in declared.layers)
    layers = tuple(_prove(layer, node) for layer, node in zip(declared.layers, found, strict=True))
    version = require_module("onnxruntime").__version__
    return PrecisionReport(evidence="proved", source=f"ONNX Runtime {version}, CPU", layers=layers)


def _by_name(nodes: Iterable[onnx.NodeProto]) -> dict[str, onnx.NodeProto]:
    """Kernels that multiply, by their names without what was added and by the names of what they make."""
    kernels = [node for node in nodes if _MULTIPLIES.search(node.op_type)]
    by_output = {_plain(name): node for node in kernels for name in node.output if name}
    return {**by_output, **{_plain(node.name): node for node in kernels if node.name}}


def _ends(graph: OnnxGraph) -> dict[str, tuple[str, ...]]:
    """What each node makes, and what is made of that alone by nodes that its kernel may absorb, by the node's name."""
    readers, ends = graph.readers(), {}
    for node in graph.nodes:
        made = [node.output[0]]
        while len(after := readers.get(made[-1], [])) == 1 and after[0].op_type in _ABSORBED:
            made.append(after[0].output[0])
        ends[node.name or node.output[0]] = tuple(made)
    return ends


def _plain(name: str) -> str:
    while (shorter := _ADDED.sub("", name)) != name:
        name = shorter
    return name


def _prove(layer: LayerPrecision, node: onnx.NodeProto | None) -> LayerPrecision:
    if node is None:
        found = {"precision": "unknown", "reason": "the optimized graph names no kernel for it"}
    elif node.op_type in INTEGER_KERNELS:
        found = {"precision": "int8", "reason": ""}
    else:  # a float kernel: of the type that the layer has in the graph, unless that was cast
        cast = any(name.startswith(_CAST) for name in (node.name, *node.output))
        typed = "fp32" if cast or layer.precision == "int8" else layer.precision
        found = {"precision": typed, "reason": f"it runs in {node.op_type}"}
    return layer.model_copy(update=found)
