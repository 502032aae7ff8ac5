"""Weights and biases of an exported graph, by the nodes that read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.fx import GraphModule, Node


def parameter_of(model: GraphModule, node: Node) -> Tensor:
    """The tensor that a `get_attr` node reads."""
    owner, name = _owner(model, node)
    found = getattr(owner, name)
    assert isinstance(found, Tensor)
    return found


def set_parameter(model: GraphModule, node: Node, values: Tensor) -> None:
    """Replaces what a `get_attr` node reads; the module that was exported keeps its own."""
    owner, name = _owner(model, node)
    setattr(owner, name, nn.Parameter(values.detach().clone(), requires_grad=False))


def arguments_of(node: Node) -> tuple[Any, ...]:
    """What a node is called with; torch's own type for it is a union of everything."""
    return node.args


def is_own(node: Node) -> bool:
    """Whether a node is a parameter that one layer alone reads."""
    if node.op != "get_attr":
        return False
    reads = [n for n in node.graph.nodes if n.op == "get_attr" and n.target == node.target]
    return sum(len(n.users) for n in reads) == 1


def _owner(model: GraphModule, node: Node) -> tuple[nn.Module, str]:
    path, _, name = str(node.target).rpartition(".")
    return model.get_submodule(path), name
