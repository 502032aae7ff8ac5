"""An ONNX model in the one form that quantization reads, whichever exporter wrote it and whatever its opset.

Opset 18, no local functions, constants as initializers, every node named, no identities, and what only scales and
shifts channels behind a convolution folded into it. Sizes may still be dynamic.
"""

from __future__ import annotations

import logging

import onnx
import onnx.inliner
from onnx import version_converter

from edge.compress.dialects.cleanup import tidy
from edge.compress.dialects.onnx_graph import OnnxGraph
from edge.compress.onnx_model.channel_affines import fold_affines
from edge.runtime.errors import ModelError, first_line

OPSET, OLDEST = 18, 13
ONNX_DOMAINS = ("", "ai.onnx")
_QUANTIZED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})
_NAME_OF_OUTPUT = "_output_0"  # what torch's older exporter adds to a node's name
logger = logging.getLogger(__name__)


def canonical_form(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that computes the same with the same inputs and outputs.

    Args:
        model: Float, opset 13 or newer, its weights inside.

    Raises:
        ModelError: It is quantized already, not valid, older than opset 13, or cannot be brought to opset 18.
    """
    inlined = onnx.inliner.inline_local_functions(model) if model.functions else model
    _refuse_quantized(inlined)
    converted = _at_opset(inlined)
    _check(converted)
    graph = OnnxGraph(_named(converted))
    _drop_identities(graph)
    graph = OnnxGraph(tidy(graph.finish()))
    fold_affines(graph)
    return tidy(graph.finish())


def _refuse_quantized(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type in _QUANTIZED or node.op_type.startswith("QLinear") or node.op_type.endswith("Integer"):
            raise ModelError(
                f"the model is quantized already ('{node.name or node.output[0]}' is {node.op_type})",
                "pass the float model that it was made from",
            )


def _at_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    version = next((int(o.version) for o in model.opset_import if o.domain in ONNX_DOMAINS), 0)
    if version == OPSET:
        return model
    if version < OLDEST:
        raise ModelError(f"the model has opset {version}", f"export it with opset {OLDEST} or newer, best {OPSET}")
    try:
        converted = version_converter.convert_version(model, OPSET)
    except Exception as error:  # RuntimeError and ConvertError of the converter's C++ core
        raise ModelError(
            f"the model of opset {version} cannot be brought to {OPSET} ({first_line(error)})",
            f"export it with opset_version={OPSET}",
        ) from error
    logger.info("opset %d brought to %d", version, OPSET)
    return converted


def _check(model: onnx.ModelProto) -> None:
    try:  # with shapes, for the checker wants one of each output where exporters leave it out
        onnx.checker.check_model(onnx.shape_inference.infer_shapes(model), full_check=True)
    except Exception as error:  # ValidationError, InferenceError, and what protobuf raises
        raise ModelError(f"the model is not valid ONNX ({first_line(error)})", "export it again") from error


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Nodes without a name get that of what they make, so that globs and reports can speak of them.

    Weights are taken off the list of inputs, where old exporters have them.
    """
    named = onnx.ModelProto()
    named.CopyFrom(model)
    constants = {tensor.name for tensor in named.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in constants]
    del named.graph.input[:]
    named.graph.input.extend(inputs)
    for node in named.graph.node:
        if not node.name:
            made = next(filter(None, node.output), node.op_type)
            node.name = made.removesuffix(_NAME_OF_OUTPUT)
    return named


def _drop_identities(graph: OnnxGraph) -> None:
    """Identity, and Dropout as it is in inference: their readers read what they read."""
    for node in list(graph.nodes):
        passes = node.op_type == "Identity" or (node.op_type == "Dropout" and _is_inference(graph, node))
        fixed = node.output[0] in graph.outputs or node.output[0] in graph.captured
        if passes and node.domain in ONNX_DOMAINS and not fixed:
            graph.redirect(node.output[0], node.input[0])
            graph.nodes.remove(node)


def _is_inference(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    mask_is_read = len(node.output) > 1 and node.output[1] in graph.readers()
    mode = node.input[2] if len(node.input) > 2 else ""
    return not mask_is_read and (not mode or (mode in graph.constants and not graph.array(mode).any()))
