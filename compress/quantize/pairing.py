"""Pairs of layers whose channels can be rescaled against each other without a change of the model's function.

Between the two stand only operators that are positively homogeneous channel by channel: a factor above 0 on a channel
goes through. And the tensors between them are read by nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edge.compress.quantize.parameters import arguments_of, is_own
from edge.compress.quantize.placement import CONVOLUTIONS, WEIGHTED

if TYPE_CHECKING:
    from torch.fx import GraphModule, Node

aten = torch.ops.aten
_POINTWISE = {
    *(aten.relu.default, aten.relu_.default, aten.leaky_relu.default, aten.leaky_relu_.default),
    *(aten.dropout.default, aten.dropout_.default, aten.detach.default, aten.alias.default, aten.clone.default),
    aten.contiguous.default,
}
_POOLING = {
    *(aten.max_pool1d.default, aten.max_pool2d.default, aten.max_pool3d.default, aten.avg_pool1d.default),
    *(aten.avg_pool2d.default, aten.avg_pool3d.default, aten.adaptive_avg_pool1d.default),
    *(aten.adaptive_avg_pool2d.default, aten.adaptive_avg_pool3d.default, aten.adaptive_max_pool2d.default),
}
_FLATTENING = {aten.flatten.using_ints, aten.view.default, aten.reshape.default}
_FLAT = 2  # dimensions of a batch of rows


@dataclass(frozen=True)
class LayerPair:
    """A layer, and the only one that reads its result.

    Attributes:
        first: Makes the channels.
        second: Reads them.
        channels: How many.
        spread: Inputs of `second` that one channel becomes: more than 1 where a map is flattened.
    """

    first: Node
    second: Node
    channels: int
    spread: int = 1

    @property
    def between(self) -> Node:
        """The tensor that `second` reads."""
        return self.second.all_input_nodes[0]


def layer_pairs(model: GraphModule) -> list[LayerPair]:
    """All pairs of an exported float graph, in its order."""
    layers = [n for n in model.graph.nodes if n.target in WEIGHTED and _has_own_parameters(n)]
    found = (_pair(layer) for layer in layers)
    return [pair for pair in found if pair is not None]


def _pair(first: Node) -> LayerPair | None:
    value = first.meta["val"]
    maps = first.target in CONVOLUTIONS
    channels = int(value.shape[1 if maps else -1])
    node = first
    while len(node.users) == 1:
        user = next(iter(node.users))
        if user.target in WEIGHTED:
            return _joined(first, user, node, channels)
        if not _lets_channels_through(user, node, maps):
            return None
        node = user
    return None


def _joined(first: Node, second: Node, between: Node, channels: int) -> LayerPair | None:
    if second.args[0] is not between or not _has_own_parameters(second):
        return None
    read = between.meta["val"]
    if second.target in CONVOLUTIONS:
        fits = first.target in CONVOLUTIONS and read.ndim == first.meta["val"].ndim
        return LayerPair(first, second, channels) if fits else None
    if first.target in CONVOLUTIONS and read.ndim != _FLAT:
        return None
    inputs = int(read.shape[-1])
    return LayerPair(first, second, channels, inputs // channels) if inputs % channels == 0 else None


def _lets_channels_through(node: Node, before: Node, maps: bool) -> bool:
    if node.target in _POINTWISE:
        return True
    if not maps:
        return False
    if node.target in _POOLING:
        return bool(before.meta["val"].ndim > _FLAT)
    if node.target is aten.mean.dim:
        axes = {int(axis) % before.meta["val"].ndim for axis in arguments_of(node)[1] or (0,)}
        return not axes & {0, 1}
    if node.target not in _FLATTENING:
        return False
    # Rows of the batch, channel after channel; what comes with another first size mixes samples.
    value = node.meta["val"]
    return value.ndim == _FLAT and bool(value.shape[0] == before.meta["val"].shape[0])


def _has_own_parameters(node: Node) -> bool:
    parameters = [n for n in node.args[1:3] if isinstance(n, torch.fx.Node)]
    return bool(parameters) and node.args[1] in parameters and all(is_own(n) for n in parameters)
