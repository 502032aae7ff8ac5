"""What a layer computes, as far as its latency goes: shapes and strides, at any width."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from torch.fx import Node

from edge.compress.aten_graph import call_arguments, operator_name, shape_of, tensor_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.export import ExportedProgram


@dataclass(frozen=True)
class LayerShape:
    """One layer at one width; equal shapes take equally long.

    Attributes:
        operator: `Conv`, `ConvTranspose` and `MatMul` have a weight; `Product` multiplies two computed tensors,
            `Scores` is one with a softmax behind it.
        entering: Shape of the input; of a product `[batch, rows, inner]`.
        weight: As torch has it; of a product the second operand, `[batch, inner, columns]`.
        stride: By dimension of space.
        pads: Before each dimension of space, then after each.
        dilation: By dimension of space.
        output_padding: By dimension of space, of a transposed convolution.
        groups: Of a convolution.
    """

    operator: Literal["Conv", "ConvTranspose", "MatMul", "Product", "Scores"]
    entering: tuple[int, ...]
    weight: tuple[int, ...]
    stride: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    output_padding: tuple[int, ...] = ()
    groups: int = 1

    @property
    def key(self) -> str:
        """The shape in one line: what a width table knows it by."""
        options = {"s": self.stride, "p": self.pads, "d": self.dilation, "o": self.output_padding}
        said = [f"{letter}{_joined(values)}" for letter, values in options.items() if values]
        groups = [f"g{self.groups}"] if self.groups > 1 else []
        return " ".join([self.operator, _joined(self.entering), _joined(self.weight), *said, *groups])

    def resized(self, entering: int, leaving: int) -> LayerShape:
        """The layer between other widths; a product has `entering` matrices, and `leaving` says nothing."""
        if self.operator in ("Product", "Scores"):
            batch = (entering,)
            return replace(self, entering=batch + self.entering[1:], weight=batch + self.weight[1:])
        if self.operator == "MatMul":
            return replace(self, entering=(*self.entering[:-1], entering), weight=(leaving, entering))
        groups = self.groups
        if 1 < groups == self.entering[1]:  # depthwise: as many groups as channels
            groups = entering
        into = (1, entering, *self.entering[2:])
        first, second = (leaving, entering) if self.operator == "Conv" else (entering, leaving)
        return replace(self, entering=into, weight=(first, second // groups, *self.weight[2:]), groups=groups)


@dataclass(frozen=True)
class LayerUse:
    """A layer of a graph, and what decides its width.

    Attributes:
        shape: At full width.
        weight: Path of its weight; None of a product.
        node: Name of the call in the exported graph.
        heads: Name of the group that a product loses matrices with, where there is one.
    """

    shape: LayerShape
    weight: str | None
    node: str
    heads: str | None = None

    @property
    def product_macs(self) -> int:
        """Multiply-accumulates of a product of two computed tensors; 0 of a layer with a weight."""
        return 0 if self.weight else prod(self.shape.entering) * self.shape.weight[-1]


def layer_uses(program: ExportedProgram) -> Iterator[LayerUse]:
    """All layers of a graph that multiply and accumulate, in the order of execution."""
    paths = tensor_names(program)
    for node in program.graph.nodes:
        read = _SHAPES.get(operator_name(node)) if node.op == "call_function" else None
        if read is not None:
            arguments = call_arguments(node)
            weight = arguments.get("weight")
            path = paths.get(weight.name) if isinstance(weight, Node) else None
            yield from (LayerUse(shape, path, node.name) for shape in read(arguments))


def _joined(values: tuple[int, ...]) -> str:
    return "x".join(map(str, values))


def _convolution(arguments: dict[str, Any]) -> list[LayerShape]:
    weight = shape_of(arguments["weight"])
    rank = len(weight) - 2
    dilation = _each(arguments.get("dilation", 1), rank)
    padding = arguments.get("padding", 0)
    return [
        LayerShape(
            "Conv",
            _batch_of_one(arguments["input"], rank),
            weight,
            stride=_each(arguments.get("stride", 1), rank),
            pads=_named_padding(padding, weight[2:], dilation)
            if isinstance(padding, str)
            else _each(padding, rank) * 2,
            dilation=dilation,
            groups=arguments.get("groups", 1),
        )
    ]


def _transposed_convolution(arguments: dict[str, Any]) -> list[LayerShape]:
    weight = shape_of(arguments["weight"])
    rank = len(weight) - 2
    return [
        LayerShape(
            "ConvTranspose",
            _batch_of_one(arguments["input"], rank),
            weight,
            stride=_each(arguments.get("stride", 1), rank),
            pads=_each(arguments.get("padding", 0), rank) * 2,
            dilation=_each(arguments.get("dilation", 1), rank),
            output_padding=_each(arguments.get("output_padding", 0), rank),
            groups=arguments.get("groups", 1),
        )
    ]


def _linear(arguments: dict[str, Any]) -> list[LayerShape]:
    entering = shape_of(arguments["input"])
    return [LayerShape("MatMul", (prod(entering[:-1]), entering[-1]), shape_of(arguments["weight"]))]


def _matmul(arguments: dict[str, Any]) -> list[LayerShape]:
    first = arguments["self"] if "self" in arguments else arguments["tensor1"]
    second = next(arguments[name] for name in ("other", "mat2", "tensor2") if name in arguments)
    if min(len(shape_of(first)), len(shape_of(second))) < 2:
        return []
    batch = max(prod(shape_of(first)[:-2]), prod(shape_of(second)[:-2]))
    return [LayerShape("Product", (batch, *shape_of(first)[-2:]), (batch, *shape_of(second)[-2:]))]


def _attention(arguments: dict[str, Any]) -> list[LayerShape]:
    """Queries times keys with a softmax, then that times values."""
    *batch, queries, width = shape_of(arguments["query"])
    keys, value_width = shape_of(arguments["value"])[-2:]
    heads = prod(batch)
    return [
        LayerShape("Scores", (heads, queries, width), (heads, width, keys)),
        LayerShape("Product", (heads, queries, keys), (heads, keys, value_width)),
    ]


def _batch_of_one(node: Node, rank: int) -> tuple[int, ...]:
    return (1, *shape_of(node)[-rank - 1 :])


def _each(value: Any, rank: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * rank if len(values) == 1 else values


def _named_padding(name: str, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[int, ...]:
    """`valid` adds nothing, `same` what keeps the size; an odd one goes behind."""
    totals = [0 if name == "valid" else d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return (*(total // 2 for total in totals), *(total - total // 2 for total in totals))


_SHAPES: dict[str, Callable[[dict[str, Any]], list[LayerShape]]] = {
    **dict.fromkeys(["conv1d", "conv2d", "conv3d"], _convolution),
    **dict.fromkeys(["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"], _transposed_convolution),
    "linear": _linear,
    **dict.fromkeys(["matmul", "mm", "bmm"], _matmul),
    "scaled_dot_product_attention": _attention,
}
