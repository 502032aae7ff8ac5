"""The range of INT8 constants, read from the bytes of an ONNX file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.runtime.engines.weight_levels import has_seven_bit_weights

if TYPE_CHECKING:
    from pathlib import Path

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper


def model_of(*initializers: Any, nodes: Any = ()) -> Any:
    info = helper.make_tensor_value_info("x", 1, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"]), *nodes], "g", [info], [], initializers)
    return helper.make_model(graph)


def levels(values: Any, name: str = "w") -> Any:
    return numpy_helper.from_array(np.array(values, np.int8), name)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(-128, 127), max_size=6), min_size=1, max_size=4), st.booleans())
def test_it_sees_what_onnx_sees(weights: list[list[int]], raw: bool) -> None:
    tensors = [
        levels(w, f"w{i}") if raw else helper.make_tensor(f"w{i}", onnx.TensorProto.INT8, [len(w)], w)
        for i, w in enumerate(weights)
    ]
    expected = all(abs(value) <= 64 for w in weights for value in w)
    found = has_seven_bit_weights(model_of(*tensors).SerializeToString())
    assert found is (expected and any(w or raw for w in weights))


def test_other_types_do_not_count() -> None:
    others = [numpy_helper.from_array(np.full(3, 120, kind), str(kind)) for kind in (np.uint8, np.int32, np.float32)]
    assert has_seven_bit_weights(model_of(levels([63, -63]), *others).SerializeToString())
    assert not has_seven_bit_weights(model_of(*others).SerializeToString())


def test_constants_of_nodes_and_branches_count() -> None:
    large = helper.make_node("Constant", [], ["c"], value=levels([100]))
    assert not has_seven_bit_weights(model_of(levels([1]), nodes=[large]).SerializeToString())
    branch = helper.make_graph([large], "branch", [], [helper.make_tensor_value_info("c", 3, [1])])
    chosen = helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch)
    assert not has_seven_bit_weights(model_of(levels([1]), nodes=[chosen]).SerializeToString())


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    path.write_bytes(model_of(levels([64, -64])).SerializeToString())
    assert has_seven_bit_weights(path)


def test_weights_elsewhere_are_not_vouched_for() -> None:
    outside = levels([1])
    outside.ClearField("raw_data")
    outside.data_location = onnx.TensorProto.EXTERNAL
    assert not has_seven_bit_weights(model_of(levels([1], "v"), outside).SerializeToString())
    function = helper.make_function("own", "f", ["a"], ["b"], [], [helper.make_opsetid("", 18)])
    with_function = model_of(levels([1]))
    with_function.functions.append(function)
    assert not has_seven_bit_weights(with_function.SerializeToString())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 200))
def test_damage_is_never_an_exception(tail: bytes, cut: int) -> None:
    whole = model_of(levels([1, 2, 3])).SerializeToString()
    assert isinstance(has_seven_bit_weights(whole[:cut] + tail), bool)
