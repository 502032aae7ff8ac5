"""Weights found in ONNX graphs of any make: float or INT8, turned around, stored either way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.compress.sparsify.onnx_weights import graph_weights, sparse_layers
from edge.compress.sparsify.pattern import two_of_four
from tests.edge.compile.precision.pair_graphs import PairGraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOKENS = (1, 5, 8)


def halved(weight: NDArray[Any], axis: int = 1) -> NDArray[Any]:
    """2:4 sparse along an axis, and dense along every other."""
    return np.where(two_of_four(np.abs(weight.astype(np.float64)), axis), weight, 0).astype(weight.dtype)


def dense(*shape: int) -> NDArray[np.float32]:
    values: NDArray[np.float32] = np.random.default_rng(3).uniform(0.5, 1, shape).astype(np.float32)
    return values


@pytest.mark.parametrize("axis", [0, 1])
def test_convolutions_are_sparse_along_their_inputs(axis: int) -> None:
    made = PairGraph(shape=(1, 8, 6, 6))
    made.add("Conv", ["x", made.constant("w", halved(dense(16, 8, 3, 3), axis))], "y", "stem")
    assert sparse_layers(made.model("y")) == {"stem": axis == 1}


@pytest.mark.parametrize(("operator", "groups"), [("Conv", 2), ("ConvTranspose", 1)])
def test_grouped_and_transposed_convolutions_count_as_dense(operator: str, groups: int) -> None:
    made = PairGraph(shape=(1, 8, 6, 6))
    weight = made.constant("w", halved(dense(8, 8 // groups, 1, 1)))
    made.add(operator, ["x", weight], "y", "stem", group=groups)
    assert sparse_layers(made.model("y")) == {"stem": False}


def test_three_input_channels_are_no_pattern() -> None:
    made = PairGraph(shape=(1, 3, 6, 6))
    made.add("Conv", ["x", made.constant("w", halved(dense(8, 3, 3, 3)))], "y", "stem")
    assert sparse_layers(made.model("y")) == {"stem": False}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("transposed", [False, True])
def test_products_are_sparse_along_what_is_summed_over(axis: int, transposed: bool) -> None:
    """Stored `[inputs, outputs]`, or the other way round behind a Transpose."""
    made = PairGraph(shape=TOKENS)
    stored = halved(dense(8, 12), axis)
    if transposed:
        weight = made.add("Transpose", [made.constant("w", np.ascontiguousarray(stored.T))], "t", perm=[1, 0])
    else:
        weight = made.constant("w", stored)
    made.add("MatMul", ["x", weight], "y", "mix")
    (found,) = graph_weights(made.model("y"))
    assert (found.operator, found.values.shape, found.is_sparse) == ("MatMul", (12, 8), axis == 0)


@pytest.mark.parametrize("trans_b", [0, 1])
def test_gemm_is_read_by_how_it_stores_its_weight(trans_b: int) -> None:
    made = PairGraph(shape=(2, 8))
    stored = halved(dense(12, 8))
    made.add("Gemm", ["x", made.constant("w", stored if trans_b else stored.T.copy())], "y", "fc", transB=trans_b)
    assert sparse_layers(made.model("y")) == {"fc": True}


@pytest.mark.parametrize("zero_point", [0, 3])
def test_levels_count_where_zero_is_level_zero(zero_point: int) -> None:
    made = PairGraph(shape=(1, 8, 6, 6))
    levels = halved(np.random.default_rng(0).integers(1, 100, (16, 8, 3, 3)).astype(np.int8))
    given = [made.constant("w", levels), made.constant("s", np.full(16, 0.01, np.float32))]
    given.append(made.constant("z", np.full(16, zero_point, np.int8)))
    kernel = made.add("DequantizeLinear", given, "dq", axis=0)
    made.add("Conv", [made.quantized("x"), kernel], "y", "stem")
    assert sparse_layers(made.model("y")) == ({"stem": True} if not zero_point else {})


def test_products_of_two_activations_have_no_weight() -> None:
    made = PairGraph(shape=(1, 8, 8))
    made.add("MatMul", ["x", "x"], "y", "scores")
    assert sparse_layers(made.model("y")) == {}
