"""Operators that move dimensions: where each channel of the input lies in the output."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.compress.aten_graph import operator_name, shape_of
from edge.compress.prune.channels import Dims, first_free, fixed, repeat_to

if TYPE_CHECKING:
    from torch.fx import Node

    from edge.compress.prune.channels import Labels
    from edge.compress.prune.walk import Rule, Walk

RESHAPES = "view reshape flatten unflatten _unsafe_view view_as reshape_as"
FACTORIES = "zeros ones full empty scalar_tensor new_zeros new_ones new_full new_empty"
INDEXED = "arange linspace eye rand randn randint tril_indices"


def _cat(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    sources = [walk.dims(source) for source in arguments["tensors"]]
    sources = [dims for dims in sources if len(dims) == len(shape_of(node))]  # legacy empty tensors have one
    dim = arguments.get("dim", 0) % len(shape_of(node))
    return tuple(
        np.concatenate([dims[index] for dims in sources])
        if index == dim
        else _tied(walk, [dims[index] for dims in sources], "'cat'")
        for index in range(len(shape_of(node)))
    )


def _stack(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    sources = [walk.dims(source) for source in arguments["tensors"]]
    tied = [_tied(walk, list(dims), "'stack'") for dims in zip(*sources, strict=True)]
    dim = arguments.get("dim", 0) % len(shape_of(node))
    return (*tied[:dim], fixed(len(sources)), *tied[dim:])


def _tied(walk: Walk, labels: list[Labels], what: str) -> Labels:
    for other in labels[1:]:
        walk.channels.tie(labels[0], other, what)
    return labels[0]


def _reshape(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    labels: Dims = walk.dims(arguments["self"])
    result: list[Labels] = []
    if 0 in shape_of(node):
        return tuple(fixed(size) for size in shape_of(node))
    for entering, leaving in _segments(tuple(map(len, labels)), shape_of(node)):
        result.extend(_regroup(walk, labels[entering], shape_of(node)[leaving]))
    return tuple(result)


def _segments(before: tuple[int, ...], after: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """The smallest runs of dimensions that hold the same number of elements on both sides."""
    segments, i, j = [], 0, 0
    while i < len(before) or j < len(after):
        start_i, start_j = i, j
        i, j = min(i + 1, len(before)), min(j + 1, len(after))
        while prod(before[start_i:i]) != prod(after[start_j:j]):
            if j == len(after) or (i < len(before) and prod(before[start_i:i]) < prod(after[start_j:j])):
                i += 1
            else:
                j += 1
        segments.append((slice(start_i, i), slice(start_j, j)))
    return segments


def _regroup(walk: Walk, entering: Dims, shape: tuple[int, ...]) -> list[Labels]:
    """Merges one run of dimensions and splits it again; only one of them may carry channels on each side.

    Where a split leaves channels on more than one side, whole rows of them are tied together.
    """
    free = first_free(entering)
    if not free:
        return [fixed(size) for size in shape]
    flat: Labels = np.zeros(0, dtype=np.int64)
    if len(free) == 1:
        flat = repeat_to(entering[free[0]], tuple(map(len, entering)), free[0]).reshape(shape)
    for dim in range(len(shape)) if len(free) == 1 else ():
        others = tuple(axis for axis in range(len(shape)) if axis != dim)
        line = np.moveaxis(flat, dim, 0).reshape(shape[dim], -1)[:, 0]
        if (flat == np.expand_dims(line, others)).all():
            return [line if axis == dim else fixed(size) for axis, size in enumerate(shape)]
    if len(free) == 1:
        return _by_heads(walk, flat, shape)
    for dim in free:
        walk.channels.block(entering[dim], "a reshape mixes it with other channels")
    return [fixed(size) for size in shape]


def _by_heads(walk: Walk, flat: Labels, shape: tuple[int, ...]) -> list[Labels]:
    """A split dimension shrinks along the last axis but one: by whole heads, of which the last axis is inside.

    The same axis is right where queries, keys and values come from one layer: `(3, heads, width)`.
    """
    axis = [index for index, size in enumerate(shape) if size > 1][-2]
    rows = np.moveaxis(flat, axis, 0).reshape(shape[axis], -1)
    for column in np.unique(rows, axis=1).T:
        walk.channels.tie(rows[:, 0], column, "a reshape into heads")
    return [rows[:, 0] if index == axis else fixed(size) for index, size in enumerate(shape)]


def _permute(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    labels = walk.dims(arguments["self"])
    return tuple(labels[dim] for dim in arguments["dims"])


def _transpose(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    labels = list(walk.dims(arguments["self"]))
    if len(labels) > 1:
        first = arguments.get("dim0", arguments.get("axis0", -2))
        second = arguments.get("dim1", arguments.get("axis1", -1))
        labels[first], labels[second] = labels[second], labels[first]
    return tuple(labels)


def _reverse_all(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    return tuple(reversed(walk.dims(arguments["self"])))


def _squeeze(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    labels = walk.dims(arguments["self"])
    named = arguments.get("dim")
    named = range(len(labels)) if named is None else named if isinstance(named, list | tuple) else [named]
    dropped = {dim % len(labels) for dim in named if labels} if labels else set()
    return tuple(one for index, one in enumerate(labels) if index not in dropped or len(one) != 1)


def _unsqueeze(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    labels = walk.dims(arguments["self"])
    dim = arguments["dim"] % (len(labels) + 1)
    return (*labels[:dim], fixed(1), *labels[dim:])


def _grow(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    """Dimensions that grow from 1 take fresh labels: whatever they meet may be pruned with them."""
    shape, labels = shape_of(node), walk.dims(arguments["self"])
    padded = (*(fixed(1) for _ in range(len(shape) - len(labels))), *labels)
    return tuple(
        walk.channels.fresh(size) if len(one) == 1 else np.tile(one, size // len(one))
        for one, size in zip(padded, shape, strict=True)
    )


def _slice(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    labels = walk.dims(arguments["self"])
    dim = arguments.get("dim", 0) % len(labels)
    if shape_of(node)[dim] == len(labels[dim]):
        return labels
    walk.block(arguments["self"], [dim], "it is sliced by position")
    return tuple(fixed(size) if index == dim else labels[index] for index, size in enumerate(shape_of(node)))


def _select(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    labels = walk.dims(arguments["self"])
    dim = arguments["dim"] % len(labels)
    walk.block(arguments["self"], [dim], "one of it is selected by position")
    return labels[:dim] + labels[dim + 1 :]


def _split(walk: Walk, node: Node, arguments: dict[str, Any]) -> list[Dims]:
    """Equal parts, as of a gated unit, lose the same channel each; unequal ones stay whole."""
    labels = walk.dims(arguments["self"])
    dim = arguments.get("dim", 0) % len(labels)
    sizes = [tuple(value.shape)[dim] for value in node.meta["val"]]
    if len(set(sizes)) == 1 and sum(sizes) == len(labels[dim]):
        part = _tied(walk, np.split(labels[dim], len(sizes)), f"'{operator_name(node)}'")
        return [(*labels[:dim], part, *labels[dim + 1 :])] * len(sizes)
    walk.block(arguments["self"], [dim], f"'{operator_name(node)}' cuts it by position")
    return [tuple(fixed(size) if i == dim else one for i, one in enumerate(labels)) for size in sizes]


def _glu(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    labels = walk.dims(arguments["self"])
    dim = arguments.get("dim", -1) % len(labels)
    half = _tied(walk, np.split(labels[dim], 2), "'glu'")
    return (*labels[:dim], half, *labels[dim + 1 :])


def _unbind(walk: Walk, node: Node, arguments: dict[str, Any]) -> list[Dims]:
    labels = walk.dims(arguments["self"])
    dim = arguments.get("dim", 0) % len(labels)
    walk.block(arguments["self"], [dim], "'unbind' takes it apart")
    return [labels[:dim] + labels[dim + 1 :]] * len(labels[dim])


def _factory(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    """Constants that are the same everywhere may shrink with what they meet."""
    return tuple(walk.channels.fresh(size) for size in shape_of(node))


def _indexed_factory(walk: Walk, node: Node, arguments: dict[str, Any]) -> Dims:
    return tuple(fixed(size) for size in shape_of(node))


RULES: dict[str, Rule] = {
    "cat": _cat,
    "concat": _cat,
    "concatenate": _cat,
    "stack": _stack,
    **dict.fromkeys(RESHAPES.split(), _reshape),
    **dict.fromkeys(FACTORIES.split(), _factory),
    **dict.fromkeys(INDEXED.split(), _indexed_factory),
    "permute": _permute,
    "transpose": _transpose,
    "swapaxes": _transpose,
    "t": _transpose,
    "numpy_T": _reverse_all,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    **dict.fromkeys(["expand", "expand_as", "repeat"], _grow),
    "slice": _slice,
    "select": _select,
    **dict.fromkeys(["split", "split_with_sizes", "chunk", "tensor_split"], _split),
    "glu": _glu,
    "unbind": _unbind,
}
