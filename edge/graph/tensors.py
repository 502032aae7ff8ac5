"""The tensors of one ONNX graph, or subgraph: constants, types, who makes them, and which are known before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

Shape = tuple[int, ...]
# Their result is known where their inputs' shapes are, whatever the inputs hold.
_OF_SHAPE = frozenset({"Shape", "Size"})
_NUMBERS: dict[str, type[np.generic]] = {
    "value_int": np.int64,
    "value_ints": np.int64,
    "value_float": np.float32,
    "value_floats": np.float32,
}


class GraphTensors:
    """What the names of one graph stand for; names that it lacks are those of the graph around it.

    Attributes:
        readers: The nodes of this graph that read each tensor.
    """

    def __init__(
        self,
        nodes: Sequence[onnx.NodeProto],
        constants: dict[str, onnx.TensorProto],
        types: dict[str, onnx.TypeProto.Tensor],
        around: GraphTensors | None,
    ) -> None:
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        self._constants, self._types, self._around = constants, types, around
        self._makers: dict[str, onnx.NodeProto] = {}
        self._folded: set[str] = set()
        for node in nodes:  # in the order of the graph, so that what a node reads is known
            self._makers.update((name, node) for name in node.output if name)
            for name in dict.fromkeys(n for n in node.input if n):
                self.readers.setdefault(name, []).append(node)
            if self.folds(node):
                self._folded.update(name for name in node.output if name)

    def constant(self, name: str) -> onnx.TensorProto | None:
        """The constant of a name."""
        holder = self._holder(name)
        return holder._constants.get(name) if holder else None

    def maker(self, name: str) -> onnx.NodeProto | None:
        """The node that makes a tensor."""
        holder = self._holder(name)
        return holder._makers.get(name) if holder else None

    def is_constant(self, name: str) -> bool:
        """Whether a tensor is known when the engine is built."""
        holder = self._holder(name)
        return holder is not None and (name in holder._constants or name in holder._folded)

    def folds(self, node: onnx.NodeProto) -> bool:
        """Whether all that a node reads is known when the engine is built."""
        if node.op_type in _OF_SHAPE:
            return all(self.shape(name) is not None for name in node.input)
        inner = any(a.HasField("g") or a.graphs for a in node.attribute)
        return any(node.input) and not inner and all(self.is_constant(name) for name in node.input if name)

    def shape(self, name: str) -> Shape | None:
        """Of a tensor; None where it is not known or not fixed."""
        constant = self.constant(name)
        if constant is not None:
            return tuple(constant.dims)
        known = self._type(name)
        if known is None or not all(d.HasField("dim_value") for d in known.shape.dim):
            return None
        return tuple(d.dim_value for d in known.shape.dim)

    def rank(self, name: str) -> int | None:
        """Number of dimensions of a tensor; None where it is not known."""
        constant = self.constant(name)
        if constant is not None:
            return len(constant.dims)
        known = self._type(name)
        return len(known.shape.dim) if known is not None else None

    def element(self, name: str) -> int:
        """Element type of a tensor, 0 where it is not known."""
        constant = self.constant(name)
        if constant is not None:
            return int(constant.data_type)
        holder = self._holder(name)
        known = holder._types.get(name) if holder else None
        return int(known.elem_type) if known is not None else 0

    def _type(self, name: str) -> onnx.TypeProto.Tensor | None:
        holder = self._holder(name)
        known = holder._types.get(name) if holder else None
        return known if known is not None and known.HasField("shape") else None

    def _holder(self, name: str) -> GraphTensors | None:
        if name in self._constants or name in self._makers or name in self._types:
            return self
        return self._around._holder(name) if self._around else None


def constants_of(nodes: Iterable[onnx.NodeProto]) -> dict[str, onnx.TensorProto]:
    """What `Constant` nodes hold; those of strings and of sparse tensors are left out."""
    found = {}
    for node in nodes:
        if node.op_type == "Constant" and len(node.attribute) == 1:
            attribute = node.attribute[0]
            if attribute.name == "value":
                found[node.output[0]] = attribute.t
            elif attribute.name in _NUMBERS:
                value = np.asarray(helper.get_attribute_value(attribute), _NUMBERS[attribute.name])
                found[node.output[0]] = numpy_helper.from_array(value)
    return found


def values_of(constant: onnx.TensorProto | None) -> NDArray[Any] | None:
    """What a constant holds; None where there is none, or its data lies outside the graph."""
    if constant is None or constant.data_location == onnx.TensorProto.EXTERNAL:
        return None
    return np.asarray(numpy_helper.to_array(constant))
