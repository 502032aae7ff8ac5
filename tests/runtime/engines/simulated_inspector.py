"""TensorRT's engine inspector without TensorRT: JSON in the documented form, made from the ONNX graph behind a plan."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from edge.graph.layers import GraphLayer

LayerInformationFormat = Enum("LayerInformationFormat", ["ONELINE", "JSON"])
Telling = Literal["details", "layer names", "own names", "nothing", "no json"]

# What kernels are called, and how formats and weights are described, by what a layer computes in.
_KERNELS = {
    "int8": "sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32_nchw_vect_c_32kcrs_vect_c_32_nchw_vect_c_32",
    "fp16": "sm80_xmma_fprop_implicit_gemm_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize64x64x64_stage4",
    "fp32": "sm80_xmma_fprop_implicit_gemm_indexed_tf32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x128x16",
}
_FORMATS = {
    "int8": "Thirty-two wide channel vectorized row major Int8 format",
    "fp16": "Channel major FP16 format where channel % 8 == 0",
    "fp32": "Row major linear FP32",
}
_WEIGHTS = {"int8": "Int8", "fp16": "Half", "fp32": "Float"}


@dataclass
class Inspection:
    """What the inspectors of one TensorRT say.

    Attributes:
        tells: `details` is the truth; `layer names` is what an engine says that was built without details, `own names`
            one whose layers were fused under names of TensorRT's own.
        wide: Layers that are said to compute in FP32, whatever the graph says.
        asked: How often one was asked.
    """

    tells: Telling = "details"
    wide: set[str] = field(default_factory=set)
    asked: int = 0

    def information(self, graph: bytes) -> str:
        """Of the engine that was made from a graph."""
        import onnx

        from edge.graph.layers import graph_layers

        self.asked += 1
        if self.tells == "no json":
            return "no engine information"
        layers = graph_layers(onnx.load_from_string(graph)) if self.tells != "nothing" else ()
        if self.tells == "layer names":
            return json.dumps({"Layers": [layer.name for layer in layers], "Bindings": []})
        described = [self._describe(layer, number) for number, layer in enumerate(layers)]
        return json.dumps({"Layers": [_reformat(), *described], "Bindings": []})

    def _describe(self, layer: GraphLayer, number: int) -> dict[str, Any]:
        precision = "fp32" if layer.name in self.wide else layer.precision
        named = self.tells != "own names"
        told: dict[str, Any] = {
            "Name": f"{layer.name} + {layer.name}.act" if named else f"__myl_Fused_{number}",
            "LayerType": "CaskConvolution" if layer.weighted else "kgen",
            "Inputs": [{"Name": f"in {number}", "Location": "Device", "Format/Datatype": _FORMATS[precision]}],
            "Outputs": [{"Name": layer.output, "Location": "Device", "Dimensions": list(layer.shape)}],
            "StreamId": 0,
            "Metadata": f"[ONNX Layer: {layer.name}]" if named else "",
        }
        if layer.weighted:
            told |= {
                "Weights": {"Type": _WEIGHTS[precision], "Count": layer.weights},
                "TacticName": _KERNELS[precision],
                "TacticValue": "0xd3f592fae61c7986",
            }
        return told


def _reformat() -> dict[str, Any]:
    """The first layer of most engines, which computes nothing."""
    return {
        "Name": "Reformatting CopyNode for Input Tensor 0 to all",
        "LayerType": "Reformat",
        "Inputs": [{"Name": "x", "Location": "Device", "Format/Datatype": _FORMATS["fp32"]}],
        "Outputs": [{"Name": "y", "Location": "Device", "Format/Datatype": _FORMATS["int8"]}],
        "ParameterType": "Reformat",
        "Metadata": "",
    }


class Inspector:
    """Of one engine; like TensorRT's own it tells less where it is given no context."""

    def __init__(self, inspection: Inspection, graph: bytes) -> None:
        self._inspection, self._graph = inspection, graph
        self.execution_context: Any = None

    def get_engine_information(self, form: LayerInformationFormat) -> str:
        """All layers."""
        if form is not LayerInformationFormat.JSON or self.execution_context is None:
            return "asked for something else than the code reads"
        return self._inspection.information(self._graph)
