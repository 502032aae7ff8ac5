"""What each operator must be to run on the DLA (deep learning accelerator) of an Orin, by NVIDIA's documentation.

Sources, in this order where they differ:

- `include/NvInfer.h` of github.com/NVIDIA/TensorRT at v8.6.1 and v10.3.0: its comments give the limits of convolution,
  deconvolution, pooling, activation, LRN, softmax, concatenation, slice, resize and unary layers. No limit changed from
  the one to the other but Xavier's, which left.
- "DLA Supported Layers and Restrictions" in NVIDIA's TensorRT documentation
  (inference-library/dla-layer-restrictions): batch and extents, comparison, scale, shuffle, reduction, broadcast and
  power. In 8.5 the section knew no division, power or reduction, and of the unary operators only ABS.
- `operators/README.md` of github.com/NVIDIA/Deep-Learning-Accelerator-SW (for JetPack 6.0): which ONNX operators
  become which of these layers, and since which TensorRT.
- What TensorRT 10 says on AGX Orin in issue 18012 of github.com/ultralytics/ultralytics: reshapes next to a slice or a
  concatenation stay on the GPU.

Not checked, for it is not published: whether a convolution fits the convolution buffer ("CBUF validation"), and which
combinations of layers one loadable can hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compile.check.dla_layers import moves, pointwise, windows
from edge.compile.check.dla_layers.shapes import DlaPrecision, extents
from edge.devices.version_order import at_least

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.graph.nodes import GraphNode

LARGER_SET = "8.6.12"


def why_not(node: GraphNode, precision: DlaPrecision, tensorrt_version: str) -> str:
    """Why a node does not run on the DLA, in words; empty where nothing speaks against it.

    Args:
        node: Of a graph whose shapes are known.
        precision: What it is to compute in.
        tensorrt_version: Such as `10.3`.
    """
    limit = _LIMITS.get(node.operator)
    if limit is None:
        return _INSTEAD.get(node.operator, "the DLA has no such layer")
    if node.operator in _SINCE_LARGER_SET and not at_least(tensorrt_version, LARGER_SET):
        return f"the DLA has it since TensorRT {LARGER_SET} only"
    return extents(node) or limit(node, precision)


def known_operators() -> tuple[str, ...]:
    """The ONNX operators that the DLA has a layer for."""
    return tuple(_LIMITS)


def runs_in(node: GraphNode, precision: DlaPrecision) -> DlaPrecision:
    """What a node that runs on the DLA computes in: some layers know FP16 only."""
    return "fp16" if node.operator in _FP16_ONLY else precision


_LIMITS: dict[str, Callable[[GraphNode, DlaPrecision], str]] = {
    "Abs": pointwise.unary,
    "Add": pointwise.elementwise,
    "Atan": pointwise.unary,
    "AveragePool": windows.pooling,
    "BatchNormalization": pointwise.batch_norm,
    "Clip": pointwise.clip,
    "Concat": moves.concatenation,
    "Conv": windows.convolution,
    "ConvTranspose": windows.deconvolution,
    "Cos": pointwise.unary,
    "Div": pointwise.division,
    "Equal": pointwise.comparison,
    "Gemm": windows.product,
    "GlobalMaxPool": moves.largest,
    "Greater": pointwise.comparison,
    "LRN": pointwise.normalization,
    "LeakyRelu": pointwise.leaky,
    "Less": pointwise.comparison,
    "MatMul": windows.product,
    "Max": pointwise.elementwise,
    "MaxPool": windows.pooling,
    "Min": pointwise.elementwise,
    "Mul": pointwise.elementwise,
    "PRelu": pointwise.slopes,
    "Pow": pointwise.power,
    "ReduceMax": moves.largest,
    "Relu": pointwise.activation,
    "Reshape": moves.shuffle,
    "Resize": windows.resize,
    "Sigmoid": pointwise.activation,
    "Sin": pointwise.unary,
    "Slice": moves.slicing,
    "Softmax": moves.softmax,
    "Split": moves.split,
    "Sub": pointwise.elementwise,
    "Sum": pointwise.elementwise,
    "Tanh": pointwise.activation,
    "Transpose": moves.shuffle,
    "Upsample": windows.resize,
}
# Division, power, reduction, and the operators that compare or are trigonometric.
_SINCE_LARGER_SET = frozenset({"Atan", "Cos", "Div", "GlobalMaxPool", "Greater", "Less", "Pow", "ReduceMax", "Sin"})
_FP16_ONLY = frozenset({"LRN", "Sigmoid", "Slice", "Softmax", "Split", "Tanh"})
_MEANS = "the DLA reduces by the maximum only; average pools of at most 8 x 8 run on it"
_FLATTENS = "the DLA knows four dimensions only; keep them, with 1 where there is nothing"
_INSTEAD = {
    **dict.fromkeys(("GlobalAveragePool", "ReduceMean", "ReduceSum"), _MEANS),
    **dict.fromkeys(("Flatten", "Squeeze", "Unsqueeze"), _FLATTENS),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), "the DLA has no recurrences"),
}
