"""Shapes settled and inputs drawn for models that nothing else is known of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.profile.subjects.random_inputs import LIMIT_BYTES, OpenInput, draw_inputs, parse_shapes, settle_shapes
from edge.runtime.errors import ConfigError, ModelError

FLOAT = np.dtype(np.float32)
OPEN = {"x": OpenInput(FLOAT, ("batch", 3, "h", None))}


def test_an_open_extent_says_which_input_and_how_to_give_it() -> None:
    with pytest.raises(ConfigError) as refused:
        settle_shapes(OPEN, {}, 1)
    assert str(refused.value) == ("input 'x' leaves extents open (batch,3,h,?); say them with --shape x=1,3,224,224")


def test_a_given_shape_settles_it() -> None:
    found = settle_shapes(OPEN, {"x": (2, 3, 64, 80)}, 1)
    assert (found.shapes, found.batch, found.has_open_batch) == ({"x": (2, 3, 64, 80)}, 2, True)


def test_an_open_first_extent_is_the_batch() -> None:
    inputs = {"x": OpenInput(FLOAT, ("n", 4)), "y": OpenInput(FLOAT, (None,))}
    found = settle_shapes(inputs, {}, 8)
    assert found.shapes == {"x": (8, 4), "y": (8,)} and found.batch == 8
    assert found.notes == ("The model leaves its first extent open; it was run with 8.",)


def test_a_fixed_one_keeps_its_own() -> None:
    found = settle_shapes({"x": OpenInput(FLOAT, (1, 4))}, {}, 8)
    assert (found.shapes, found.batch, found.notes) == ({"x": (1, 4)}, 1, ())
    eight = settle_shapes({"x": OpenInput(FLOAT, (8, 4)), "y": OpenInput(FLOAT, (8,))}, {}, 1)
    assert eight.notes == ("First extents are fixed at 8: throughput is of inferences, whatever a sample is.",)
    assert settle_shapes({"x": OpenInput(FLOAT, (8, 4)), "y": OpenInput(FLOAT, (2,))}, {}, 1).notes == ()


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        ({"y": (1,)}, "names 'y', which is no input; the model has x"),
        ({"x": (1, 3, 8)}, "--shape x=1,3,8 does not fit; the model takes batch,3,h"),
        ({"x": (1, 4, 8, 8)}, "does not fit"),
        ({"x": (0, 3, 8, 8)}, "does not fit"),
    ],
)
def test_a_shape_that_does_not_fit(shapes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        settle_shapes(OPEN, shapes, 1)


def test_shapes_in_words() -> None:
    assert parse_shapes(["x=1,3,8", "a=b=2"]) == {"x": (1, 3, 8), "a=b": (2,)}


@pytest.mark.parametrize("word", ["", "x", "x=", "=1", "x=a", "x=1,,2", "x=0", "x=-1", "x=1.5"])
def test_words_that_are_no_shape(word: str) -> None:
    with pytest.raises(ConfigError, match="is no shape of one input; write it as NAME=1,3,224,224"):
        parse_shapes([word])


def test_an_input_named_twice() -> None:
    with pytest.raises(ConfigError, match="x=2"):
        parse_shapes(["x=1", "x=2"])


@given(st.sampled_from(["float32", "float16", "float64", "int64", "int8", "uint8", "bool"]), st.integers(0, 2**32))
def test_values_are_finite_and_repeat(dtype: str, seed: int) -> None:
    inputs = {"x": OpenInput(np.dtype(dtype), (3, 5))}
    drawn, again = (draw_inputs(inputs, {"x": (3, 5)}, seed)["x"] for _ in range(2))
    assert drawn.dtype == dtype and drawn.shape == (3, 5)
    assert np.isfinite(drawn.astype(np.float64)).all() and (drawn == again).all()


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(ModelError, match="input 'x' is of type object"):
        draw_inputs({"x": OpenInput(np.dtype(object), (1,))}, {"x": (1,)}, 0)
    with pytest.raises(ConfigError, match="would take"):
        draw_inputs({"x": OpenInput(FLOAT, (1,))}, {"x": (LIMIT_BYTES,)}, 0)
