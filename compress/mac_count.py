"""Multiply-accumulates of a model, counted on its exported graph with the shapes of an example."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from torch.fx import Node

from edge.compress.aten_graph import call_arguments, export, operator_name, shape_of, tensor_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from torch.export import ExportedProgram

    from edge.compress.aten_graph import Inputs


@dataclass(frozen=True)
class LayerMacs:
    """One call that multiplies and accumulates.

    Attributes:
        operator: ATen name, such as `conv2d`.
        weight: Path of its weight in the model; None where both operands are computed.
        macs: Multiply-accumulates of this call, the batch included.
    """

    operator: str
    weight: str | None
    macs: int


def macs(model: nn.Module, example_inputs: Inputs) -> int:
    """Multiply-accumulates of one forward pass: convolutions, linear layers, matrix products, attention.

    Biases, normalisations and activations are not counted. The batch of the example counts: pass one sample
    for a count per sample. A module that is called twice counts twice.

    Args:
        model: Any module that torch.export takes; it is traced in evaluation mode and not changed.
        example_inputs: Positional arguments of forward, or its keyword arguments by name.

    Raises:
        ModelError: The model does not export.
    """
    return sum(layer.macs for layer in layer_macs(export(model, example_inputs)))


def layer_macs(program: ExportedProgram) -> list[LayerMacs]:
    """What each counted call of an exported graph costs, in the order of execution."""
    paths = tensor_names(program)
    layers = []
    for node in program.graph.nodes:
        count = _COUNTS.get(operator_name(node)) if node.op == "call_function" else None
        if count is not None:
            arguments = call_arguments(node)
            weight = arguments.get("weight")
            path = paths.get(weight.name) if isinstance(weight, Node) else None
            layers.append(LayerMacs(operator_name(node), path, count(node, arguments)))
    return layers


def _convolution(node: Node, arguments: dict[str, Any]) -> int:
    """Every output position meets the whole weight of its group once."""
    weight = shape_of(arguments["weight"])
    return prod(shape_of(node)) * prod(weight[1:])


def _transposed_convolution(node: Node, arguments: dict[str, Any]) -> int:
    weight = shape_of(arguments["weight"])
    return prod(shape_of(arguments["input"])) * prod(weight[1:])


def _linear(node: Node, arguments: dict[str, Any]) -> int:
    return prod(shape_of(node)) * shape_of(arguments["weight"])[-1]


def _matmul(node: Node, arguments: dict[str, Any]) -> int:
    first = arguments["self"] if "self" in arguments else arguments["tensor1"]
    return prod(shape_of(node)) * shape_of(first)[-1]


def _added_matmul(node: Node, arguments: dict[str, Any]) -> int:
    first = arguments["mat1"] if "mat1" in arguments else arguments["batch1"]
    return prod(shape_of(node)) * shape_of(first)[-1]


def _attention(node: Node, arguments: dict[str, Any]) -> int:
    """Query times keys, then weights times values."""
    *batch, queries, width = shape_of(arguments["query"])
    keys, value_width = shape_of(arguments["value"])[-2:]
    return prod(batch) * queries * keys * (width + value_width)


def _einsum(node: Node, arguments: dict[str, Any]) -> int:
    """A product over all indices, for the usual two operands without an ellipsis."""
    sizes: dict[str, int] = {}
    for term, operand in zip(arguments["equation"].split("->")[0].split(","), arguments["tensors"], strict=True):
        sizes.update(zip(term.strip(), shape_of(operand), strict=False))
    return prod(sizes.values())


def _recurrent(node: Node, arguments: dict[str, Any]) -> int:
    """Every step of every sequence meets each weight matrix once."""
    weights = [shape_of(tensor) for tensor in arguments["params"]]
    steps = prod(shape_of(arguments["input"])[:-1])
    return steps * sum(prod(shape) for shape in weights if len(shape) == 2)


_COUNTS: dict[str, Callable[[Node, dict[str, Any]], int]] = {
    **dict.fromkeys(["conv1d", "conv2d", "conv3d"], _convolution),
    **dict.fromkeys(["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"], _transposed_convolution),
    "linear": _linear,
    **dict.fromkeys(["matmul", "mm", "bmm", "mv", "dot"], _matmul),
    **dict.fromkeys(["addmm", "baddbmm"], _added_matmul),
    "scaled_dot_product_attention": _attention,
    "einsum": _einsum,
    **dict.fromkeys(["lstm", "gru", "rnn_tanh", "rnn_relu"], _recurrent),
}
