"""Makes an ONNX file small and the same wherever it is written: no source paths, no doubles, short names."""

from __future__ import annotations

import ast
import re
import string

import numpy as np
import onnx
from onnx import numpy_helper

from edge.compress.dialects.onnx_graph import OnnxGraph, constant_key

_DIGITS = string.ascii_lowercase + string.digits
_PURE = {"QuantizeLinear", "DequantizeLinear", "Cast", "Reshape", "Relu", "Gather", "Sub", "Unsqueeze", "Squeeze"}
_QDQ = {"QuantizeLinear", "DequantizeLinear"}
_DEFAULTS = {
    ("Conv", "group"): 1,
    ("Reshape", "allowzero"): 0,
    ("MaxPool", "ceil_mode"): 0,
    ("MaxPool", "storage_order"): 0,
}
_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
# `convolution` is what a transposed one is decomposed to.
_OWN_OPERATORS = {"conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "convolution", "linear"}
# Nodes whose names nobody asks for, and which are most of a quantized graph.
_PLUMBING = _QDQ | {"Constant", "Cast", "Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather"}
_SCOPES = "pkg.torch.onnx.name_scopes"  # of torch.onnx: the modules around a node, and its operator


def tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with the same inputs, outputs and values, and nothing else that is not needed to run it.

    What computes keeps the path of its module as node name, so that a board's layer report can be read.
    """
    graph = OnnxGraph(model)
    _name_layers(graph)
    _lift_constant_nodes(graph)
    _merge_constants(graph)
    _drop_defaults(graph)
    _merge_nodes(graph)
    _rename_tensors(graph)
    tidied = graph.finish()
    _strip(tidied)
    return tidied


def _name_layers(graph: OnnxGraph) -> None:
    paths = ["" if node.op_type in _PLUMBING else _path(graph, node) for node in graph.nodes]
    known, taken, counts = set(paths), {""}, dict.fromkeys(paths, 1)
    for node, path in zip(graph.nodes, paths, strict=True):
        # ONNX Runtime refuses two nodes of one name; but modules are called twice, operators written as several nodes.
        name = path
        while path and name in taken:
            counts[path] += 1
            name = f"{path}.{counts[path]}"
            name = path if name in known else name  # another module's own
        node.name = name
        taken.add(name)


def _path(graph: OnnxGraph, node: onnx.NodeProto) -> str:
    """Where in the model a node stands: its module and operator, or its module alone where that is one layer.

    A convolution that took in the batch norm behind it has the scopes of that; then its weight tells. Elsewhere a
    weight is no witness: the exporter merges those that are alike, and INT8 ones have no names.
    """
    *modules, operator = _scopes(node) or ("",)
    operator = re.sub(r"_\d+$", "", operator).rstrip("_")
    module = next((path for path in reversed(modules) if path), "")
    if operator in _OWN_OPERATORS:
        return module or operator
    weights = (name for name in node.input if name in graph.constants and node.op_type in _WEIGHTED)
    holder = next((name.removesuffix(".weight") for name in weights if name.endswith(".weight")), "")
    if holder or not operator:
        return holder or ("" if node.name.startswith("node_") else str(node.name))
    return f"{module}.{operator}".lstrip(".")


def _scopes(node: onnx.NodeProto) -> tuple[str, ...]:
    """The paths of the modules around a node, outermost first, and its operator; empty where nobody wrote them."""
    written = next((p.value for p in node.metadata_props if p.key == _SCOPES), "[]")
    try:
        found = ast.literal_eval(written)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ()
    return tuple(found) if isinstance(found, list) and all(isinstance(scope, str) for scope in found) else ()


def _lift_constant_nodes(graph: OnnxGraph) -> None:
    for node in [n for n in graph.nodes if n.op_type == "Constant"]:
        value = next((a for a in node.attribute if a.name == "value"), None)
        if value is not None:
            tensor = onnx.TensorProto()
            tensor.CopyFrom(value.t)
            tensor.name = node.output[0]
            graph.constants[tensor.name] = tensor
            graph.nodes.remove(node)


def _merge_constants(graph: OnnxGraph) -> None:
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    for name, tensor in list(graph.constants.items()):
        key = constant_key(tensor)
        kept = first.setdefault(key, name)
        if kept != name:
            if name in graph.outputs or name in graph.captured:
                continue
            graph.redirect(name, kept)
            del graph.constants[name]
        else:
            packed = numpy_helper.from_array(np.asarray(numpy_helper.to_array(tensor)), name)
            graph.constants[name] = packed


def _merge_nodes(graph: OnnxGraph) -> None:
    fixed = {*graph.outputs, *graph.captured}
    merged = True
    while merged:
        merged = False
        first: dict[tuple[object, ...], onnx.NodeProto] = {}
        for node in list(graph.nodes):
            if node.op_type not in _PURE or node.output[0] in fixed:
                continue
            attributes = tuple(sorted(a.SerializeToString(deterministic=True) for a in node.attribute))
            key = (node.op_type, node.domain, tuple(node.input), attributes)
            kept = first.setdefault(key, node)
            if kept is not node:
                graph.redirect(node.output[0], kept.output[0])
                graph.nodes.remove(node)
                merged = True


def _rename_tensors(graph: OnnxGraph) -> None:
    names = {name: name for name in (*graph.inputs, *graph.outputs, *graph.captured, "")}
    taken = set(names)
    counter = 0
    for node in graph.nodes:
        for name in (*node.input, *node.output):
            if name in names:
                continue
            short = _short(counter)
            while short in taken:
                counter += 1
                short = _short(counter)
            counter += 1
            names[name] = short
    for node in graph.nodes:
        node.input[:] = [names[n] for n in node.input]
        node.output[:] = [names[n] for n in node.output]
    graph.constants = {names[old]: tensor for old, tensor in graph.constants.items() if old in names}
    for name, tensor in graph.constants.items():
        tensor.name = name


def _short(number: int) -> str:
    text = _DIGITS[number % 26]
    number //= 26
    while number:
        number -= 1
        text += _DIGITS[number % len(_DIGITS)]
        number //= len(_DIGITS)
    return text


def _drop_defaults(graph: OnnxGraph) -> None:
    for node in graph.nodes:
        scalar_scale = node.op_type in _QDQ and node.input[1] in graph.constants
        scalar_scale = scalar_scale and not graph.constants[node.input[1]].dims
        kept = [a for a in node.attribute if not (_is_default(node, a) or (scalar_scale and a.name == "axis"))]
        copies = [onnx.AttributeProto.FromString(a.SerializeToString()) for a in kept]
        del node.attribute[:]
        node.attribute.extend(copies)


def _is_default(node: onnx.NodeProto, attribute: onnx.AttributeProto) -> bool:
    key = (node.op_type, attribute.name)
    if key == ("Conv", "dilations"):
        return set(attribute.ints) == {1}
    if key == ("Conv", "auto_pad"):
        return bool(attribute.s == b"NOTSET")
    return key in _DEFAULTS and bool(attribute.i == _DEFAULTS[key])


def _strip(model: onnx.ModelProto) -> None:
    model.producer_name, model.producer_version = "edge", ""
    model.graph.name = "edge"
    del model.graph.value_info[:]
    del model.metadata_props[:]
    model.doc_string = ""
    _strip_graph(model.graph)


def _strip_graph(graph: onnx.GraphProto) -> None:
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    for attribute in (a for node in graph.node for a in node.attribute):
        attribute.doc_string = ""
        for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            _strip_graph(inner)
