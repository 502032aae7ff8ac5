"""The ONNX graph of one layer alone, for whoever tells how long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.compress.export import OPSET

if TYPE_CHECKING:
    from edge.compress.prune.layer_shapes import LayerShape

SEED = 0
IR_VERSION = 10


def single_layer_graph(shape: LayerShape) -> onnx.ModelProto:
    """A graph of the one layer with random weights; the names of its tensors are `x`, `second` and `y`."""
    products = shape.operator in ("Product", "Scores")
    weight = shape.weight if products or shape.operator != "MatMul" else shape.weight[::-1]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape.entering)]
    constants = []
    if products:
        inputs.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, weight))
    else:
        values = np.random.default_rng(SEED).standard_normal(weight, np.float32)
        constants.append(numpy_helper.from_array(values, "second"))
    graph = helper.make_graph(
        _nodes(shape), "layer", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def random_feed(model: onnx.ModelProto) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """Values for the inputs of a graph with fixed shapes: normal ones, and zeros where they are integers."""
    rng = np.random.default_rng(SEED)
    feed = {}
    for value in model.graph.input:
        dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        floating = np.issubdtype(dtype, np.floating)
        feed[value.name] = rng.standard_normal(dims).astype(dtype) if floating else np.zeros(dims, dtype)
    return feed


def _nodes(shape: LayerShape) -> list[onnx.NodeProto]:
    if shape.operator == "Scores":
        scores = helper.make_node("MatMul", ["x", "second"], ["scores"], name="layer")
        return [scores, helper.make_node("Softmax", ["scores"], ["y"], name="softmax", axis=-1)]
    if shape.operator in ("MatMul", "Product"):
        return [helper.make_node("MatMul", ["x", "second"], ["y"], name="layer")]
    options: dict[str, Any] = {
        "strides": shape.stride,
        "pads": shape.pads,
        "dilations": shape.dilation,
        "group": shape.groups,
        "kernel_shape": shape.weight[2:],
    }
    if any(shape.output_padding):
        options["output_padding"] = shape.output_padding
    return [helper.make_node(shape.operator, ["x", "second"], ["y"], name="layer", **options)]
