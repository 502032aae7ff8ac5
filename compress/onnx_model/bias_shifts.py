"""Bias correction of an ONNX model: the mean error that INT8 brings to each output channel of a layer, taken back.

As `edge.compress.quantize.bias_correction` does it: a layer's error is looked at locally, on float inputs quantized as
they will be. Here the errors are computed by nodes that are added beside the float ones, so that ONNX Runtime does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from edge.compress.dialects.onnx_graph import OnnxGraph, make_node
from edge.compress.onnx_model.float_runs import batch_size, run_over
from edge.compress.onnx_model.levels import is_transposed, quantized_weight
from edge.compress.onnx_model.scales import weight_scales
from edge.compress.quantize.placement_rules import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edge.compress.onnx_model.graph_operations import Layer
    from edge.compress.onnx_model.input_samples import InputSamples


def correct_onnx_biases(
    graph: OnnxGraph,
    layers: Sequence[Layer],
    scales: Mapping[str, float],
    model: onnx.ModelProto,
    samples: InputSamples,
    largest_level: int,
) -> int:
    """Shifts the biases of a float graph that is to be quantized, in place.

    Args:
        graph: With fixed shapes, before `write_levels`.
        layers: The weighted layers of this graph that become INT8.
        scales: Of their inputs.
        model: What runs, with the same tensors; its batch may be dynamic.
        samples: What the errors are averaged over.
        largest_level: Of weights.

    Returns:
        How many layers were corrected; those without a bias are left as they are.
    """
    biased = [layer for layer in layers if _bias_position(graph, layer) is not None]
    ranks = _ranks(graph.model)
    watched = OnnxGraph(model)
    errors = {
        layer.operation.result: _add_error(watched, graph, layer, scales, ranks, largest_level)
        for layer in biased
        if layer.node.output[0] in ranks
    }
    if not errors:
        return 0
    means = _mean_errors(watched.finish(), list(errors.values()), samples)
    corrected = [layer for layer in biased if layer.operation.result in errors]
    for layer in corrected:
        _shift(graph, layer, means[errors[layer.operation.result]])
    return len(corrected)


def _bias_position(graph: OnnxGraph, layer: Layer) -> tuple[onnx.NodeProto, int] | None:
    """The node and the position of the input that hold a layer's bias."""
    if layer.bias is not None:
        found = [i for i, name in enumerate(layer.bias.input) if name in graph.constants]
        return (layer.bias, found[0])
    has_one = len(layer.node.input) > 2 and layer.node.input[2] in graph.constants
    plain = has_one and all(a.f == 1.0 for a in layer.node.attribute if a.name in ("alpha", "beta"))
    return (layer.node, 2) if plain else None


def _add_error(
    watched: OnnxGraph,
    graph: OnnxGraph,
    layer: Layer,
    scales: Mapping[str, float],
    ranks: Mapping[str, int],
    largest_level: int,
) -> str:
    """Adds the layer as it will be, beside the float one; gives the name of their mean difference, one a channel."""
    activation, result = layer.operation.inputs[0], layer.node.output[0]
    zero = watched.add_constant(np.array(0, np.int8))
    scale = watched.add_constant(np.array(scales[activation], np.float32))
    levels, values, output, error, mean = (watched.fresh(s) for s in ("levels", "values", "layer", "error", "mean"))
    weight = watched.add_constant(_rounded(graph.array(layer.node.input[1]), layer.node, largest_level))
    twin = make_node(
        layer.node.op_type, [values, weight, *layer.node.input[2:]], output
    )  # with its bias, which drops out
    twin.attribute.extend(layer.node.attribute)
    channel = 1 if layer.operation.kind is Kind.CONVOLUTION else ranks[result] - 1
    axes = watched.add_constant(np.array([a for a in range(ranks[result]) if a != channel], np.int64))
    watched.nodes += [
        make_node("QuantizeLinear", [activation, scale, zero], levels),
        make_node("DequantizeLinear", [levels, scale, zero], values),
        twin,
        make_node("Sub", [output, result], error),
        make_node("ReduceMean", [error, axes], mean, keepdims=0),
    ]
    watched.outputs.append(mean)
    return mean


def _rounded(weight: NDArray[Any], node: onnx.NodeProto, largest_level: int) -> NDArray[np.float32]:
    whole = node.op_type == "ConvTranspose"
    rows = weight.T if is_transposed(node) else weight
    scales = weight_scales(rows, largest_level, whole=whole)
    steps = scales.reshape(-1, *[1] * (rows.ndim - 1)) if not whole else scales.reshape(())
    rounded = quantized_weight(rows, scales, largest_level).astype(np.float32) * steps
    return np.ascontiguousarray(rounded.T if is_transposed(node) else rounded)


def _ranks(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model).graph
    typed = (*inferred.value_info, *inferred.output)
    return {i.name: len(i.type.tensor_type.shape.dim) for i in typed if i.type.tensor_type.HasField("shape")}


def _mean_errors(model: onnx.ModelProto, names: list[str], samples: InputSamples) -> dict[str, NDArray[np.float64]]:
    sums = {name: np.zeros(()) for name in names}
    for rows, means in run_over(model, names, samples, batch_size(model, samples, 1)):
        sums = {name: sums[name] + means[name].astype(np.float64) * len(rows) for name in names}
    return {name: total / len(samples) for name, total in sums.items()}


def _shift(graph: OnnxGraph, layer: Layer, error: NDArray[np.float64]) -> None:
    found = _bias_position(graph, layer)
    assert found is not None
    node, position = found
    bias = graph.array(node.input[position])
    shifted = (bias - error.reshape(-1)).astype(np.float32)
    node.input[position] = graph.add_constant(shifted)
