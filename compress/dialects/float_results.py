"""Quantized layers whose result stays float, in a form that ONNX Runtime runs in integer kernels.

Its convolution kernels give INT8 only; but QGemm rescales its integer sums to float in one go, and ConvInteger
hands the sums out. So a linear or a 1x1 convolution becomes a Gemm on a matrix, any other convolution ConvInteger.
Convolutions of one pixel are written as a Gemm wherever they stand: for those of images, ONNX Runtime moves channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from edge.compress.dialects.onnx_graph import OnnxGraph, attribute, make_node

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IMAGE_RANK = 4


def write_float_results(graph: OnnxGraph) -> None:
    """Rewrites the layers in place; the graph must have uint8 activations and float biases."""
    shapes = inferred_shapes(graph)
    for node in [n for n in graph.nodes if n.op_type == "MatMul"]:
        _rewrite_matmul(graph, node, shapes)
    for node in [n for n in graph.nodes if n.op_type == "Conv"]:
        users = graph.readers().get(node.output[0], [])
        stays_float = node.output[0] in graph.outputs or any(u.op_type != "QuantizeLinear" for u in users)
        scales = product_scales(graph, graph.producers(), node)
        if scales is not None and (stays_float or _is_pixel(graph, node, shapes)):
            graph.nodes.remove(node)
            graph.nodes.extend(_integer_convolution(graph, node, scales, shapes))


def product_scales(
    graph: OnnxGraph, makers: dict[str, onnx.NodeProto], node: onnx.NodeProto
) -> NDArray[np.float64] | None:
    """Activation scale x weight scales of a quantized layer, one per output channel."""
    pair = [makers.get(name) for name in node.input[:2]]
    if any(maker is None or maker.op_type != "DequantizeLinear" for maker in pair):
        return None
    activation, weight = (graph.array(maker.input[1]).astype(np.float64) for maker in pair if maker is not None)
    product: NDArray[np.float64] = np.atleast_1d(activation * weight)
    return product


def _rewrite_matmul(graph: OnnxGraph, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> None:
    makers, readers = graph.producers(), graph.readers()
    activation, transpose = makers.get(node.input[0]), makers.get(node.input[1])
    weights = makers.get(transpose.input[0]) if transpose is not None and transpose.op_type == "Transpose" else None
    if activation is None or weights is None or node.output[0] not in shapes:
        return
    if activation.op_type != "DequantizeLinear" or weights.op_type != "DequantizeLinear":
        return
    last, bias = node, ""
    users = readers.get(node.output[0], [])
    if len(users) == 1 and users[0].op_type == "Add" and node.output[0] not in graph.outputs:
        constants = [i for i in users[0].input if i in graph.constants and graph.array(i).ndim == 1]
        if constants:
            last, bias = users[0], constants[0]
    for replaced in {id(node): node, id(last): last}.values():
        graph.nodes.remove(replaced)
    steps = _gemm(graph, activation, weights.output[0], bias, shapes[node.output[0]], last.output[0])
    steps[2].name = node.name
    graph.nodes.extend(steps)


def _gemm(
    graph: OnnxGraph, activation: onnx.NodeProto, weights: str, bias: str, shape: tuple[int, ...], output: str
) -> list[onnx.NodeProto]:
    """Levels `[..., C]` as a matrix, times weights `[O, C]`, in `shape` again."""
    channels = graph.constants[graph.producers()[weights].input[0]].dims[1]
    flat, values, product = graph.fresh("flat"), graph.fresh("values"), graph.fresh("product")
    rows = graph.add_constant(np.array([-1, channels], np.int64))
    return [
        make_node("Reshape", [activation.input[0], rows], flat),
        make_node("DequantizeLinear", [flat, *activation.input[1:]], values),
        make_node("Gemm", [values, weights, *([bias] if bias else [])], product, transB=1),
        make_node("Reshape", [product, graph.add_constant(np.array(shape, np.int64))], output),
    ]


def _integer_convolution(
    graph: OnnxGraph, node: onnx.NodeProto, scales: NDArray[np.float64], shapes: dict[str, tuple[int, ...]]
) -> list[onnx.NodeProto]:
    makers = graph.producers()
    activation, weights = makers[node.input[0]], makers[node.input[1]]
    shape = shapes.get(node.output[0], ())
    if _is_pixel(graph, node, shapes):
        return _as_row(graph, activation, weights, node, shape)
    if len(shape) == _IMAGE_RANK and _is_pointwise(node, graph.array(weights.input[0])):
        return _as_gemm(graph, activation, weights, node, shape)
    return _as_conv_integer(graph, activation, node, weights.input[0], scales)


def _is_pixel(graph: OnnxGraph, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> bool:
    weights = graph.producers()[node.input[1]].input[0]
    pixel = shapes.get(node.output[0], ())[2:] == (1, 1) and weights in graph.constants
    return pixel and _is_pointwise(node, graph.array(weights))


def _is_pointwise(node: onnx.NodeProto, weight: NDArray[np.generic]) -> bool:
    lists = {a.name: list(a.ints) for a in node.attribute if a.ints}
    plain = not any(lists.get("pads", [0])) and set(lists.get("strides", [1])) == {1}
    return plain and weight.shape[2:] == (1, 1) and attribute(node, "group", 1) == 1


def _as_gemm(
    graph: OnnxGraph,
    activation: onnx.NodeProto,
    weights: onnx.NodeProto,
    node: onnx.NodeProto,
    shape: tuple[int, ...],
) -> list[onnx.NodeProto]:
    """A 1x1 convolution, channels last, which is how ONNX Runtime lays out what comes before anyway."""
    levels, result = graph.fresh("levels"), graph.fresh("result")
    matrix = _as_matrix(graph, weights)
    first = make_node("Transpose", [activation.input[0]], levels, perm=[0, 2, 3, 1])
    moved = make_node("DequantizeLinear", [levels, *activation.input[1:]], graph.fresh("unused"))
    bias = node.input[2] if len(node.input) > 2 else ""
    batch, channels, height, width = shape
    steps = _gemm(graph, moved, matrix, bias, (batch, height, width, channels), result)
    steps[2].name = node.name
    return [first, *steps, make_node("Transpose", [result], node.output[0], perm=[0, 3, 1, 2])]


def _as_row(
    graph: OnnxGraph,
    activation: onnx.NodeProto,
    weights: onnx.NodeProto,
    node: onnx.NodeProto,
    shape: tuple[int, ...],
) -> list[onnx.NodeProto]:
    """A 1x1 convolution of one pixel: nothing needs to be moved, and its Q goes before what makes it a map again."""
    result = node.output[0]
    users = graph.readers().get(result, []) if result not in graph.outputs else []
    kinds = [user.op_type for user in users]
    if kinds == ["Reshape"] and users[0].input[1] in graph.constants:
        graph.nodes.remove(users[0])
        wanted = graph.array(users[0].input[1]).tolist()
        result, shape = users[0].output[0], tuple(size or shape[index] for index, size in enumerate(wanted))
    bias = node.input[2] if len(node.input) > 2 else ""
    steps = _gemm(graph, activation, _as_matrix(graph, weights), bias, shape, result)
    steps[2].name = node.name
    if kinds == ["QuantizeLinear"]:
        quantize, reshape = users[0], steps[3]
        graph.nodes.remove(quantize)
        levels = graph.fresh("levels")
        reshape.input[0], reshape.output[0] = levels, quantize.output[0]
        quantize.input[0], quantize.output[0] = steps[2].output[0], levels
        steps.insert(3, quantize)
    return steps


def _as_matrix(graph: OnnxGraph, weights: onnx.NodeProto) -> str:
    """The kernel of a 1x1 convolution, dequantized as `[O, C]`."""
    matrix = graph.fresh("matrix")
    constant = graph.add_constant(graph.array(weights.input[0])[:, :, 0, 0])
    graph.nodes.append(make_node("DequantizeLinear", [constant, *weights.input[1:]], matrix, axis=0))
    return matrix


def _as_conv_integer(
    graph: OnnxGraph, activation: onnx.NodeProto, node: onnx.NodeProto, weight: str, scales: NDArray[np.float64]
) -> list[onnx.NodeProto]:
    sums, cast, scaled = (graph.fresh(stem) for stem in ("sums", "cast", "scaled"))
    broadcast = (-1, *[1] * (len(graph.constants[weight].dims) - 2))
    factors = graph.add_constant(scales.astype(np.float32).reshape(broadcast))
    steps = [
        make_node("ConvInteger", [activation.input[0], weight, activation.input[2]], sums),
        make_node("Cast", [sums], cast, to=onnx.TensorProto.FLOAT),
        make_node("Mul", [cast, factors], scaled),
    ]
    steps[0].attribute.extend(node.attribute)
    steps[0].name = node.name
    if len(node.input) > 2 and node.input[2]:
        bias = graph.add_constant(graph.array(node.input[2]).reshape(broadcast))
        steps.append(make_node("Add", [scaled, bias], node.output[0]))
    else:
        steps[-1].output[0] = node.output[0]
    return steps


def inferred_shapes(graph: OnnxGraph) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors whose every dimension is known."""
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    del model.graph.node[:]
    del model.graph.initializer[:]
    model.graph.node.extend(graph.nodes)
    model.graph.initializer.extend(graph.constants.values())
    inferred = onnx.shape_inference.infer_shapes(model).graph
    found = {}
    for info in (*inferred.input, *inferred.value_info, *inferred.output):
        dims = info.type.tensor_type.shape.dim
        if all(d.HasField("dim_value") for d in dims):
            found[info.name] = tuple(d.dim_value for d in dims)
    return found
