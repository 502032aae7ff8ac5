"""Declared precision of an ONNX graph by its own Q/DQ pairs: what it would declare to a compiler that is not here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compile.precision.layer_precision import LayerPrecision, PrecisionReport
from edge.graph.layers import weighted_layers

if TYPE_CHECKING:
    import onnx


def graph_precision(model: onnx.ModelProto) -> PrecisionReport:
    """Reads convolutions, linear layers and products of matrices.

    Raises:
        ModelError: Shapes are not fixed.
    """
    layers = tuple(
        LayerPrecision(
            name=layer.name,
            macs=layer.macs,
            precision=layer.precision,
            reason=layer.reason,
            has_weight=layer.weights > 0,
        )
        for layer in weighted_layers(model)
    )
    return PrecisionReport(evidence="declared", source="the ONNX graph", layers=layers)
