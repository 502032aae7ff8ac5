"""One set of scales, written for two kinds of integer kernels.

`s8` is for TensorRT and ARM: activations int8 with zero point 0, weights int8 per channel on axis 0, float biases,
linear layers on one vector as 1x1 convolutions. `s8f16` is the same with what is left in float as FP16.

`u8` is for ONNX Runtime on x86, whose fast kernels multiply uint8 by int8. It keeps every scale, so that a value
lands on the same step of the same grid: a tensor that may be negative has zero point 128 and the same levels
shifted; one that may not (behind a ReLU, through pooling, concatenation and sums of such) has zero point 0, and
the ReLU is dropped, because the clip at level 0 does its work. The one difference: zero point 0 clips at 255 steps
where int8 clips at 127, so that values beyond the calibrated ceiling come through. The finer step `s * 127 / 255`
would use all 256 levels, but then the two dialects round differently, and it is `s8` that the gates measured.
Other clips move behind the Q, onto the levels. Biases become int32 on the scale activation x weight.
"""

from __future__ import annotations

import numpy as np
import onnx

from edge.compress.dialects.cleanup import tidy
from edge.compress.dialects.float_results import product_scales, write_float_results
from edge.compress.dialects.onnx_graph import OnnxGraph, attribute, make_node
from edge.compress.dialects.signs import DROPPED_RELU, Signs
from edge.compress.dialects.vector_linears import write_vector_linears
from edge.compress.dialects.zero_pads import merge_zero_pads
from edge.runtime.errors import ModelError


def write_s8(model: onnx.ModelProto) -> onnx.ModelProto:
    """The exported Q/DQ graph, tidied, after a check that it is what TensorRT takes.

    Raises:
        ModelError: A zero point is not 0, or a scale per channel is on an axis other than 0.
    """
    graph = OnnxGraph(model)
    for node in graph.nodes:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            _check_symmetric(graph, node)
    merge_zero_pads(graph)
    write_vector_linears(graph)
    return tidy(graph.finish())


def write_u8(s8: onnx.ModelProto) -> onnx.ModelProto:
    """The same scales with uint8 activations, for x86.

    Raises:
        ModelError: `s8` is not what `write_s8` writes.
    """
    graph = OnnxGraph(write_s8(s8))
    _drop_relus(graph)
    _shift_activations(graph)
    _quantize_before_clips(graph)
    write_float_results(graph)
    _quantize_biases(graph)
    return tidy(graph.finish())


