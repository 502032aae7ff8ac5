"""Layers on the DLA that look through a window: convolutions, products with constants, pools and resizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.compile.check.dla_layers.shapes import MAX_EXTENT, DlaPrecision, four_dimensions, shape_of, two_ints, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.graph.nodes import GraphNode

MAX_KERNEL = 32
_CONV_PADDING, _CONV_STRIDE = 31, 8
_POOL_WINDOW, _POOL_PADDING, _POOL_STRIDE = 8, 7, 16
_LONG_KERNELS = (64, 96, 128)
_SLOW_SQUARES = range(23, 33)
_SCALES = {"nearest": 32, "linear": 4}
_MAPPINGS = {
    "nearest": {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil")},
    "linear": {("half_pixel", ""), ("pytorch_half_pixel", "")},
}


def convolution(node: GraphNode, _precision: DlaPrecision) -> str:
    """Two spatial dimensions and constant weights, within the ranges of each parameter."""
    unfit = four_dimensions(node) or _fixed_weights(node)
    if unfit:
        return unfit
    weights = shape_of(node, node.input(1))
    kernel, dilations = list(weights[2:]), two_ints(node, "dilations", 1)
    pads = _padding(node, [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=False)])
    wide = any(p >= k for p, k in zip(pads, [*kernel, *kernel], strict=False))
    return (
        within("kernel", kernel, 1, MAX_KERNEL)
        or within("padding", pads, 0, _CONV_PADDING)
        or ("its padding is as large as its kernel" if wide else "")
        or within("stride", two_ints(node, "strides", 1), 1, _CONV_STRIDE)
        or within("dilation", dilations, 1, MAX_KERNEL)
        or within("number of groups", [node.attribute("group", 1)], 1, MAX_EXTENT)
        or within("number of channels", [weights[0], weights[1] * node.attribute("group", 1)], 1, MAX_EXTENT)
    )


def deconvolution(node: GraphNode, _precision: DlaPrecision) -> str:
    """Without padding, groups and dilation."""
    unfit = four_dimensions(node) or _fixed_weights(node)
    if unfit:
        return unfit
    weights, strides = shape_of(node, node.input(1)), two_ints(node, "strides", 1)
    kernel = list(weights[2:])
    slow = len({*kernel, *strides}) == 1 and kernel[0] in _SLOW_SQUARES
    padded = any(_padding(node, kernel)) or any(node.attribute("output_padding") or [])
    return (
        ("" if _is_long(kernel) else within("kernel", kernel, 1, MAX_KERNEL))
        or ("" if _is_long(strides) else within("stride", strides, 1, MAX_KERNEL))
        or (f"square kernels and strides of {kernel[0]} are disabled, for they compile slowly" if slow else "")
        or ("it is padded" if padded or node.attribute("output_shape") else "")
        or ("it is grouped" if node.attribute("group", 1) != 1 else "")
        or ("it is dilated" if set(two_ints(node, "dilations", 1)) != {1} else "")
        or within("number of channels", weights[:2], 1, MAX_EXTENT)
    )


def product(node: GraphNode, _precision: DlaPrecision) -> str:
    """A matrix of constants is a convolution of 1 x 1."""
    if not node.is_constant(node.input(1)):
        return "both of its matrices are computed; the DLA multiplies by constants only"
    if node.attribute("transA", 0):
        return "its first matrix is transposed"
    return within("number of channels", shape_of(node, node.input(1))[-2:], 1, MAX_EXTENT)


def pooling(node: GraphNode, _precision: DlaPrecision) -> str:
    """Maximum and average."""
    if four_dimensions(node):
        return four_dimensions(node)
    window = list(node.attribute("kernel_shape"))
    return (
        within("window", window, 1, _POOL_WINDOW)
        or within("padding", _padding(node, window), 0, _POOL_PADDING)
        or within("stride", two_ints(node, "strides", 1), 1, _POOL_STRIDE)
        or ("it is dilated" if set(two_ints(node, "dilations", 1)) != {1} else "")
    )


def resize(node: GraphNode, _precision: DlaPrecision) -> str:
    """By whole numbers, given as four scales."""
    mode = str(node.attribute("mode", "nearest"))
    if mode not in _SCALES:
        return f"its mode is {mode}; the DLA has nearest and linear"
    scales = node.values(node.input(1 if node.operator == "Upsample" else 2))
    if scales is None or scales.size != 4:
        return "it is not given by four constant scales"
    whole = scales[2:] == np.rint(scales[2:])
    if tuple(scales[:2]) != (1, 1) or not whole.all():
        return "its scales are not 1, 1 and whole numbers"
    return (
        four_dimensions(node)
        or within("scale", [int(value) for value in scales[2:]], 1, _SCALES[mode])
        or ("" if node.operator == "Upsample" else _mapping(node, mode))
    )


def _mapping(node: GraphNode, mode: str) -> str:
    transformation = str(node.attribute("coordinate_transformation_mode", "half_pixel"))
    rounding = str(node.attribute("nearest_mode", "round_prefer_floor")) if mode == "nearest" else ""
    if (transformation, rounding) in _MAPPINGS[mode]:
        return ""
    return f"the DLA does not resize {mode} by {transformation}" + (f" with {rounding}" if rounding else "")


def _fixed_weights(node: GraphNode) -> str:
    return "" if node.is_constant(node.input(1)) else "its weights are not a constant"


def _is_long(extents: Sequence[int]) -> bool:
    return len(extents) == 2 and min(extents) == 1 and max(extents) in _LONG_KERNELS


def _padding(node: GraphNode, window: Sequence[int]) -> list[int]:
    mode = node.attribute("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return list(node.attribute("pads") or [0, 0, 0, 0])
    if mode == "VALID":
        return [0, 0, 0, 0]
    given, made = shape_of(node, node.input(0))[2:], shape_of(node, node.proto.output[0])[2:]
    strides = two_ints(node, "strides", 1)
    total = [max(0, (o - 1) * s + w - i) for o, s, w, i in zip(made, strides, window, given, strict=True)]
    return [*(t // 2 for t in total), *((t + 1) // 2 for t in total)]
