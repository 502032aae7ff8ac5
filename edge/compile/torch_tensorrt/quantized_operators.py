"""Converters for the quantize and dequantize operators of PyTorch 2 export, which Torch-TensorRT does not bring.

With them an INT8 program of torchao reaches TensorRT as explicit Q/DQ layers. TensorRT takes symmetric INT8 only, per
tensor or, of weights, per channel on axis 0; anything else counts as not convertible, and is named so.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.fx import Node

_HALF = {torch.float16: "HALF", torch.bfloat16: "BF16", torch.float32: "FLOAT", None: "FLOAT"}


@cache
def register_quantized_operators() -> None:
    """Registers the converters, and exempts the operators from constant folding; once a process.

    Folding would turn INT8 weights into FP32 constants before conversion, and the layers would compute in float
    without a word.
    """
    import torchao.quantization.pt2e.quantize_pt2e  # noqa: F401  (registers the operators)
    from torch_tensorrt.dynamo.conversion import ConverterPriority, dynamo_tensorrt_converter

    for operator, (convert, validate) in _converters().items():
        dynamo_tensorrt_converter(operator, priority=ConverterPriority.HIGH, capability_validator=validate)(convert)
    _keep_from_folding(frozenset(_converters()))


def _converters() -> dict[Any, tuple[Any, Any]]:
    operators = torch.ops.quantized_decomposed
    return {
        operators.quantize_per_tensor.default: (_quantize, _is_symmetric_tensor),
        operators.dequantize_per_tensor.default: (_dequantize_tensor, _is_symmetric_tensor),
        operators.dequantize_per_channel.default: (_dequantize_channels, _is_symmetric_channels),
    }


def _keep_from_folding(operators: frozenset[Any]) -> None:
    from torch_tensorrt.dynamo.lowering.passes import constant_folding

    folder = constant_folding._TorchTensorRTConstantFolder
    original = folder.__init__

    def initialised(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.quantization_ops |= operators

    folder.__init__ = initialised


def _is_symmetric_tensor(node: Node, _settings: Any = None) -> bool:
    """(input, scale, zero_point, quant_min, quant_max, dtype)."""
    return len(node.args) == 6 and bool(node.args[2] == 0) and node.args[5] is torch.int8


def _is_symmetric_channels(node: Node, _settings: Any = None) -> bool:
    """(input, scales, zero_points, axis, quant_min, quant_max, dtype)."""
    if len(node.args) != 7 or node.args[3] != 0 or node.args[6] is not torch.int8:
        return False
    zero_points = node.args[2]
    value = _constant(zero_points) if isinstance(zero_points, torch.fx.Node) else zero_points
    return value is None or (isinstance(value, torch.Tensor) and not bool(value.any()))


def _constant(node: Node) -> torch.Tensor | None:
    owner = node.graph.owning_module
    if node.op != "get_attr" or owner is None:
        return None
    path, _, name = str(node.target).rpartition(".")
    found = getattr(owner.get_submodule(path), name)
    return found if isinstance(found, torch.Tensor) else None


def _quantize(ctx: Any, _target: Any, args: Sequence[Any], _kwargs: dict[str, Any], name: str) -> Any:
    trt = _trt()
    layer = ctx.net.add_quantize(_tensor(ctx, args[0], name), _scale(ctx, args[1], name), trt.DataType.INT8)
    return _named(layer, name)


def _dequantize_tensor(ctx: Any, _target: Any, args: Sequence[Any], kwargs: dict[str, Any], name: str) -> Any:
    values = _tensor(ctx, args[0], name)
    return _named(ctx.net.add_dequantize(values, _scale(ctx, args[1], name), _result_type(kwargs)), name)


def _dequantize_channels(ctx: Any, _target: Any, args: Sequence[Any], kwargs: dict[str, Any], name: str) -> Any:
    values = _tensor(ctx, args[0], name)
    layer = ctx.net.add_dequantize(values, _scale(ctx, args[1], name), _result_type(kwargs))
    layer.axis = int(args[3])
    return _named(layer, name)


def _tensor(ctx: Any, value: Any, name: str) -> Any:
    """A network tensor: weights come as torch tensors."""
    from torch_tensorrt.dynamo.conversion.converter_utils import get_trt_tensor

    return value if isinstance(value, _trt().ITensor) else get_trt_tensor(ctx, value, f"{name}_values")


def _scale(ctx: Any, value: Any, name: str) -> Any:
    from torch_tensorrt.dynamo.conversion.converter_utils import get_trt_tensor

    scale = value if isinstance(value, torch.Tensor) else torch.tensor([float(value)])
    return get_trt_tensor(ctx, scale.to(torch.float32), f"{name}_scale", dtype=torch.float32)


def _result_type(kwargs: dict[str, Any]) -> Any:
    return getattr(_trt().DataType, _HALF[kwargs.get("out_dtype")])


def _named(layer: Any, name: str) -> Any:
    layer.name = name
    return layer.get_output(0)


def _trt() -> Any:
    """The TensorRT that Torch-TensorRT uses; RTX poses as `tensorrt` there."""
    import tensorrt

    return tensorrt
