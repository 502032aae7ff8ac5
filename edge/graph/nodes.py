"""The nodes of an ONNX graph, those of its subgraphs and local functions too, and what is known of their tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import onnx
from onnx import helper

from edge.graph.tensors import GraphTensors, constants_of, values_of
from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from edge.graph.tensors import Shape

DEFAULT_DOMAINS = frozenset({"", "ai.onnx"})
Functions = dict[tuple[str, str], onnx.FunctionProto]


@dataclass(frozen=True)
class GraphNode:
    """One node, and where it stands.

    Attributes:
        proto: The node.
        name: Path of its module, where the graph kept it, or of the tensor that it makes; inside a subgraph behind the
            name of the node that holds it.
        opset: Of the default domain.
    """

    proto: onnx.NodeProto
    name: str
    opset: int
    _tensors: GraphTensors = field(repr=False)

    @property
    def operator(self) -> str:
        """ONNX operator, such as `Conv`."""
        return str(self.proto.op_type)

    @property
    def folds(self) -> bool:
        """Whether it is computed once and for all when the engine is built."""
        return self._tensors.folds(self.proto)

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value: int, float, str, list or graph; `default` where the node has none."""
        found = next((a for a in self.proto.attribute if a.name == name), None)
        if found is None:
            return default
        value = helper.get_attribute_value(found)
        if isinstance(value, bytes):
            return value.decode("utf-8", errors="replace")
        return list(value) if isinstance(value, (list, tuple)) else value

    def input(self, index: int) -> str:
        """Name of an input; empty where it is left out."""
        return str(self.proto.input[index]) if index < len(self.proto.input) else ""

    def shape(self, name: str) -> Shape | None:
        """Of a tensor; None where it is not known or not fixed."""
        return self._tensors.shape(name)

    def rank(self, name: str) -> int | None:
        """Number of dimensions of a tensor; None where it is not known."""
        return self._tensors.rank(name)

    def element(self, name: str) -> str:
        """Element type of a tensor in ONNX's words, such as `FLOAT16`; `UNDEFINED` where it is not known."""
        return str(onnx.TensorProto.DataType.Name(self._tensors.element(name)))

    def values(self, name: str) -> NDArray[Any] | None:
        """What a constant holds; None for other tensors, and for constants whose data lies outside the graph."""
        return values_of(self._tensors.constant(name))

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is known when the engine is built: it comes from constants and fixed shapes alone."""
        return self._tensors.is_constant(name)

    def maker(self, name: str) -> onnx.NodeProto | None:
        """The node that makes a tensor, or None for constants and inputs."""
        return self._tensors.maker(name)

    def readers(self) -> list[onnx.NodeProto]:
        """The nodes of the same graph that read a result of this one."""
        return [reader for name in self.proto.output if name for reader in self._tensors.readers.get(name, [])]


def walk(model: onnx.ModelProto) -> Iterator[GraphNode]:
    """Every node of the graph, in its order; behind a node come those of its subgraphs and of its function's body.

    Raises:
        ModelError: The graph contradicts itself, so that types cannot be inferred.
    """
    typed = _with_types(model)
    functions = {(f.domain, f.name): f for f in typed.functions}
    yield from _walk(typed.graph, "", None, default_opset(typed.opset_import), functions)


def default_opset(imports: Iterable[onnx.OperatorSetIdProto], fallback: int = 0) -> int:
    """The version of ONNX's own operators that a model or function imports."""
    return next((int(o.version) for o in imports if o.domain in DEFAULT_DOMAINS), fallback)


def _walk(
    graph: onnx.GraphProto, prefix: str, around: GraphTensors | None, opset: int, functions: Functions
) -> Iterator[GraphNode]:
    constants = {t.name: t for t in graph.initializer} | constants_of(graph.node)
    described = (*graph.input, *graph.value_info, *graph.output)
    types = {v.name: v.type.tensor_type for v in described if v.type.HasField("tensor_type")}
    tensors = GraphTensors(graph.node, constants, types, around)
    for node in graph.node:
        yield from _visit(node, prefix, tensors, opset, functions)


def _visit(
    node: onnx.NodeProto, prefix: str, tensors: GraphTensors, opset: int, functions: Functions
) -> Iterator[GraphNode]:
    name = prefix + (node.name or next((o for o in node.output if o), node.op_type))
    yield GraphNode(node, name, opset, tensors)
    for attribute in node.attribute:
        for index, graph in enumerate([attribute.g] if attribute.HasField("g") else attribute.graphs):
            part = f"{attribute.name}.{index}" if attribute.graphs else attribute.name
            yield from _walk(graph, f"{name}/{part}/", tensors, opset, functions)
    body = functions.get((node.domain, node.op_type))
    if body is not None:
        inner = GraphTensors(body.node, constants_of(body.node), {}, None)
        for part_node in body.node:
            yield from _visit(part_node, f"{name}/", inner, default_opset(body.opset_import, opset), functions)


def _with_types(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:  # InferenceError, and what protobuf raises of a malformed graph
        raise ModelError(
            f"the types of the graph cannot be inferred ({first_line(error)})", "check it with onnx.checker"
        ) from error
