"""An ONNX graph as the list of operations that the placement rules are for."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import onnx

from edge.compress.dialects.onnx_graph import OnnxGraph
from edge.compress.onnx_model.operator_kinds import ELEMENTWISE, kind_of
from edge.compress.precision_plan import expanded
from edge.compress.quantize.placement_rules import Kind, Operation
from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

FLOAT = onnx.TensorProto.FLOAT


@dataclass(frozen=True, eq=False)
class Layer:
    """The nodes of one operation: a product of matrices and the addition of its bias are one layer.

    Attributes:
        operation: To the rules.
        node: The node that does the work.
        bias: The node behind a MatMul that adds its bias; None where there is none.
    """

    operation: Operation
    node: onnx.NodeProto
    bias: onnx.NodeProto | None = None


def graph_layers_of(graph: OnnxGraph, keep_float: Sequence[str] = ()) -> tuple[Layer, ...]:
    """Every node of a canonical graph with fixed shapes, in its order.

    Args:
        graph: Opened for editing; the layers hold its nodes.
        keep_float: Globs on nodes' names; what matches, or lies inside what matches, is of kind `OTHER`.

    Raises:
        ModelError: The graph's types contradict each other.
    """
    return _Reader(graph, keep_float).layers()


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of each tensor whose type can be inferred.

    Raises:
        ModelError: The graph's types contradict each other.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception as error:  # InferenceError, and what protobuf raises of a malformed graph
        raise ModelError(
            f"the types of the graph cannot be inferred ({first_line(error)})", "check it with onnx.checker"
        ) from error
    typed = (*inferred.input, *inferred.value_info, *inferred.output)
    types = {item.name: int(item.type.tensor_type.elem_type) for item in typed}
    return types | {tensor.name: int(tensor.data_type) for tensor in inferred.initializer}


class _Reader:
    def __init__(self, graph: OnnxGraph, keep_float: Sequence[str]) -> None:
        self._graph = graph
        self._globs = expanded(tuple(keep_float))
        self._readers, self._makers = graph.readers(), graph.producers()
        self._types = element_types(graph.model)

    def layers(self) -> tuple[Layer, ...]:
        biases = {id(n): bias for n in self._graph.nodes if (bias := self._bias_node(n)) is not None}
        taken = {id(bias) for bias in biases.values()}
        nodes = [n for n in self._graph.nodes if id(n) not in taken]
        return tuple(self._layer(node, biases.get(id(node))) for node in nodes)

    def _layer(self, node: onnx.NodeProto, bias: onnx.NodeProto | None) -> Layer:
        inside = [a for a in node.attribute if a.HasField("g") or a.graphs]
        result = (bias or node).output[0]
        kept = any(fnmatchcase(node.name, glob) for glob in self._globs)
        reads = tuple(name for n in (node, bias) if n is not None for name in n.input if name)
        if inside:
            reads = (*reads, *(name for name, users in self._readers.items() if node in users))
        floats = tuple(dict.fromkeys(name for name in node.input if self._is_activation(name)))
        kind = self._kind(node, floats) if self._types.get(result, FLOAT) == FLOAT else Kind.OTHER
        if kept and kind not in (Kind.ACTIVATION, Kind.SAME_SCALE, Kind.AVERAGE):
            kind = Kind.OTHER
        inputs = floats[:1] if kind in (Kind.CONVOLUTION, Kind.LINEAR) else floats
        one_float = self._types.get(result) == FLOAT and not any(node.output[1:])
        takes_levels = one_float and not kept and not inside
        return Layer(Operation(kind, result, inputs, reads, takes_levels), node, bias)

    def _kind(self, node: onnx.NodeProto, floats: tuple[str, ...]) -> Kind:
        kind = kind_of(self._graph, node)
        if kind in (Kind.ADDITION, Kind.GATE, Kind.CONCATENATION):
            joins = len(floats) > 1 and len(floats) == len({name for name in node.input if name})
            return kind if joins and not (kind is Kind.GATE and self._gates_itself(node)) else Kind.OTHER
        return kind if floats and floats[0] == node.input[0] else Kind.OTHER

    def _is_activation(self, name: str) -> bool:
        """A float tensor that could be INT8: a constant that is one number is part of its operator."""
        if not name or self._types.get(name) != FLOAT:
            return False
        return name not in self._graph.constants or self._graph.array(name).size > 1

    def _gates_itself(self, node: onnx.NodeProto) -> bool:
        """Whether it is x * f(x), as Swish, GELU and HardSwish are written: an activation, no gate between branches."""
        return any(self._comes_from(a, b) for a, b in (node.input, reversed(node.input)))

    def _comes_from(self, name: str, source: str) -> bool:
        while name != source:
            maker = self._makers.get(name)
            if maker is None or maker.op_type not in ELEMENTWISE:
                return False
            varying = [n for n in maker.input if n and n not in self._graph.constants]
            if len(varying) != 1:
                return False
            name = varying[0]
        return True

    def _bias_node(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        users = self._readers.get(node.output[0], [])
        if kind_of(self._graph, node) is not Kind.LINEAR or node.op_type != "MatMul" or len(users) != 1:
            return None
        if users[0].op_type != "Add" or node.output[0] in self._graph.outputs:
            return None
        width = self._graph.constants[node.input[1]].dims[1]
        others = [n for n in users[0].input if n in self._graph.constants]
        return users[0] if any(list(self._graph.constants[n].dims) == [width] for n in others) else None
