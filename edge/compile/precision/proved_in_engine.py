"""Proved precision: what TensorRT's engine inspector says of a built engine, on the device that it was built for.

The inspector's JSON (TensorRT documentation, "Engine Inspector") names for each engine layer the ONNX layers that were
fused into it, the types of its tensors, the type of its weights and the kernel that was chosen. Up to TensorRT 10 a
tensor has `Format/Datatype`; TensorRT 11 splits that field (its migration guide, "IEngineInspector JSON Output").
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from edge.compile.precision.layer_precision import LayerPrecision, PrecisionReport
from edge.compile.tensorrt.network_layers import ONNX_LAYER
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edge.compress.precision_plan import Precision

_TORCH_LAYER = re.compile(r"\[[A-Z_]+\]-\[[^\]]*\]-\[([^\]]+?)/[^\]/]*\]")
# Kernels say what they multiply: i8i8_i8i32, int8, imma; f16f16, h884, h16816; bf16bf16; f32f32_tf32f32 is TF32.
_KERNELS: tuple[tuple[re.Pattern[str], Precision], ...] = (
    (re.compile(r"(?<![a-z0-9])(i8i8|i8f32|i8f16|int8|imma|i8816|i16832)|_i8i32", re.IGNORECASE), "int8"),
    (re.compile(r"(?<![a-z0-9])bf16", re.IGNORECASE), "bf16"),
    (re.compile(r"(?<![a-z0-9])(f16f16|h884|h1688|h16816|hmma|fp16)", re.IGNORECASE), "fp16"),
    (re.compile(r"(?<![a-z0-9])(f32f32|sgemm|scudnn)", re.IGNORECASE), "fp32"),
)
# Layers that only move or convert values carry the names of those that they serve.
_COPIES = frozenset({"reformat", "noop", "constant", "shuffle", "shapehosttodevice", "signal", "wait", "copy", "cast"})
_MULTIPLIES = re.compile(r"conv(?!ert)|gemm|matrix|matmul|fully|mha", re.IGNORECASE)
_WIDTHS: tuple[Precision, ...] = ("int8", "fp16", "bf16", "fp32")


def proved_precision(information: str, declared: PrecisionReport, source: str) -> PrecisionReport:
    """What the layers of a network became in its engine.

    Args:
        information: JSON of `EngineInspector.get_engine_information`, of an engine built with detailed profiling.
        declared: The same layers as they were handed to the builder: their names and multiply-accumulates.
        source: Title of the TensorRT and name of the device.

    Raises:
        ModelError: The text is no inspector's JSON, or holds names only.
    """
    engine = _engine_layers(information)
    layers = tuple(_prove(layer, engine.get(layer.name, [])) for layer in declared.layers)
    return PrecisionReport(evidence="proved", source=source, layers=layers)


def _engine_layers(information: str) -> dict[str, list[dict[str, Any]]]:
    """Engine layers by the name of each layer that was fused into them."""
    try:
        layers = json.loads(information)["Layers"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError("the engine inspector's answer is no list of layers", "build the engine again") from error
    if not isinstance(layers, list) or not layers or not all(isinstance(layer, dict) for layer in layers):
        raise ModelError(
            "the engine tells no more than its layers' names", "build it with `edge build`, which asks for details"
        )
    found: dict[str, list[dict[str, Any]]] = {}
    for layer in layers:
        if str(layer.get("LayerType")).lower() not in _COPIES:
            for name in dict.fromkeys(_names(layer)):
                found.setdefault(name, []).append(layer)
    return found


def _names(layer: dict[str, Any]) -> Iterator[str]:
    """Names of the fused layers: from the metadata where there is any, and from the engine layer's own name."""
    metadata, name = str(layer.get("Metadata") or ""), str(layer.get("Name") or "")
    yield from ONNX_LAYER.findall(metadata)
    yield from _TORCH_LAYER.findall(f"{metadata} {name}")
    yield from name.split(" + ")


def _prove(layer: LayerPrecision, kernels: list[dict[str, Any]]) -> LayerPrecision:
    # Of a layer in several kernels those that multiply are the witnesses, not those that scale or convert around them.
    witnesses = [kernel for kernel in kernels if _multiplies(kernel)] or kernels
    known = [precision for kernel in witnesses for precision in [_precision(kernel)] if precision]
    if not known:
        reason = "its kernel does not tell" if kernels else "the engine names no kernel for it"
        return layer.model_copy(update={"precision": "unknown", "reason": reason})
    widest = max(known, key=_WIDTHS.index)
    return layer.model_copy(update={"precision": widest, "reason": ""})


def _multiplies(kernel: dict[str, Any]) -> bool:
    kind, tactic = str(kernel.get("LayerType") or ""), str(kernel.get("TacticName") or "")
    return bool(_MULTIPLIES.search(kind) or _MULTIPLIES.search(tactic)) or _of_kernel(tactic) is not None


def _precision(kernel: dict[str, Any]) -> Precision | None:
    """What a kernel multiplies in: its name is the surest witness, then what it reads, weights and activation.

    INT8 multiplies INT8 with INT8: where one of the two is wider, the kernel computes in the wider type.
    """
    named = _of_kernel(str(kernel.get("TacticName") or ""))
    if named is not None:
        return named
    inputs = [_of_tensor(tensor) for tensor in kernel.get("Inputs") or () if isinstance(tensor, dict)]
    weights = kernel.get("Weights")
    stored = _of_type(str(weights.get("Type"))) if isinstance(weights, dict) and weights.get("Count") != 0 else None
    if stored is None and len(inputs) > 1 and _MULTIPLIES.search(str(kernel.get("LayerType"))) is not None:
        stored = inputs[1]  # of a product of two tensors; of a convolution without weights of its own, its kernel
    activation = inputs[0] if inputs else None
    return _widest((activation, stored)) if activation is not None else None


def _widest(types: Iterable[Precision | None]) -> Precision | None:
    return max((t for t in types if t is not None), key=_WIDTHS.index, default=None)


def _of_kernel(name: str) -> Precision | None:
    return next((precision for pattern, precision in _KERNELS if pattern.search(name)), None)


def _of_tensor(tensor: dict[str, Any]) -> Precision | None:
    """Type of a tensor: in one field with its format up to TensorRT 10, in one of its own from 11 on."""
    fields = (tensor.get(key) for key in ("Format/Datatype", "Datatype", "DataType", "Format"))
    return next((found for field in fields if field for found in [_of_type(str(field))] if found), None)


def _of_type(text: str) -> Precision | None:
    """Type within a format's description, such as `Channel major FP16 format where channel % 8 == 0` or `Half`."""
    lowered = text.lower()
    table: tuple[tuple[tuple[str, ...], Precision], ...] = (
        (("int8",), "int8"),
        (("bf16", "bfloat16"), "bf16"),
        (("fp16", "half"), "fp16"),
        (("fp32", "float"), "fp32"),
    )
    return next((precision for words, precision in table if any(word in lowered for word in words)), None)
