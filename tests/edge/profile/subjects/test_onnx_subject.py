"""ONNX files: opened as they are, their layers from ONNX Runtime's own profiler."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge.profile.subjects.onnx_layers import parse_layer_events
from edge.profile.subjects.onnx_subject import open_onnx_graph
from edge.profile.subjects.timed import SubjectConfig
from edge.runtime.errors import ConfigError, ModelError


def conv_file(path: Path, batch: Any = 1, side: Any = 16, kind: int = onnx.TensorProto.FLOAT) -> Path:
    """A convolution with a ReLU, and a product with a matrix."""
    random, dtype = np.random.default_rng(0), helper.tensor_dtype_to_np_dtype(kind)
    weights = {"w": (16, 3, 3, 3), "m": (16, 5)}  # blocks of 16 channels: no host pads them
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="second"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flat"),
        helper.make_node("MatMul", ["f", "m"], ["y"], name="last"),
    ]
    graph = helper.make_graph(
        nodes,
        "conv",
        [helper.make_tensor_value_info("x", kind, (batch, 3, side, side))],
        [helper.make_tensor_value_info("y", kind, (batch, 5))],
        [numpy_helper.from_array(random.normal(size=s).astype(dtype), n) for n, s in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


def test_a_file_is_run_as_it_is(tmp_path: Path) -> None:
    path = conv_file(tmp_path / "model.onnx")
    timed = open_onnx_graph(path, SubjectConfig(threads=2))
    assert timed.subject.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (timed.subject.name, timed.subject.engine) == ("model.onnx", "onnxruntime-cpu/fp32")
    assert timed.subject.inputs == {"x": (1, 3, 16, 16)}
    assert dict(timed.threads) == {"engine": 2, "allow_spinning": 0}
    made: Any = timed.run()
    assert made["y"].shape == (1, 5) and np.isfinite(made["y"]).all()


def test_layers_tell_time_and_work(tmp_path: Path) -> None:
    layers = open_onnx_graph(conv_file(tmp_path / "model.onnx"), SubjectConfig()).layers(3)
    assert all(layer.ms >= 0 for layer in layers) and sum(layer.ms for layer in layers) > 0
    by_kind = {layer.kind.removeprefix("Fused"): layer for layer in layers}
    assert by_kind["Conv"].macs == 16 * 16 * 16 * 3 * 9
    assert by_kind["MatMul"].macs == 16 * 5
    conv_bytes = 4 * (3 * 16 * 16 + 16 * 27 + 16 * 16 * 16)
    assert by_kind["Conv"].bytes == pytest.approx(conv_bytes, rel=0.1)
    assert {layer.precision for layer in layers} == {"fp32"}


def test_a_batch_where_the_graph_takes_one(tmp_path: Path) -> None:
    path = conv_file(tmp_path / "model.onnx", batch="n")
    timed = open_onnx_graph(path, SubjectConfig(batch=4))
    assert timed.batch == 4
    made: Any = timed.run()
    assert made["y"].shape == (4, 5)
    fixed = open_onnx_graph(conv_file(tmp_path / "fixed.onnx"), SubjectConfig(batch=4))
    assert fixed.batch == 1


def test_an_open_extent_is_asked_for(tmp_path: Path) -> None:
    path = conv_file(tmp_path / "model.onnx", side="side")
    with pytest.raises(ConfigError, match=r"input 'x' leaves extents open .* --shape x=1,3,224,224"):
        open_onnx_graph(path, SubjectConfig())
    open_onnx_graph(path, SubjectConfig(shapes={"x": (1, 3, 8, 8)})).run()


def test_half_precision_is_fed_and_named(tmp_path: Path) -> None:
    timed = open_onnx_graph(conv_file(tmp_path / "half.onnx", kind=onnx.TensorProto.FLOAT16), SubjectConfig())
    assert timed.subject.engine == "onnxruntime-cpu/fp16"
    timed.run()


def test_tensorrt_does_not_run_a_graph(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is an ONNX graph, which ONNX Runtime runs here"):
        open_onnx_graph(conv_file(tmp_path / "model.onnx"), SubjectConfig(engine="tensorrt"))


def test_no_onnx_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"nonsense" * 9)
    with pytest.raises(ModelError):
        open_onnx_graph(tmp_path / "x.onnx", SubjectConfig())


def event(name: str, ts: int, dur: int, **args: Any) -> dict[str, Any]:
    given = {"op_name": "Gemm", "node_index": "4", "activation_size": "40", "parameter_size": "8", "output_size": "8"}
    shapes = {"input_type_shape": [{"float": [1, 10]}, {"float": [2]}], "output_type_shape": [{"float": [1, 2]}]}
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": ts, "dur": dur, "args": {**given, **shapes, **args}}


def test_only_the_last_rounds_count() -> None:
    events = [event("g", ts, dur) for ts, dur in ((30, 200), (10, 90_000), (20, 100), (40, 300))]
    events.append({"cat": "Session", "name": "model_run", "ts": 1, "dur": 10**6})
    (layer,) = parse_layer_events(json.dumps(events), 3)
    assert (layer.name, layer.kind) == ("g", "Gemm")
    assert layer.ms == pytest.approx(0.2)


def test_a_weight_that_the_kernel_packed_is_counted() -> None:
    (layer,) = parse_layer_events(json.dumps([event("g", 1, 5)]), 1)
    assert (layer.macs, layer.bytes) == (20, 40 + 8 + 8 + 4 * 10 * 2)


def test_what_cannot_be_told_is_none_and_not_zero() -> None:
    packed = event("c", 1, 5, op_name="Conv", input_type_shape=[{"float": [1, 3, 8, 8]}])
    (layer,) = parse_layer_events(json.dumps([packed]), 1)
    assert (layer.macs, layer.bytes, layer.precision) == (None, None, "fp32")
    shapes = [{"int8": [1, 4]}, {"float": []}, {"int8": []}, {"int8": [4, 6]}]
    quantized = event("q", 1, 5, op_name="QLinearMatMul", input_type_shape=shapes, output_type_shape=[{"int8": [1, 6]}])
    (layer,) = parse_layer_events(json.dumps([quantized]), 1)
    assert (layer.macs, layer.precision) == (24, "int8")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"cat": "Node", "name": "a_kernel_time", "ts": 1}]', "[]"])
def test_a_profile_of_another_form_is_an_error(text: str) -> None:
    with pytest.raises(ModelError, match="--no-layers"):
        parse_layer_events(text, 1)
