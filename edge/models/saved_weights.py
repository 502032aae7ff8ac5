"""Weights of a model as safetensors: written whole or not at all, and read only into the architecture they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from edge.runtime.atomic import atomic_file
from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn


def save_weights(model: nn.Module, path: Path) -> None:
    """Writes the state dict."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_file(path) as partial:
        save_file(tensors, partial, metadata={"format": "pt"})


def load_weights(model: nn.Module, path: Path) -> None:
    """Reads a state dict into a model of the same architecture, and puts it in eval mode.

    Raises:
        ModelError: The file is missing or malformed, or of another architecture: the message names the first tensor
            that differs.
    """
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read ({first_line(error)})", "save or download the model again") from error
    difference = first_difference(model.state_dict(), found)
    if difference is not None:
        name, wanted, there = difference
        raise ModelError(
            f"{path} is of another architecture: '{name}' is {there}, not {wanted}",
            "use the weights that were saved with this config",
        )
    model.load_state_dict(found)
    model.eval()


def first_difference(
    wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]
) -> tuple[str, tuple[int, ...] | None, tuple[int, ...] | None] | None:
    """The first tensor whose shape differs, with the shape wanted and the one found; None stands for no such tensor."""
    shapes = [{name: tuple(tensor.shape) for name, tensor in tensors.items()} for tensors in (wanted, found)]
    for name in dict.fromkeys((*shapes[0], *shapes[1])):
        if shapes[0].get(name) != shapes[1].get(name):
            return name, shapes[0].get(name), shapes[1].get(name)
    return None