def _check_symmetric(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    where = f"{node.op_type} of '{node.input[0]}'"
    if any(name and name not in graph.constants for name in node.input[1:]):
        raise ModelError(f"the scale of {where} is computed", "write the dialect from a graph of quantize_static")
    zero_point = node.input[2] if len(node.input) > 2 else ""
    # A Q without one gives uint8.
    zero_points = graph.array(zero_point) if zero_point else np.zeros(1, _levels_type(graph, node))
    if zero_points.dtype != np.int8 or np.any(zero_points):
        raise ModelError(f"{where} is not symmetric int8", "write the dialect from a graph of quantize_static")
    if graph.array(node.input[1]).ndim and attribute(node, "axis", 1) != 0:
        raise ModelError(f"{where} is per channel on an axis other than 0", "quantize weights on axis 0")


def _levels_type(graph: OnnxGraph, node: onnx.NodeProto) -> np.dtype[np.generic]:
    if node.op_type == "QuantizeLinear":
        return np.dtype(np.uint8)
    return graph.array(node.input[0]).dtype if node.input[0] in graph.constants else np.dtype(np.int8)


def _drop_relus(graph: OnnxGraph) -> None:
    readers = graph.readers()
    for node in list(graph.nodes):
        if node.op_type != "Relu" or node.output[0] in graph.outputs:
            continue
        users = readers.get(node.output[0], [])
        if users and all(user.op_type == "QuantizeLinear" for user in users):
            node.op_type = DROPPED_RELU  # still says that its result is never negative


def _shift_activations(graph: OnnxGraph) -> None:
    signs, readers = Signs(graph), graph.readers()
    for node in list(graph.nodes):
        if node.op_type == "QuantizeLinear" or (
            node.op_type == "DequantizeLinear" and node.input[0] not in graph.constants
        ):
            zero = 0 if signs.never_negative(node.input[0]) else 128
            node.input[:] = [node.input[0], node.input[1], graph.add_constant(np.array(zero, np.uint8))]
        elif (
            node.op_type == "DequantizeLinear"
            and not graph.array(node.input[1]).ndim
            and not _is_weight(readers, node.output[0])
        ):
            _shift_constant(graph, node, signs)
    for node in [n for n in graph.nodes if n.op_type == DROPPED_RELU]:
        graph.redirect(node.output[0], node.input[0])
        graph.nodes.remove(node)


def _is_weight(readers: dict[str, list[onnx.NodeProto]], name: str) -> bool:
    """Whether a constant with one scale is a transposed convolution's weight, and not an activation that is fixed."""
    return any(user.op_type == "ConvTranspose" and user.input[1] == name for user in readers.get(name, []))


def _shift_constant(graph: OnnxGraph, node: onnx.NodeProto, signs: Signs) -> None:
    values = graph.array(node.input[0]).astype(np.int16)
    zero = 0 if signs.never_negative(node.input[0]) else 128
    shifted = graph.add_constant((values + zero).astype(np.uint8))
    node.input[:] = [shifted, node.input[1], graph.add_constant(np.array(zero, np.uint8))]


def _quantize_before_clips(graph: OnnxGraph) -> None:
    """Quantizing and clipping may change places: rounding keeps the order of values, so levels clip the same."""
    readers = graph.readers()
    for clip in [n for n in graph.nodes if n.op_type == "Clip"]:
        users = readers.get(clip.output[0], [])
        quantized = len(users) == 1 and users[0].op_type == "QuantizeLinear"
        if (
            clip.output[0] in graph.outputs
            or not quantized
            or any(i and i not in graph.constants for i in clip.input[1:])
        ):
            continue
        quantize = users[0]
        floor, ceiling = _clip_levels(graph, clip, quantize)
        quantize.input[0] = clip.input[0]
        graph.nodes.remove(clip)
        if floor > 0 or ceiling < np.iinfo(np.uint8).max:
            result = quantize.output[0]
            quantize.output[0] = graph.fresh("levels")
            limits = [graph.add_constant(np.array(level, np.uint8)) for level in (floor, ceiling)]
            clipped = make_node("Clip", [quantize.output[0], *limits], result)
            clipped.name = clip.name
            graph.nodes.insert(graph.nodes.index(quantize) + 1, clipped)  # in order, for shapes are inferred next


def _clip_levels(graph: OnnxGraph, clip: onnx.NodeProto, quantize: onnx.NodeProto) -> tuple[int, int]:
    scale, zero = float(graph.array(quantize.input[1])), int(graph.array(quantize.input[2]))
    limits = [*clip.input[1:], "", ""][:2]
    values = [float(graph.array(i)) if i else fallback for i, fallback in zip(limits, (-np.inf, np.inf), strict=True)]
    floor, ceiling = (int(np.clip(np.rint(np.float32(v) / np.float32(scale)) + zero, 0, 255)) for v in values)
    return floor, ceiling


def _quantize_biases(graph: OnnxGraph) -> None:
    makers = graph.producers()
    for node in list(graph.nodes):
        if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3 or node.input[2] not in graph.constants:
            continue
        scales = product_scales(graph, makers, node)
        if scales is None:
            continue
        levels = np.rint(graph.array(node.input[2]).astype(np.float64) / scales)
        levels = np.clip(levels, -(2**31) + 1, 2**31 - 1).astype(np.int32)
        inputs = [graph.add_constant(levels), graph.add_constant(scales.astype(np.float32))]
        name = graph.fresh("bias")
        graph.nodes.append(make_node("DequantizeLinear", inputs, name, axis=0))
        node.input[2] = name
