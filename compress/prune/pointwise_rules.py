"""Operators that keep channels apart: element by element, over space, or over other fixed dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.fx import Node

from edge.compress.aten_graph import operator_name, shape_of
from edge.compress.prune.channels import Dims, fixed

if TYPE_CHECKING:
    from edge.compress.prune.channels import Labels
    from edge.compress.prune.walk import Rule, Walk

UNARY = """
relu relu6 gelu sigmoid tanh silu hardswish hardsigmoid hardtanh clamp_min clamp_max leaky_relu elu celu selu
softplus softsign mish log_sigmoid threshold hardshrink softshrink tanhshrink dropout feature_dropout alpha_dropout
neg abs sqrt rsqrt square exp expm1 log log1p log2 sin cos erf reciprocal sign round floor ceil trunc nan_to_num
isnan isinf isfinite logical_not bitwise_not to _to_copy type_as clone contiguous detach alias lift_fresh_copy
zeros_like ones_like full_like empty_like
"""
ELEMENTWISE = """
add sub rsub subtract mul multiply div divide true_divide floor_divide maximum minimum fmax fmin where clamp pow
eq ne lt le gt ge logical_and logical_or logical_xor bitwise_and bitwise_or lerp addcmul addcdiv masked_fill copy
atan2 fmod remainder
"""
CHECKS = "_assert_tensor_metadata _assert_async _assert_scalar sym_constrain_range"
REDUCTIONS = "mean sum amax amin std var max min prod any all logsumexp norm linalg_vector_norm"
ALONG = "softmax _softmax log_softmax _log_softmax cumsum"
SPATIAL = {
    1: "max_pool1d avg_pool1d adaptive_avg_pool1d adaptive_max_pool1d upsample_nearest1d upsample_linear1d",
    2: "max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d upsample_nearest2d upsample_bilinear2d "
    "upsample_bicubic2d max_pool2d_with_indices _upsample_nearest_exact2d reflection_pad2d replication_pad2d",
    3: "max_pool3d avg_pool3d adaptive_avg_pool3d upsample_nearest3d upsample_trilinear3d",
}


def broadcast(walk: Walk, node: Node, operands: list[Dims]) -> Dims:
    """Ties operands that meet index by index; a dimension of size 1 follows the others."""
    result: list[Labels] = []
    shape = shape_of(node)
    for back in range(len(shape), 0, -1):
        size = shape[-back]
        present = [dims[-back] for dims in operands if len(dims) >= back and len(dims[-back]) == size]
        for other in present[1:]:
            walk.channels.tie(present[0], other, f"'{operator_name(node)}'")
        result.append(present[0] if present else fixed(size))
    return tuple(result)


def _unary(walk: Walk, node: Node, _: dict[str, Any]) -> Dims:
    return broadcast(walk, node, [walk.dims(node.all_input_nodes[0])])


def _elementwise(walk: Walk, node: Node, _: dict[str, Any]) -> Dims:
    return broadcast(walk, node, [walk.dims(source) for source in node.all_input_nodes])


def _check(_: Walk, __: Node, ___: dict[str, Any]) -> None:
    return None


def _spatial(rank: int) -> Rule:
    def rule(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims | list[Dims]:
        source = arguments.get("self", arguments.get("input"))
        labels = walk.dims(source)
        walk.block(source, range(len(labels) - rank, len(labels)), "space is pooled or resized along it")
        value = node.meta["val"]
        if isinstance(value, list | tuple):
            return [(*labels[:-rank], *map(fixed, v.shape[-rank:])) for v in value]
        return (*labels[:-rank], *map(fixed, shape_of(node)[-rank:]))

    return rule


def _reduce(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims | list[Dims]:
    if "other" in arguments:  # max and min of two tensors
        return _elementwise(walk, node, arguments)
    labels = walk.dims(arguments["self"])
    dims = reduced_dims(arguments.get("dim"), len(labels))
    walk.block(arguments["self"], dims, f"'{operator_name(node)}' reduces over it")
    kept = [
        fixed(1) if index in dims else one
        for index, one in enumerate(labels)
        if index not in dims or arguments.get("keepdim")
    ]
    if isinstance(node.meta["val"], list | tuple):
        return [tuple(kept)] * len(node.meta["val"])
    return tuple(kept)


def reduced_dims(dim: Any, rank: int) -> list[int]:
    """Non-negative dimensions that a reduction names; all of them where it names none."""
    if dim is None or dim == []:
        return list(range(rank))
    return [index % rank for index in (dim if isinstance(dim, list | tuple) else [dim])] if rank else []


def _along_dim(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    source = arguments["self"]
    labels = walk.dims(source)
    walk.block(source, reduced_dims(arguments["dim"], len(labels)), f"'{operator_name(node)}' runs along it")
    return labels


def _pad(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    source = arguments["self"]
    labels, shape = walk.dims(source), shape_of(node)
    padded = [
        index
        for index in range(len(labels))
        if len(arguments["pad"]) > 2 * (len(labels) - 1 - index) and any(_pads(arguments["pad"], labels, index))
    ]
    walk.block(source, padded, "it is padded")
    return tuple(fixed(shape[i]) if i in padded else one for i, one in enumerate(labels))


def _pads(pad: list[int], labels: Dims, index: int) -> list[int]:
    start = 2 * (len(labels) - 1 - index)
    return pad[start : start + 2]


RULES: dict[str, Rule] = {
    **dict.fromkeys(UNARY.split(), _unary),
    **dict.fromkeys(ELEMENTWISE.split(), _elementwise),
    **dict.fromkeys(CHECKS.split(), _check),
    **dict.fromkeys(REDUCTIONS.split(), _reduce),
    **dict.fromkeys(ALONG.split(), _along_dim),
    **dict.fromkeys(["pad", "constant_pad_nd"], _pad),
    **{name: _spatial(rank) for rank, names in SPATIAL.items() for name in names.split()},
}
