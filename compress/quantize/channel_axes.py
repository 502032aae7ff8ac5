"""Where a layer's weight has its input and output channels.

Convolutions `[out, in / groups, ...]`, transposed ones `[in, out / groups, ...]`, linear layers `[out, in]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.fx import Node

aten = torch.ops.aten
_TRANSPOSED = {aten.conv_transpose1d.default, aten.conv_transpose2d.input, aten.conv_transpose3d.input}
_GROUPS = 6  # position among the arguments of any convolution, transposed or not


def along_outputs(layer: Node, weight: Tensor, factors: Tensor) -> Tensor:
    """One factor an output channel, so shaped that it multiplies the layer's weight."""
    if layer.target in _TRANSPOSED:
        return _across_groups(weight, factors, groups_of(layer))
    return factors.reshape(-1, *[1] * (weight.ndim - 1))


def along_inputs(layer: Node, weight: Tensor, factors: Tensor) -> Tensor:
    """One factor an input channel, so shaped that it multiplies the layer's weight."""
    if layer.target in _TRANSPOSED:
        return factors.reshape(-1, *[1] * (weight.ndim - 1))
    return _across_groups(weight, factors, groups_of(layer))


def groups_of(layer: Node) -> int:
    """Groups of a convolution; 1 of a linear layer."""
    found = layer.args[_GROUPS] if len(layer.args) > _GROUPS else 1
    assert isinstance(found, int)
    return found


def output_ranges(layer: Node, weight: Tensor, channels: int) -> Tensor:
    """Largest magnitude of the weights that make each output channel, float32 `[channels]`."""
    return _ranges(weight, along_outputs(layer, weight, torch.arange(channels)), channels)


def input_ranges(layer: Node, weight: Tensor, channels: int) -> Tensor:
    """Largest magnitude of the weights that read each input channel, float32 `[channels]`."""
    return _ranges(weight, along_inputs(layer, weight, torch.arange(channels)), channels)


def _across_groups(weight: Tensor, factors: Tensor, groups: int) -> Tensor:
    """Axis 0 runs over the groups' blocks, axis 1 over the channels of one group."""
    rows = factors.reshape(groups, -1).repeat_interleave(len(weight) // groups, 0)
    return rows.reshape(len(weight), -1, *[1] * (weight.ndim - 2))


def _ranges(weight: Tensor, owners: Tensor, channels: int) -> Tensor:
    flat = owners.expand_as(weight).flatten()
    return torch.zeros(channels).scatter_reduce(0, flat, weight.detach().float().abs().flatten(), "amax")
