"""Which tensors become INT8, decided on a list of operations that says nothing of its origin.

What a rule needs of a graph is small: what kind each operation is, which float tensors it computes from, and who reads
whom. `edge.compress.quantize.placement` states the rules and writes torch's graphs as such a list;
`edge.compress.onnx_model.graph_operations` writes ONNX files.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence


class Kind(Enum):
    """What an operation is to the rules."""

    CONVOLUTION = auto()
    LINEAR = auto()
    ADDITION = auto()
    GATE = auto()
    CONCATENATION = auto()
    ACTIVATION = auto()  # fused into the layer before it: ReLU or a clip
    SAME_SCALE = auto()  # gives values of its input, or between them
    AVERAGE = auto()
    IDENTITY = auto()  # gives its input itself: dropout, an alias
    OTHER = auto()


WEIGHTED = frozenset({Kind.CONVOLUTION, Kind.LINEAR})
_JOINING = frozenset({Kind.ADDITION, Kind.GATE, Kind.CONCATENATION})
_PASSING = frozenset({Kind.ACTIVATION, Kind.SAME_SCALE, Kind.AVERAGE, Kind.IDENTITY})


@dataclass(frozen=True, eq=False)
class Operation:
    """One step of a model.

    Attributes:
        kind: What it is to the rules; a layer that is to stay float is `OTHER`.
        result: Name of the tensor that it gives.
        inputs: Float tensors that it computes from, each once: of a layer its activation alone.
        reads: All tensors that it reads, weights and shapes as well.
        takes_levels: Whether it may read INT8 values in the place of float ones.
    """

    kind: Kind
    result: str
    inputs: tuple[str, ...]
    reads: tuple[str, ...]
    takes_levels: bool = True


class PlacementPlan:
    """Which tensors become INT8, and which of those share a scale.

    Args:
        operations: In an order in which they can run.
        outputs: Names of the model's outputs.

    Attributes:
        weighted: Layers whose weights become INT8.
        tensors: INT8 tensors, in the order that the rules met them.
    """

    def __init__(self, operations: Sequence[Operation], outputs: Collection[str]) -> None:
        self._operations, self._outputs = operations, frozenset(outputs)
        self._users: dict[str, list[Operation]] = {}
        for operation in operations:
            for name in dict.fromkeys(operation.reads):
                self._users.setdefault(name, []).append(operation)
        self.weighted = tuple(o for o in operations if o.kind in WEIGHTED)
        self.tensors: dict[str, None] = {}
        self._parents: dict[str, str] = {}
        self._place()

    def group_of(self, tensor: str) -> str:
        """The tensor that stands for all that share a scale with this one."""
        while self._parents.get(tensor, tensor) != tensor:
            tensor = self._parents[tensor]
        return tensor

    def readers(self, tensor: str) -> list[Operation]:
        """Who reads an INT8 tensor's levels."""
        return [o for o in self._users.get(tensor, []) if o.takes_levels and tensor in o.inputs]

    def edges(self) -> list[tuple[str, str]]:
        """Every (INT8 tensor, result of who may read its levels) pair, in the order of the readers."""
        readers = (o for o in self._operations if o.takes_levels)
        return [(name, o.result) for o in readers for name in o.reads if name in self.tensors]

    def _place(self) -> None:
        island, demanded, before = self._forward(), self._backward(), self._ancestors()
        for operation in self._operations:
            if operation.kind in WEIGHTED:
                self._want(operation.inputs[:1])
                if operation.kind is Kind.CONVOLUTION and operation.result in before:
                    self._want([self._with_activation(operation)])
            elif operation.result in demanded and not island.isdisjoint(operation.inputs):
                self._want_passing(operation)

    def _forward(self) -> set[str]:
        """Results of quantized layers, and what is made of them without leaving INT8."""
        island: set[str] = set()
        for operation in self._operations:
            follows = operation.kind in _JOINING | _PASSING and not island.isdisjoint(operation.inputs)
            if follows or operation.kind in WEIGHTED:
                island.add(operation.result)
        return island

    def _backward(self) -> set[str]:
        """What a quantized layer takes, and what that is made of."""
        demanded: set[str] = set()
        for operation in reversed(self._operations):
            for user in self._users.get(operation.result, []):
                passes = user.kind in _JOINING | _PASSING and user.result in demanded
                if (passes or user.kind in WEIGHTED) and operation.result in user.inputs:
                    demanded.add(operation.result)
        return demanded

    def _ancestors(self) -> set[str]:
        found: set[str] = set()
        for operation in reversed(self._operations):
            users = self._users.get(operation.result, [])
            if any(user.kind in WEIGHTED or user.result in found for user in users):
                found.add(operation.result)
        return found

    def _with_activation(self, operation: Operation) -> str:
        users = self._users.get(operation.result, [])
        alone = len(users) == 1 and operation.result not in self._outputs
        return users[0].result if alone and users[0].kind is Kind.ACTIVATION else operation.result

    def _want_passing(self, operation: Operation) -> None:
        inputs, result = operation.inputs, operation.result
        if operation.kind in _JOINING:
            self._want(inputs)
            if operation.kind is Kind.CONCATENATION:
                self._want([result])
                self._share([result, *inputs])
            elif operation.kind is Kind.ADDITION:
                self._share(inputs)
        elif operation.kind in (Kind.SAME_SCALE, Kind.AVERAGE):
            self._want([inputs[0], result])
            if operation.kind is Kind.SAME_SCALE:
                self._share([inputs[0], result])

    def _want(self, tensors: Iterable[str]) -> None:
        self.tensors.update(dict.fromkeys(tensors))

    def _share(self, tensors: Sequence[str]) -> None:
        first = self.group_of(tensors[0])
        for tensor in tensors[1:]:
            self._parents[self.group_of(tensor)] = first
