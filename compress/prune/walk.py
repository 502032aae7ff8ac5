"""Walks an exported graph once and labels every dimension of every tensor with its channels."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.fx import Node

from edge.compress.aten_graph import call_arguments, operator_name, shape_of, tensor_names
from edge.compress.prune.channels import ChannelClasses, Dims, fixed

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.export import ExportedProgram

    # A rule labels the result of one call from the labels of its arguments.
    Rule = Callable[["Walk", Node, dict[str, Any]], Dims | list[Dims] | None]

logger = logging.getLogger(__name__)


@dataclass
class Walk:
    """State of one walk, which the rules read and extend.

    Attributes:
        channels: What must stay together, and what must stay.
        parameters: Path of a parameter or buffer to its labels.
        consumers: (path, dimension) pairs that are summed over: zeros there equal an absent channel.
    """

    channels: ChannelClasses = field(default_factory=ChannelClasses)
    parameters: dict[str, Dims] = field(default_factory=dict)
    consumers: set[tuple[str, int]] = field(default_factory=set)
    _values: dict[Node, Dims | list[Dims] | None] = field(default_factory=dict)
    _paths: dict[str, str] = field(default_factory=dict)

    def dims(self, value: Any) -> Dims:
        """Labels of a tensor argument; scalars have no dimensions."""
        if not isinstance(value, Node):
            return ()
        labelled = self._values.get(value)
        return labelled if isinstance(labelled, tuple) else ()

    def parts(self, value: Node) -> list[Dims] | None:
        """Labels of a call that returns several tensors."""
        labelled = self._values.get(value)
        return labelled if isinstance(labelled, list) else None

    def path(self, value: Any) -> str | None:
        """Path of a parameter or buffer that is used directly; None for computed tensors."""
        return self._paths.get(value.name) if isinstance(value, Node) else None

    def block(self, value: Any, dims: Any, reason: str) -> None:
        """Forbids to prune the given dimensions of a tensor."""
        labels = self.dims(value)
        for dim in dims:
            self.channels.block(labels[dim], reason)

    def block_inputs(self, node: Node, reason: str) -> None:
        """Forbids to prune any tensor that enters a call."""
        for source in node.all_input_nodes:
            for labels in [self.dims(source), *(self.parts(source) or [])]:
                for one in labels:
                    self.channels.block(one, reason)

    def opaque(self, node: Node, reason: str) -> Dims | list[Dims] | None:
        """Blocks all inputs of a call and gives its results fixed dimensions."""
        self.block_inputs(node, reason)
        return fixed_result(node)

    def run(self, program: ExportedProgram, rules: dict[str, Rule]) -> None:
        """Labels the whole graph."""
        self._paths = tensor_names(program)
        for node in program.graph.nodes:
            if node.op == "placeholder":
                self._values[node] = self._placeholder(node)
            elif node.op == "call_function":
                self._values[node] = self._call(node, rules)
            elif node.op == "output":
                self.block_inputs(node, "it reaches an output of the model")

    def _placeholder(self, node: Node) -> Dims | None:
        path = self._paths.get(node.name)
        if path is None or not node.users:  # an input, or a tensor that only training uses
            result = fixed_result(node)
            return result if isinstance(result, tuple) else None
        self.parameters[path] = tuple(self.channels.fresh(size) for size in shape_of(node))
        return self.parameters[path]

    def _call(self, node: Node, rules: dict[str, Rule]) -> Dims | list[Dims] | None:
        name = operator_name(node)
        if name == "?getitem":
            return self._getitem(node)
        rule = rules.get(name)
        if rule is None:
            logger.debug("operator %s is unknown to pruning", name)
            return self.opaque(node, f"the operator {name.lstrip('?')} is unknown to pruning")
        return rule(self, node, call_arguments(node))

    def _getitem(self, node: Node) -> Dims | list[Dims] | None:
        source, index = node.args
        parts = self.parts(source) if isinstance(source, Node) else None
        return parts[index] if parts is not None and isinstance(index, int) else fixed_result(node)


def fixed_result(node: Node) -> Dims | list[Dims] | None:
    """Fixed dimensions for whatever a call returns."""
    value = node.meta.get("val")
    if isinstance(value, torch.Tensor):
        return tuple(fixed(int(size)) for size in value.shape)
    if isinstance(value, list | tuple):
        shapes = [tuple(v.shape) if isinstance(v, torch.Tensor) else () for v in value]
        return [tuple(fixed(int(size)) for size in shape) for shape in shapes]
    return None
