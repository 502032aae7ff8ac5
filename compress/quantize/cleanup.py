"""Makes an ONNX file small and the same wherever it is written: no source paths, no doubles, short names."""

from __future__ import annotations

import string

import numpy as np
import onnx
from onnx import numpy_helper

from edge.compress.quantize.onnx_graph import OnnxGraph, constant_key

_DIGITS = string.ascii_lowercase + string.digits
_PURE = {"QuantizeLinear", "DequantizeLinear", "Cast", "Reshape", "Relu", "Gather", "Sub", "Unsqueeze", "Squeeze"}
_QDQ = {"QuantizeLinear", "DequantizeLinear"}
_DEFAULTS = {
    ("Conv", "group"): 1,
    ("Reshape", "allowzero"): 0,
    ("MaxPool", "ceil_mode"): 0,
    ("MaxPool", "storage_order"): 0,
}
_WEIGHTED = {"Conv", "Gemm", "MatMul"}


def tidy(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with the same inputs, outputs and values, and nothing else that is not needed to run it.

    Layers with weights keep the path of their module as node name, so that a board's layer report can be read.
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
    taken = {""}
    for node in graph.nodes:
        path = ""
        if node.op_type in _WEIGHTED:
            path = next((_module_of(name) for name in reversed(node.input) if name in graph.constants), "")
            path = path or ("" if node.name.startswith("node_") else node.name)
        # Layers that share a constant would share its name, which ONNX Runtime refuses.
        node.name = "" if path in taken else path
        taken.add(path)


def _module_of(constant: str) -> str:
    for ending in (".weight_bias", ".bias", ".weight"):
        if constant.endswith(ending):
            return constant[: -len(ending)]
    return ""


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
            if name in graph.outputs:
                continue
            graph.redirect(name, kept)
            del graph.constants[name]
        else:
            packed = numpy_helper.from_array(np.asarray(numpy_helper.to_array(tensor)), name)
            graph.constants[name] = packed


def _merge_nodes(graph: OnnxGraph) -> None:
    merged = True
    while merged:
        merged = False
        first: dict[tuple[object, ...], onnx.NodeProto] = {}
        for node in list(graph.nodes):
            if node.op_type not in _PURE or node.output[0] in graph.outputs:
                continue
            attributes = tuple(sorted(a.SerializeToString(deterministic=True) for a in node.attribute))
            key = (node.op_type, node.domain, tuple(node.input), attributes)
            kept = first.setdefault(key, node)
            if kept is not node:
                graph.redirect(node.output[0], kept.output[0])
                graph.nodes.remove(node)
                merged = True


def _rename_tensors(graph: OnnxGraph) -> None:
    names = {name: name for name in (*graph.inputs, *graph.outputs, "")}
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
    model.producer_name, model.producer_version, model.doc_string = "edge", "", ""
    graph = model.graph
    graph.name, graph.doc_string = "edge", ""
    del graph.value_info[:]
    for item in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    for node in graph.node:
        for attribute in node.attribute:
            attribute.doc_string = ""
