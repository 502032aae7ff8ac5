"""The ATen graph of a module, for pruning and counting: one way to export it, one way to read a call's arguments."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram
    from torch.fx import Node

# Positional arguments of forward, or its keyword arguments by name.
Inputs = Sequence[Any] | Mapping[str, Any]


def evaluation_copy(model: nn.Module) -> nn.Module:
    """A deep copy in evaluation mode; the caller's model keeps its mode, gradients and values."""
    return copy.deepcopy(model).eval()


def first_sample(inputs: Inputs) -> Inputs:
    """The example at batch 1."""
    if isinstance(inputs, Mapping):
        return {name: value[:1] if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}
    return tuple(value[:1] if isinstance(value, torch.Tensor) else value for value in inputs)


def call(model: nn.Module, inputs: Inputs) -> Any:
    """Runs `model` on positional or keyword inputs."""
    return model(**inputs) if isinstance(inputs, Mapping) else model(*inputs)


def export(model: nn.Module, inputs: Inputs) -> ExportedProgram:
    """Exports a copy of `model` in evaluation mode with the static shapes of `inputs`.

    Raises:
        ModelError: torch.export refuses the model or the inputs; its first line is passed on.
    """
    positional = () if isinstance(inputs, Mapping) else tuple(inputs)
    named = dict(inputs) if isinstance(inputs, Mapping) else {}
    try:
        with torch.no_grad():
            return torch.export.export(evaluation_copy(model), positional, named, strict=False)
    except Exception as error:  # torch.export raises whatever forward raises
        cause = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"torch.export cannot trace {type(model).__name__} with the example inputs: {cause}",
            "give inputs that forward accepts, and move data-dependent Python branches out of it",
        ) from error


def operator_name(node: Node) -> str:
    """`conv2d` for aten.conv2d.default, `add` for aten.add_.Tensor; `?name` for what is no ATen operator."""
    schema = getattr(node.target, "_schema", None)
    namespace, _, name = schema.name.partition("::") if schema is not None else ("", "", "")
    if namespace != "aten":
        return f"?{getattr(node.target, '__name__', node.target)}"
    return str(name) if name.startswith("_") else str(name).rstrip("_")


def call_arguments(node: Node) -> dict[str, Any]:
    """Arguments of an ATen call by their names in the schema, defaults filled in."""
    schema = node.target._schema  # type: ignore[union-attr]
    bound: dict[str, Any] = {}
    for index, argument in enumerate(schema.arguments):
        if index < len(node.args) and not argument.kwarg_only:
            bound[argument.name] = node.args[index]
        elif argument.name in node.kwargs:
            bound[argument.name] = node.kwargs[argument.name]
        elif argument.has_default_value():
            bound[argument.name] = argument.default_value
    return bound


def shape_of(node: Node) -> tuple[int, ...]:
    """Shape of the tensor that `node` yields in the example."""
    return tuple(int(size) for size in node.meta["val"].shape)


def tensor_names(program: ExportedProgram) -> dict[str, str]:
    """Placeholder name to the parameter's or buffer's path in the model."""
    signature = program.graph_signature
    return {**signature.inputs_to_parameters, **signature.inputs_to_buffers}


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers by path; a shared tensor appears under each of its paths."""
    return {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }
