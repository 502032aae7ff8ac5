"""One set of scales, written for two kinds of integer kernels.

`s8` is for TensorRT and ARM: activations int8 with zero point 0, weights int8 per channel on axis 0, float biases.

`u8` is for ONNX Runtime on x86, whose fast kernels multiply uint8 by int8. It keeps every scale, so that a value lands
on the same step of the same grid: a tensor that may be negative has zero point 128 and the same levels shifted; one
that may not (behind a ReLU, and through pooling, concatenation and sums of such) has zero point 0, and the ReLU is
dropped, because the clip at level 0 does its work. The one difference: zero point 0 clips at 255 steps where int8
clips at 127, so values that calibration never saw, or chose to clip, come through. The finer step `s * 127 / 255`
would use all 256 levels, but then the two dialects round differently, and it is `s8` that the gates measured.
Biases become int32 on the scale activation x weight. A convolution whose result stays float (a head, or one that is
followed by an operator without an integer kernel) becomes ConvInteger and a rescaling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from edge.compress.quantize.onnx_graph import OnnxGraph, attribute, make_node
from edge.compress.quantize.tidy import tidy
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEIGHTED = ("Conv", "Gemm", "MatMul")
_SIGN_KEEPING = {
    *("QuantizeLinear", "DequantizeLinear", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"),
    *("ReduceMean", "ReduceMax", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather"),
    *("Resize", "Expand", "Identity"),
}
_SIGN_KEEPING_IF_ALL = {"Concat", "Add", "Mul", "Max"}
_NEVER_NEGATIVE = {"Relu", "Sigmoid", "Softmax", "Abs", "Exp", "HardSigmoid"}


def write_s8(model: onnx.ModelProto) -> onnx.ModelProto:
    """The exported Q/DQ graph, tidied, after a check that it is what TensorRT takes.

    Raises:
        ModelError: A zero point is not 0, a weight is not int8 per channel on axis 0, or a bias is quantized.
    """
    graph = OnnxGraph(model)
    for node in graph.nodes:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            _check_symmetric(graph, node)
    return tidy(graph.finish())


def write_u8(s8: onnx.ModelProto) -> onnx.ModelProto:
    """The same scales with uint8 activations, for x86.

    Raises:
        ModelError: `s8` is not what `write_s8` writes.
    """
    graph = OnnxGraph(write_s8(s8))
    _drop_relus(graph)
    _shift_activations(graph)
    _quantize_biases(graph)
    _integer_float_convolutions(graph)
    return tidy(graph.finish())


def _check_symmetric(graph: OnnxGraph, node: onnx.NodeProto) -> None:
    where = f"{node.op_type} of '{node.input[0]}'"
    zero_points = graph.array(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(1, np.int8)
    if zero_points.dtype != np.int8 or np.any(zero_points):
        raise ModelError(f"{where} is not symmetric int8", "write the dialect from a graph of quantize_static")
    if graph.array(node.input[1]).ndim and attribute(node, "axis", 1) != 0:
        raise ModelError(f"{where} is per channel on an axis other than 0", "quantize weights on axis 0")


def _drop_relus(graph: OnnxGraph) -> None:
    readers = graph.readers()
    for node in list(graph.nodes):
        if node.op_type != "Relu" or node.output[0] in graph.outputs:
            continue
        users = readers.get(node.output[0], [])
        if users and all(user.op_type == "QuantizeLinear" for user in users):
            node.op_type = "Identity"  # still marks its result as never negative; removed with the shift


def _shift_activations(graph: OnnxGraph) -> None:
    signs = _Signs(graph)
    for node in list(graph.nodes):
        if node.op_type == "QuantizeLinear" or (
            node.op_type == "DequantizeLinear" and node.input[0] not in graph.constants
        ):
            zero = 0 if signs.never_negative(node.input[0]) else 128
            node.input[:] = [node.input[0], node.input[1], graph.add_constant(np.array(zero, np.uint8))]
        elif node.op_type == "DequantizeLinear" and not graph.array(node.input[1]).ndim:
            _shift_constant(graph, node, signs)
    for node in [n for n in graph.nodes if n.op_type == "Identity"]:
        graph.redirect(node.output[0], node.input[0])
        graph.nodes.remove(node)


def _shift_constant(graph: OnnxGraph, node: onnx.NodeProto, signs: _Signs) -> None:
    values = graph.array(node.input[0]).astype(np.int16)
    zero = 0 if signs.never_negative(node.input[0]) else 128
    shifted = graph.add_constant((values + zero).astype(np.uint8))
    node.input[:] = [shifted, node.input[1], graph.add_constant(np.array(zero, np.uint8))]


def _quantize_biases(graph: OnnxGraph) -> None:
    makers = graph.producers()
    for node in list(graph.nodes):
        if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3 or node.input[2] not in graph.constants:
            continue
        scales = _product_scales(graph, makers, node)
        if scales is None:
            continue
        levels = np.rint(graph.array(node.input[2]).astype(np.float64) / scales)
        levels = np.clip(levels, -(2**31) + 1, 2**31 - 1).astype(np.int32)
        inputs = [graph.add_constant(levels), graph.add_constant(scales.astype(np.float32))]
        name = graph.fresh("bias")
        graph.nodes.append(make_node("DequantizeLinear", inputs, name, axis=0))
        node.input[2] = name


def _product_scales(
    graph: OnnxGraph, makers: dict[str, onnx.NodeProto], node: onnx.NodeProto
) -> NDArray[np.float64] | None:
    """Activation scale x weight scales of a quantized layer, one per output channel."""
    pair = [makers.get(name) for name in node.input[:2]]
    if any(maker is None or maker.op_type != "DequantizeLinear" for maker in pair):
        return None
    activation, weight = (graph.array(maker.input[1]).astype(np.float64) for maker in pair if maker is not None)
    product: NDArray[np.float64] = np.atleast_1d(activation * weight)
    return product


def _integer_float_convolutions(graph: OnnxGraph) -> None:
    makers, readers = graph.producers(), graph.readers()
    for node in [n for n in graph.nodes if n.op_type == "Conv"]:
        scales = _product_scales(graph, makers, node)
        users = readers.get(node.output[0], [])
        if scales is None or (users and all(u.op_type == "QuantizeLinear" for u in users)):
            continue
        _to_conv_integer(graph, makers, node, scales)


def _to_conv_integer(
    graph: OnnxGraph, makers: dict[str, onnx.NodeProto], node: onnx.NodeProto, scales: NDArray[np.float64]
) -> None:
    activation, weight = makers[node.input[0]], makers[node.input[1]]
    rank = len(graph.constants[weight.input[0]].dims)
    sums, cast, scaled = (graph.fresh(stem) for stem in ("sums", "cast", "scaled"))
    integer = make_node("ConvInteger", [activation.input[0], weight.input[0], activation.input[2]], sums)
    integer.attribute.extend(node.attribute)
    integer.name = node.name
    per_channel = scales.astype(np.float32).reshape(-1, *[1] * (rank - 2))
    steps = [integer]
    bias = node.input[2] if len(node.input) > 2 else ""
    if bias:
        levels = graph.array(makers[bias].input[0]).reshape(-1, *[1] * (rank - 2))
        shifted = graph.fresh("shifted")
        steps.append(make_node("Add", [sums, graph.add_constant(levels)], shifted))
        sums = shifted
    steps += [
        make_node("Cast", [sums], cast, to=onnx.TensorProto.FLOAT),
        make_node("Mul", [cast, graph.add_constant(per_channel)], scaled),
    ]
    steps[-1].output[0] = node.output[0]
    graph.nodes.remove(node)
    graph.nodes.extend(steps)


class _Signs:
    """Which tensors cannot hold a negative value, whatever the input."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._graph = graph
        self._makers = graph.producers()
        self._known: dict[str, bool] = {}

    def never_negative(self, name: str) -> bool:
        """Whether `name` is behind a ReLU or made of such tensors."""
        if name not in self._known:
            self._known[name] = self._look(name)
        return self._known[name]

    def _look(self, name: str) -> bool:
        if name in self._graph.constants:
            return bool(np.all(self._graph.array(name) >= 0))
        node = self._makers.get(name)
        if node is None:
            return False
        if node.op_type in _NEVER_NEGATIVE or (node.op_type == "Identity" and node.output[0] == name):
            return True
        if node.op_type in _SIGN_KEEPING:
            return self.never_negative(node.input[0])
        if node.op_type in _SIGN_KEEPING_IF_ALL:
            return all(self.never_negative(i) for i in node.input)
        return False
