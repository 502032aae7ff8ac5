"""Operators with weights, and products: convolutions, linear layers, attention and normalisations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.compress.aten_graph import operator_name, shape_of
from edge.compress.prune.channels import Dims, fixed
from edge.compress.prune.pointwise_rules import broadcast

if TYPE_CHECKING:
    from torch.fx import Node

    from edge.compress.prune.channels import Labels
    from edge.compress.prune.walk import Rule, Walk


def _convolution(walk: Walk, node: Node, arguments: dict[str, Any]) -> Any:
    """Weight `[out, in / groups, *kernel]`."""
    weight, path = walk.dims(arguments["weight"]), walk.path(arguments["weight"])
    entering = walk.dims(arguments["input"])
    channel_dim = len(entering) - (len(weight) - 1)
    if path is None:
        return walk.opaque(node, "the weight of a convolution is computed")
    if arguments.get("groups", 1) == 1:
        walk.channels.tie(weight[1], entering[channel_dim], f"the convolution {path}")
        walk.consumers.add((path, 1))
    elif len(weight[1]) == 1:
        _tie_depthwise(walk, weight, entering[channel_dim], path)
    else:
        _tie_groups(walk, weight, entering[channel_dim], path)
    _block_space(walk, arguments["input"], weight, channel_dim)
    return _channels_out(walk, node, arguments, weight[0], channel_dim)


def _tie_depthwise(walk: Walk, weight: Dims, entering: Labels, path: str) -> None:
    """Each input channel makes its own outputs."""
    multiplier = len(weight[0]) // len(entering)
    walk.channels.tie(weight[0], np.repeat(entering, multiplier), f"the depthwise convolution {path}")


def _tie_groups(walk: Walk, weight: Dims, entering: Labels, path: str) -> None:
    """Every group loses the channel at the same place within it, so that their number stays."""
    what = f"the grouped convolution {path}"
    walk.channels.tie(weight[1], _first_group(walk, entering, len(entering) // len(weight[1]), what), what)
    walk.consumers.add((path, 1))
    _first_group(walk, weight[0], len(entering) // len(weight[1]), what)


def _first_group(walk: Walk, labels: Labels, groups: int, what: str) -> Labels:
    """Ties equal places of all groups; returns those of the first."""
    rows = labels.reshape(groups, -1)
    for row in rows[1:]:
        walk.channels.tie(rows[0], row, what)
    first: Labels = rows[0]
    return first


def _transposed_convolution(walk: Walk, node: Node, arguments: dict[str, Any]) -> Any:
    """Weight `[in, out / groups, *kernel]`."""
    weight, path = walk.dims(arguments["weight"]), walk.path(arguments["weight"])
    entering = walk.dims(arguments["input"])
    channel_dim = len(entering) - (len(weight) - 1)
    groups = arguments.get("groups", 1)
    if path is None:
        return walk.opaque(node, "the weight of a transposed convolution is computed")
    walk.channels.tie(weight[0], entering[channel_dim], f"the transposed convolution {path}")
    _block_space(walk, arguments["input"], weight, channel_dim)
    if groups != 1 and len(weight[1]) == 1 and len(weight[0]) == groups:
        return _channels_out(walk, node, arguments, weight[0], channel_dim)
    walk.consumers.add((path, 0))
    _first_group(walk, weight[0], groups, f"the grouped convolution {path}")
    return _channels_out(walk, node, arguments, np.tile(weight[1], groups), channel_dim)


def _block_space(walk: Walk, source: Node, weight: Dims, channel_dim: int) -> None:
    space = range(channel_dim + 1, len(walk.dims(source)))
    walk.block(source, space, "a convolution slides over it")
    for kernel in weight[2:]:
        walk.channels.pin(kernel)


def _channels_out(walk: Walk, node: Node, arguments: dict[str, Any], out: Labels, channel_dim: int) -> Dims:
    bias = walk.dims(arguments.get("bias"))
    if bias:
        walk.channels.tie(out, bias[0], "a bias")
    batch = walk.dims(arguments["input"])[:channel_dim]
    return (*batch, out, *map(fixed, shape_of(node)[channel_dim + 1 :]))


def _linear(walk: Walk, node: Node, arguments: dict[str, Any]) -> Any:
    """Weight `[out, in]` on the last dimension."""
    weight, path = walk.dims(arguments["weight"]), walk.path(arguments["weight"])
    entering, bias = walk.dims(arguments["input"]), walk.dims(arguments.get("bias"))
    if path is None or len(weight) != 2:
        return walk.opaque(node, "the weight of a linear layer is computed")
    walk.channels.tie(weight[1], entering[-1], f"the linear layer {path}")
    walk.consumers.add((path, 1))
    if bias:
        walk.channels.tie(weight[0], bias[0], "a bias")
    return (*entering[:-1], weight[0])


def _matmul(walk: Walk, node: Node, arguments: dict[str, Any]) -> Any:
    """Two computed tensors: what is summed over stays, rows and columns pass."""
    first, second = (walk.dims(source) for source in _operands(arguments))
    if min(len(first), len(second)) < 2:
        return walk.opaque(node, f"'{operator_name(node)}' with a vector")
    for labels in (first[-1], second[-2]):
        walk.channels.block(labels, f"'{operator_name(node)}' sums over it")
    batch = [(*first[:-2], *map(fixed, shape_of(node)[-2:])), (*second[:-2], *map(fixed, shape_of(node)[-2:]))]
    return (*broadcast(walk, node, batch)[:-2], first[-2], second[-1])


def _operands(arguments: dict[str, Any]) -> tuple[Any, Any]:
    if "self" in arguments:
        return arguments["self"], arguments.get("other", arguments.get("mat2"))
    return arguments["tensor1"], arguments["tensor2"]


def _attention(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    """Heads are a batch dimension, which passes; places and the width of a head are summed over and stay."""
    query, key, value = (walk.dims(arguments[name]) for name in ("query", "key", "value"))
    for labels in (query[-1], key[-1], key[-2], value[-2]):
        walk.channels.block(labels, "attention sums over it")
    shape, mask = shape_of(node), walk.dims(arguments.get("attn_mask"))
    for labels in mask[-2:]:
        walk.channels.block(labels, "attention is masked along it")
    batch = [(*dims[:-2], *map(fixed, shape[-2:])) for dims in (query, key, value, mask) if dims]
    return (*broadcast(walk, node, batch)[:-2], query[-2], value[-1])


def _batch_norm(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    """Per channel, also instance normalisation; in evaluation mode the channels do not meet."""
    entering = walk.dims(arguments["input"])
    for name in ("weight", "bias", "running_mean", "running_var"):
        vector = walk.dims(arguments.get(name))
        if vector:
            walk.channels.tie(entering[1], vector[0], "a normalisation")
    return entering


def _instance_norm(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    walk.block(arguments["input"], range(2, len(walk.dims(arguments["input"]))), "a normalisation runs over it")
    return _batch_norm(walk, node, arguments)


def _layer_norm(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    entering = walk.dims(arguments["input"])
    start = len(entering) - len(arguments["normalized_shape"])
    walk.block(arguments["input"], range(start, len(entering)), "a layer norm mixes its channels")
    for name in ("weight", "bias"):
        for labels in walk.dims(arguments.get(name)):
            walk.channels.block(labels, "a layer norm mixes its channels")
    return entering


def _group_norm(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    walk.block_inputs(node, "a group norm mixes its channels")
    return walk.dims(arguments["input"])


def _prelu(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    entering, slope = walk.dims(arguments["self"]), walk.dims(arguments["weight"])
    if slope and len(slope[0]) > 1:
        walk.channels.tie(entering[1], slope[0], "a PReLU")
    return entering


def _embedding(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    """Weight `[words, features]`; the words are chosen by index and stay."""
    weight = walk.dims(arguments["weight"])
    walk.channels.block(weight[0], "an embedding is looked up by position")
    return (*walk.dims(arguments["indices"]), weight[1])


RULES: dict[str, Rule] = {
    **dict.fromkeys(["conv1d", "conv2d", "conv3d"], _convolution),
    **dict.fromkeys(["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"], _transposed_convolution),
    "linear": _linear,
    **dict.fromkeys(["matmul", "bmm", "mm"], _matmul),
    "scaled_dot_product_attention": _attention,
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "prelu": _prelu,
    "embedding": _embedding,
}
