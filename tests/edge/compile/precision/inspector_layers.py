"""What TensorRT's engine inspector prints of an engine, in the forms of its versions.

Written after the documentation ("Engine Inspector", and "Migrating IEngineInspector Usage from TensorRT 10.x to 11.x").
"""

from __future__ import annotations

import json
from typing import Any

ROWS_OF_32 = "Thirty-two wide channel vectorized row major Int8 format."
I8_CONVOLUTION = (
    "sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32_nchw_vect_c_32kcrs_vect_c_32_nchw_vect_c_32_tilesize96x64"
)
I8_GEMM = "sm80_xmma_gemm_i8f16_i8i32_f16_tn_n_tilesize64x64x64_stage5_warpsize2x2x1_tensor16x8x32"
F16_GEMM = "sm80_xmma_gemm_f16f16_f16f32_f16_tn_n_tilesize64x64x32_stage6_warpsize2x2x1_tensor16x8x16"
F32_CONVOLUTION = "sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckcrs_nhwc_tilesize128x64x16"


def engine(*layers: Any) -> str:
    """The JSON of a whole engine."""
    return json.dumps({"Layers": list(layers), "Bindings": ["x", "y"]})


def tensor(described: str, name: str = "t") -> dict[str, Any]:
    """A tensor as versions up to 10 have it."""
    return {"Name": name, "Dimensions": [1, 32, 8, 8], "Format/Datatype": described}


def split_tensor(datatype: str, layout: str) -> dict[str, Any]:
    """A tensor as version 11 has it."""
    return {"Name": "t", "Dimensions": [1, 32, 8, 8], "Format": layout, "Datatype": datatype}


def fused_from(*names: str, between: str = "\x1e") -> str:
    """Metadata that names ONNX layers."""
    return between.join(f"[ONNX Layer: {name}]" for name in names)


def convolution(
    name: str, read: str = ROWS_OF_32, stored: str | None = "Int8", tactic: str = I8_CONVOLUTION, **more: Any
) -> dict[str, Any]:
    """A convolution as versions 8.6 to 10 have it."""
    weights = {} if stored is None else {"Weights": {"Type": stored, "Count": 9216}}
    return {
        "Name": name,
        "LayerType": "CaskConvolution",
        "Inputs": [tensor(read)],
        "Outputs": [tensor(read)],
        "ParameterType": "Convolution",
        "Kernel": [3, 3],
        "OutMaps": 32,
        **weights,
        "Bias": {"Type": "Float", "Count": 32},
        "TacticName": tactic,
        "TacticValue": "0x11bde0e1d9f2f35d",
        **more,
    }


def kernel(kind: str, metadata: str, *read: str, tactic: str = "", name: str = "") -> dict[str, Any]:
    """A kernel of the compiler behind transformers and other graphs: `gemm`, `fusion`, `kgen`."""
    return {
        "Name": name or f"__myl_{kind}_myl0_4",
        "LayerType": kind,
        "Inputs": [tensor(described) for described in read],
        "Outputs": [tensor(read[0] if read else "Half")],
        "TacticName": tactic or f"__myl_{kind}_0xf2543c36ff9f104bbb1655b0183afb47",
        "StreamId": 0,
        "Metadata": metadata,
    }
