"""At most two of each four, for weights of every shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from edge.compress.sparsify.pattern import is_two_of_four, two_of_four

SHAPES = array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=13)
SCORES = SHAPES.flatmap(lambda shape: arrays(np.float64, shape, elements=st.floats(0, 1e6, width=32)))


def nvidias_check(weights: NDArray[Any]) -> bool:
    """As the TensorRT Developer Guide writes it for `[K, C, R, S]`, which looks at whole blocks alone."""
    outputs, inputs, height, width = weights.shape
    return not any(
        np.count_nonzero(weights[k, 4 * c : 4 * c + 4, r, s]) > 2
        for k in range(outputs)
        for r in range(height)
        for s in range(width)
        for c in range(inputs // 4)
    )


@given(SCORES)
@settings(max_examples=200, deadline=None)
def test_masks_are_two_of_four_for_every_shape(scores: NDArray[np.float64]) -> None:
    stays = two_of_four(scores)
    assert stays.shape == scores.shape and stays.dtype == np.bool_
    assert is_two_of_four(stays)
    whole, rest = divmod(scores.shape[1], 4)
    assert stays.sum() == (scores.size // scores.shape[1]) * (2 * whole + min(rest, 2))


@given(SCORES, st.data())
@settings(max_examples=100, deadline=None)
def test_the_best_two_stay(scores: NDArray[np.float64], data: st.DataObject) -> None:
    """Nothing that goes is better than what stays beside it."""
    stays = two_of_four(scores)
    block = data.draw(st.integers(0, (scores.shape[1] - 1) // 4))
    there = slice(4 * block, 4 * block + 4)
    kept = np.where(stays[:, there], scores[:, there], np.inf).min(axis=1)
    gone = np.where(stays[:, there], -np.inf, scores[:, there]).max(axis=1)
    assert (kept >= gone).all()


@given(arrays(np.int8, array_shapes(min_dims=4, max_dims=4, max_side=9), elements=st.integers(-1, 1)))
@settings(max_examples=300, deadline=None)
def test_it_is_what_tensorrt_looks_for_where_channels_are_a_multiple_of_four(levels: NDArray[np.int8]) -> None:
    whole = levels[:, : levels.shape[1] // 4 * 4]
    assert is_two_of_four(whole) == nvidias_check(whole)
    assert not is_two_of_four(levels) or nvidias_check(levels), "ours also looks at the last, shorter block"


@pytest.mark.parametrize(
    ("values", "holds"),
    [([1, 1, 0, 0], True), ([1, 1, 1, 0], False), ([1, 0, 0, 1, 1, 1], True), ([0, 0, 0, 0, 1, 1, 1], False)],
)
def test_three_in_a_row_are_one_too_many(values: list[int], holds: bool) -> None:
    assert is_two_of_four(np.array([values])) is holds
    assert is_two_of_four(np.array([values]).T, axis=0) is holds


def test_the_first_of_equals_stay() -> None:
    assert two_of_four(np.ones((1, 6)))[0].tolist() == [True, True, False, False, True, True]
    assert two_of_four(np.zeros((6, 1)), axis=0)[:, 0].tolist() == [True, True, False, False, True, True]
