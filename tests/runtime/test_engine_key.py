"""Engine keys: every field counts, no order does, and a difference is told in words."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.runtime.engine_key import EngineKey, ShapeRange, graph_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

CAMERA = {"minimum": [1, 3, 64, 208], "optimum": [1, 3, 64, 208], "maximum": [1, 3, 64, 208]}
AUDIO = {"minimum": [1, 1, 40, 96], "optimum": [2, 1, 40, 96], "maximum": [4, 1, 40, 96]}
FIELDS: dict[str, Any] = {
    "graph_sha256": "1" * 64,
    "inputs": {"camera": CAMERA, "audio": AUDIO},
    "compute_capability": "8.7",
    "device": "Orin Nano 8GB",
    "library": "tensorrt",
    "library_version": "10.3.0",
    "jetpack": "6.2",
    "l4t": "36.4.3",
    "flags": {"regime": "untyped", "workspace_mib": 512, "sparse_weights": False},
}
CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "graph": ({"graph_sha256": "2" * 64}, "graph 222222222222 there, 111111111111 here"),
    "shape": (
        {"inputs": {"camera": {**CAMERA, "maximum": [8, 3, 64, 208]}, "audio": AUDIO}},
        "shape of input 'camera': 1x3x64x208 to 8x3x64x208, best 1x3x64x208 there, 1x3x64x208 here",
    ),
    "optimum": (
        {"inputs": {"camera": CAMERA, "audio": {**AUDIO, "optimum": [1, 1, 40, 96]}}},
        "shape of input 'audio': 1x1x40x96 to 4x1x40x96, best 1x1x40x96 there, "
        "1x1x40x96 to 4x1x40x96, best 2x1x40x96 here",
    ),
    "input": ({"inputs": {"camera": CAMERA}}, "shape of input 'audio': none there, 1x1x40x96 to 4x1x40x96, best"),
    "compute capability": ({"compute_capability": "8.9"}, "compute capability 8.9 there, 8.7 here"),
    "device": ({"device": "AGX Orin 64GB"}, "device AGX Orin 64GB there, Orin Nano 8GB here"),
    "library": ({"library": "tensorrt_rtx"}, "TensorRT-RTX 10.3.0 there, TensorRT 10.3.0 here"),
    "version": ({"library_version": "10.7.0"}, "TensorRT 10.7.0 there, 10.3.0 here"),
    "jetpack": ({"jetpack": "6.1"}, "JetPack 6.1 there, 6.2 here"),
    "no jetpack": ({"jetpack": None}, "JetPack none there, 6.2 here"),
    "l4t": ({"l4t": "36.4.4"}, "Jetson Linux 36.4.4 there, 36.4.3 here"),
    "flag": ({"flags": {**FIELDS["flags"], "workspace_mib": 1024}}, "flag workspace_mib: 1024 there, 512 here"),
    "flag's type": ({"flags": {**FIELDS["flags"], "sparse_weights": 0}}, "flag sparse_weights: 0 there, False here"),
    "more flags": ({"flags": {**FIELDS["flags"], "dla_core": 0}}, "flag dla_core: 0 there, none here"),
}


def _key(**changes: Any) -> EngineKey:
    return EngineKey.model_validate({**FIELDS, **changes})


@pytest.mark.parametrize("change", CHANGES)
def test_every_field_makes_another_key_and_is_named(change: str) -> None:
    fields, words = CHANGES[change]
    here, there = _key(), _key(**fields)
    assert here.digest != there.digest
    (told,) = here.differences(there)
    assert told.startswith(words)


def test_every_field_is_changed_above() -> None:
    assert {name for fields, _ in CHANGES.values() for name in fields} == EngineKey.model_fields.keys()
    digests = {_key(**fields).digest for fields, _ in CHANGES.values()}
    assert len(digests) == len(CHANGES)


def test_equal_keys_differ_in_nothing() -> None:
    assert _key() == _key()
    assert _key().digest == _key().digest
    assert _key().differences(_key()) == ()


flags = st.dictionaries(
    st.text(min_size=1, max_size=8), st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8), max_size=8
)


@given(flags=flags, seed=st.integers())
def test_no_order_counts(flags: Mapping[str, Any], seed: int) -> None:
    shuffled = list(flags.items())
    random.Random(seed).shuffle(shuffled)
    inputs = dict(reversed(FIELDS["inputs"].items()))
    assert _key(flags=dict(flags)).digest == _key(flags=dict(shuffled), inputs=inputs).digest


@given(flags=flags)
def test_a_key_survives_its_file(flags: Mapping[str, Any]) -> None:
    key = _key(flags=dict(flags))
    back = EngineKey.model_validate(json.loads(key.model_dump_json()))
    assert back.digest == key.digest
    assert key.differences(back) == ()


def test_digests_do_not_depend_on_the_process() -> None:
    code = (
        "import json, sys; from edge.runtime.engine_key import EngineKey; "
        "print(EngineKey.model_validate(json.loads(sys.argv[1])).digest)"
    )
    given_fields = json.dumps(FIELDS)
    found = {
        subprocess.run(
            [sys.executable, "-c", code, given_fields],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {_key().digest}


def test_graphs_alike_but_for_a_stride_have_different_digests() -> None:
    """A key of operators and shapes alone would mix these two up: inputs and outputs have the same shapes."""
    onnx = pytest.importorskip("onnx")
    np = pytest.importorskip("numpy")

    def graph(stride: int, padding: int) -> bytes:
        helper = onnx.helper
        weight = onnx.numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "w")
        pads = [0, 0, padding, padding]
        node = helper.make_node("Conv", ["x", "w"], ["y"], strides=[stride, stride], pads=pads)
        shape = (1, 1, 1, 1)
        value = helper.make_tensor_value_info
        made = helper.make_graph([node], "g", [value("x", 1, shape)], [value("y", 1, shape)], [weight])
        model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())

    first, second = graph(stride=1, padding=0), graph(stride=2, padding=1)
    assert graph_digest(first) != graph_digest(second)
    assert _key(graph_sha256=graph_digest(first)).digest != _key(graph_sha256=graph_digest(second)).digest


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"graph_sha256": "abc"}, "graph_sha256"),
        ({"compute_capability": "sm_87"}, "compute_capability"),
        ({"library": "trt"}, "library"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": {"camera": {**CAMERA, "minimum": [2, 3, 64, 208]}}}, "inputs"),
        ({"inputs": {"camera": {**CAMERA, "minimum": [3, 64, 208]}}}, "inputs"),
        ({"inputs": {"camera": {**CAMERA, "minimum": [0, 3, 64, 208]}}}, "inputs"),
        ({"flags": {"scale": 0.5}}, "flags"),  # a float has more than one text
        ({"flags": {"scale": 1.0}}, "flags"),
        ({"flags": {"layers": ["a"]}}, "flags"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_is_refused(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _key(**changes)
    assert caught.value.errors()[0]["loc"][0] == where


def test_a_fixed_shape_is_one_shape() -> None:
    assert str(ShapeRange.fixed((1, 3, 64, 208))) == "1x3x64x208"
