"""Declared precision: read from the network that is handed to TensorRT's builder, by whichever road it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.compile.precision.layer_precision import LayerPrecision, PrecisionReport
from edge.compile.tensorrt.network_layers import NetworkGraph, NetworkLayer, read_network, second_input

if TYPE_CHECKING:
    from edge.compile.tensorrt.network import ParsedNetwork
    from edge.compress.precision_plan import Precision

_PRECISIONS: dict[str, Precision] = {
    "FLOAT": "fp32",
    "HALF": "fp16",
    "BF16": "bf16",
    "INT8": "int8",
    "FP8": "fp8",
    "INT4": "int4",
}
ACTIVATION, WEIGHT = "activation", "weight"


def declared_precision(parsed: ParsedNetwork, fp16_allowed: bool = False) -> PrecisionReport:
    """What each convolution, linear layer and product of matrices is declared to compute in.

    A layer counts as INT8 only where its activation and its weight both come out of a dequantize layer that reads
    INT8: a graph whose weights alone are quantized computes in float, and so does one whose weights were folded.

    Args:
        parsed: The network.
        fp16_allowed: In the untyped regime, whether layers without Q/DQ may run in FP16.
    """
    graph = read_network(parsed)
    counted = [layer for layer in graph.layers if layer.macs]
    wide: Precision | None = "fp16" if fp16_allowed and not parsed.typed else None
    layers = tuple(_describe(graph, layer, wide) for layer in counted)
    regime = "typed" if parsed.typed else "untyped"
    return PrecisionReport(evidence="declared", source=f"{parsed.library.title}, {regime} network", layers=layers)


def _describe(graph: NetworkGraph, layer: NetworkLayer, wide: Precision | None) -> LayerPrecision:
    sides = _sides(graph, layer)
    missing = [side for side in (ACTIVATION, WEIGHT) if not _is_dequantized(graph, sides.get(side))]
    typed = _PRECISIONS.get(layer.layer.get_output(0).dtype.name, "other")
    return LayerPrecision(
        name=layer.name,
        macs=layer.macs,
        precision=(wide or typed) if missing else "int8",
        reason=f"its {missing[0]} is not dequantized INT8" if len(missing) == 1 else "",
        has_weight=WEIGHT not in sides or _is_constant(graph, sides[WEIGHT]),
    )


def _sides(graph: NetworkGraph, layer: NetworkLayer) -> dict[str, Any]:
    """What a layer multiplies, by its part; a kernel that lies inside the layer is no tensor and is left out."""
    activation, other = layer.layer.get_input(0), second_input(layer.layer)
    if other is None:
        return {ACTIVATION: activation}
    if layer.kind == "MATRIX_MULTIPLY" and _is_constant(graph, activation) and not _is_constant(graph, other):
        activation, other = other, activation
    return {ACTIVATION: activation, WEIGHT: other}


def _is_dequantized(graph: NetworkGraph, tensor: Any) -> bool:
    maker = graph.behind(tensor) if tensor is not None else None
    while maker is not None and maker.kind == "CAST":
        maker = graph.behind(maker.layer.get_input(0))
    return maker is not None and maker.kind == "DEQUANTIZE" and maker.layer.get_input(0).dtype.name == "INT8"


def _is_constant(graph: NetworkGraph, tensor: Any) -> bool:
    """Whether a tensor's values are in the network: a constant, or one that is only cast or dequantized."""
    maker = graph.behind(tensor)
    while maker is not None and maker.kind in ("CAST", "DEQUANTIZE", "QUANTIZE"):
        maker = graph.behind(maker.layer.get_input(0))
    return maker is not None and maker.kind == "CONSTANT"
