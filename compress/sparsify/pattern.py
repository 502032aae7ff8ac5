"""The pattern itself: of each four neighbours along the input channels at most two are not zero.

As TensorRT looks for it: for every output channel and every place of the kernel, each four input channels hold at
least two zeros; in matrix products, each four along the axis that is summed over (TensorRT Developer Guide, Sparsity).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK, STAYING = 4, 2
INPUT_AXIS = 1  # of the weights `[outputs, inputs, ...]` of convolutions and linear layers


def two_of_four(scores: NDArray[np.floating[Any]], axis: int = INPUT_AXIS) -> NDArray[np.bool_]:
    """Which values stay: the two highest of each four along an axis, the first of equals.

    Where the extent is no multiple of four, the last block counts as filled up with zeros, so that two of it stay.

    Args:
        scores: Finite, of any shape.
        axis: Along which blocks of four lie.
    """
    blocks = _blocks(scores, axis, -np.inf)
    order = np.argsort(-blocks, axis=-1, kind="stable")
    stays = np.zeros(blocks.shape, np.bool_)
    np.put_along_axis(stays, order[..., :STAYING], values=True, axis=-1)
    extent = scores.shape[axis]
    lines = stays.reshape(*stays.shape[:-2], -1)[..., :extent]
    return np.ascontiguousarray(np.moveaxis(lines, -1, axis))


def is_two_of_four(values: NDArray[Any], axis: int = INPUT_AXIS) -> bool:
    """Whether no block of four along an axis has more than two values that are not zero."""
    return bool((np.count_nonzero(_blocks(values, axis, 0), axis=-1) <= STAYING).all())


def _blocks(values: NDArray[Any], axis: int, fill: float) -> NDArray[Any]:
    """`[..., blocks, 4]`, the given axis last and filled up to a multiple of four."""
    lines = np.moveaxis(values, axis, -1)
    missing = -lines.shape[-1] % BLOCK
    filled = np.pad(lines, [(0, 0)] * (lines.ndim - 1) + [(0, missing)], constant_values=fill)
    return filled.reshape(*filled.shape[:-1], -1, BLOCK)
