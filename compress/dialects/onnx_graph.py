"""An ONNX graph opened for editing: who makes a tensor, who reads it, and what the constants hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray


class OnnxGraph:
    """A working copy of a model; edit, then `finish`.

    Attributes:
        model: The copy.
        constants: Initializers by name.
        inputs: Names of the graph's inputs.
        outputs: Names of the graph's outputs.
        captured: Names that subgraphs (of If, Loop, Scan) read, or have for what is their own: they cannot change.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        graph = self.model.graph
        self.constants: dict[str, onnx.TensorProto] = {t.name: t for t in graph.initializer}
        self.inputs = [i.name for i in graph.input]
        self.outputs = [o.name for o in graph.output]
        self.nodes: list[onnx.NodeProto] = list(graph.node)
        self.captured = frozenset(name for node in self.nodes for name in _names_inside(node))
        self._count = 0

    def producers(self) -> dict[str, onnx.NodeProto]:
        """The node that makes each tensor."""
        return {name: node for node in self.nodes for name in node.output if name}

    def readers(self) -> dict[str, list[onnx.NodeProto]]:
        """The nodes that read each tensor, in their subgraphs too."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(n for n in _reads(node) if n):
                found.setdefault(name, []).append(node)
        return found

    def array(self, name: str) -> NDArray[Any]:
        """The values of a constant."""
        return np.asarray(numpy_helper.to_array(self.constants[name]))

    def add_constant(self, values: NDArray[np.generic]) -> str:
        """Adds a constant, or finds the one that holds the same, and returns its name."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape))
        key = constant_key(tensor)
        for name, known in self.constants.items():
            alike = known.data_type == tensor.data_type and known.dims == tensor.dims  # keys copy whole weights
            if alike and constant_key(known) == key:
                return str(name)
        tensor.name = self.fresh("c")
        self.constants[tensor.name] = tensor
        return str(tensor.name)

    def fresh(self, stem: str) -> str:
        """A tensor name that is not in use; `tidy` shortens it."""
        self._count += 1
        return f"edge.{stem}.{self._count}"

    def redirect(self, old: str, new: str) -> None:
        """Lets every reader of `old` read `new`, but for subgraphs."""
        for node in self.nodes:
            for index, name in enumerate(node.input):
                if name == old:
                    node.input[index] = new

    def finish(self) -> onnx.ModelProto:
        """Drops what nothing reads, puts the nodes in order and returns the model."""
        kept = _sorted_nodes(_live_nodes(self.nodes, self.outputs), {*self.inputs, *self.constants})
        read = {name for node in kept for name in _reads(node)} | set(self.outputs)
        # Copies first: clearing the containers frees what they hold.
        nodes = [_copy_node(n) for n in kept]
        constants = [_copy_constant(t) for name, t in self.constants.items() if name in read]
        graph = self.model.graph
        del graph.node[:]
        del graph.initializer[:]
        graph.node.extend(nodes)
        graph.initializer.extend(constants)
        return self.model


def constant_key(tensor: onnx.TensorProto) -> tuple[int, tuple[int, ...], bytes]:
    """What two constants have in common when they are the same."""
    return tensor.data_type, tuple(tensor.dims), np.ascontiguousarray(numpy_helper.to_array(tensor)).tobytes()


def attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    """An integer attribute."""
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def make_node(op: str, inputs: Iterable[str], output: str, **attributes: object) -> onnx.NodeProto:
    """A node with one output."""
    return helper.make_node(op, list(inputs), [output], **attributes)


def _live_nodes(nodes: list[onnx.NodeProto], outputs: list[str]) -> list[onnx.NodeProto]:
    makers = {name: node for node in nodes for name in node.output}
    pending, wanted = list(outputs), set()
    while pending:
        name = pending.pop()
        node = makers.get(name)
        if node is not None and id(node) not in wanted:
            wanted.add(id(node))
            pending.extend(_reads(node))
    return [n for n in nodes if id(n) in wanted]


def _sorted_nodes(nodes: list[onnx.NodeProto], known: set[str]) -> list[onnx.NodeProto]:
    # What a subgraph has of its own is made nowhere out here.
    made = {name for node in nodes for name in node.output}
    known = {*known, *(name for node in nodes for name in _names_inside(node) if name not in made), ""}
    done: list[onnx.NodeProto] = []
    waiting = nodes
    while waiting:
        later = []
        for node in waiting:
            if known.issuperset(_reads(node)):
                known.update(node.output)
                done.append(node)
            else:
                later.append(node)
        assert len(later) < len(waiting), "the edited graph has a cycle"
        waiting = later
    return done


def _copy_node(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def _copy_constant(tensor: onnx.TensorProto) -> onnx.TensorProto:
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    return copy


def _reads(node: onnx.NodeProto) -> list[str]:
    return [*node.input, *_names_inside(node)]


def _names_inside(node: onnx.NodeProto) -> Iterator[str]:
    for graph in _subgraphs(node):
        yield from (item.name for item in (*graph.input, *graph.output, *graph.initializer))
        for inner in graph.node:
            yield from (name for name in (*_reads(inner), *inner.output) if name)


def _subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [graph for a in node.attribute for graph in ([a.g] if a.HasField("g") else a.graphs)]
