"""The ONNX Runtime engine: answers, the choice of the dialect, and errors that name the tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine, choose_dialect, must_emulate
from edge.runtime.environment import describe_host
from edge.runtime.errors import BundleError, ModelError
from edge.runtime.model_io import ModelIO
from tests.runtime.text_bundle import text_feeds, text_graph, text_io

if TYPE_CHECKING:
    from pathlib import Path

    from edge.packing.pack import BundleContents


def test_answers_follow_from_every_input(small_graph: bytes, small_contents: BundleContents) -> None:
    engine = OnnxRuntimeEngine(small_graph, "fp32", model_io=small_contents.model_io)
    feed = dict(small_contents.golden_inputs[0])
    before = engine.run(feed)
    assert engine.name == "onnxruntime-cpu/fp32"
    assert {k: v.shape for k, v in before.items()} == {
        "objects": (1, 3, 4, 13),
        "distance": (1, 1, 4, 13),
        "events": (1, 2),
    }
    for name, value in feed.items():
        after = engine.run({**feed, name: value + 1})
        assert any(not np.array_equal(after[k], before[k]) for k in before), name


def test_reads_a_file(small_graph: bytes, small_contents: BundleContents, tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    path.write_bytes(small_graph)
    feed = small_contents.golden_inputs[0]
    from_file, from_bytes = OnnxRuntimeEngine(path).run(feed), OnnxRuntimeEngine(small_graph).run(feed)
    np.testing.assert_array_equal(from_file["objects"], from_bytes["objects"])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f: f.pop("lidar"), "tensor 'lidar' is missing"),
        (lambda f: f.update(radar=f["lidar"]), "tensor 'radar' is not an input"),
        (lambda f: f.update(audio=f["audio"][..., :-1]), r"tensor 'audio' is float32 \[1, 1, 40, 95\]"),
        (lambda f: f.update(present=f["present"].astype(np.float64)), "tensor 'present' is float64"),
    ],
)
def test_bad_inputs_name_the_tensor(
    small_graph: bytes, small_contents: BundleContents, harm: Any, message: str
) -> None:
    feed = dict(small_contents.golden_inputs[0])
    harm(feed)
    with pytest.raises(ModelError, match=message):
        OnnxRuntimeEngine(small_graph).run(feed)


def test_ids_of_another_type_than_io_yaml_makes_are_refused() -> None:
    OnnxRuntimeEngine(text_graph(), model_io=text_io()).run(text_feeds()[0])
    for element, told in (("INT32", "int32"), ("FLOAT", "float32")):
        with pytest.raises(ModelError, match=f"'ids' is {told} in the graph, but io.yaml makes int64"):
            OnnxRuntimeEngine(text_graph(element), model_io=text_io())
    with pytest.raises(ModelError, match=r"tensor 'ids' is float32 \[1, 8\], the model takes int64 \[1, 8\]"):
        OnnxRuntimeEngine(text_graph()).run({**text_feeds()[0], "ids": np.zeros((1, 8), np.float32)})


@pytest.mark.parametrize("graph", [b"", b"no onnx at all", b"\x08\x0a" * 50])
def test_a_damaged_graph_is_a_model_error(graph: bytes) -> None:
    with pytest.raises(ModelError, match="does not load"):
        OnnxRuntimeEngine(graph)


@pytest.mark.parametrize(
    ("at", "change", "message"),
    [
        (("inputs", 0), {"shape": (1, 3, 64, 200)}, "'camera' is .* in the graph"),
        (("inputs", 1), {"tensor": "sweep"}, "'(sweep|lidar)' is in"),
        (("outputs", 1), {"tensor": "sounds"}, "decodes tensor 'sounds'"),
        (("outputs", 0), {"distance_tensor": "range"}, "decodes tensor 'range'"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(
    small_graph: bytes, small_io: ModelIO, at: tuple[str, int], change: dict[str, Any], message: str
) -> None:
    raw = small_io.model_dump(by_alias=True)
    items = list(raw[at[0]])
    items[at[1]] = {**items[at[1]], **change}
    with pytest.raises(ModelError, match=message):
        OnnxRuntimeEngine(small_graph, model_io=ModelIO.model_validate({**raw, at[0]: items}))


@pytest.mark.parametrize(
    ("machine", "flags", "available", "dialect", "emulated"),
    [
        ("x86_64", ("avx2", "avx512_vnni"), ("s8", "u8"), "u8", False),
        ("x86_64", ("avx2", "avx_vnni"), ("s8", "u8", "fp32"), "u8", False),
        ("x86_64", ("avx2",), ("s8", "u8", "fp32"), "s8", True),
        ("x86_64", ("avx2",), ("fp32",), "fp32", False),
        ("aarch64", ("asimd", "asimddp"), ("s8", "u8"), "s8", False),
        ("x86_64", ("avx_vnni",), ("fp32",), "fp32", False),
        ("x86_64", ("avx_vnni",), ("s8", "s8f16", "u8", "fp32"), "u8", False),
        ("x86_64", ("avx2",), ("s8f16", "fp32"), "fp32", False),
        ("aarch64", ("asimd", "asimddp"), ("s8f16", "fp32"), "fp32", False),
        ("aarch64", ("asimd", "asimddp"), ("s8f16", "s8"), "s8", False),
        ("x86_64", ("avx2",), ("s8f16",), "s8f16", True),
        ("aarch64", ("asimd",), ("s8f16",), "s8f16", False),
    ],
)
def test_the_dialect_suits_the_host(
    machine: str, flags: tuple[str, ...], available: tuple[str, ...], dialect: str, emulated: bool
) -> None:
    host = describe_host().model_copy(update={"machine": machine, "cpu_flags": flags})
    chosen = choose_dialect(available, host)
    assert (chosen.dialect, chosen.emulated) == (dialect, emulated)
    assert must_emulate(dialect, host) is emulated


@pytest.mark.parametrize(
    ("available", "reason"),
    [(("s8f16",), "the bundle's only graph"), (("s8f16", "fp32"), "the bundle's only graph for a CPU")],
)
def test_an_only_graph_is_told(available: tuple[str, ...], reason: str) -> None:
    assert choose_dialect(available).reason == reason


def test_no_known_dialect_is_refused() -> None:
    with pytest.raises(BundleError, match="no graph for ONNX Runtime"):
        choose_dialect(("trt",))


def test_emulation_computes_what_the_integer_graph_says(small_quantized: bytes) -> None:
    """On a host whose integer kernels are right, both give the same up to one rounding step of the output."""
    x = np.linspace(-3, 3, 64, dtype=np.float32).reshape(1, 4, 4, 4)
    emulated = OnnxRuntimeEngine(small_quantized, "s8", emulate_int8=True)
    assert emulated.name == "onnxruntime-cpu/s8-emulated"
    integer = OnnxRuntimeEngine(small_quantized, "s8").run({"x": x})["y"]
    if must_emulate("s8"):
        pytest.skip("this host's integer kernels saturate")
    np.testing.assert_allclose(emulated.run({"x": x})["y"], integer, atol=0.05 + 1e-6)


@pytest.fixture
def small_quantized() -> bytes:
    """A Q/DQ graph: one convolution between symmetric INT8 scales."""
    onnx = pytest.importorskip("onnx")
    helper, make = onnx.helper, onnx.numpy_helper.from_array
    weight = np.random.default_rng(1).integers(-127, 128, (2, 4, 3, 3)).astype(np.int8)
    constants = [make(weight, "w"), make(np.float32(0.03), "sx"), make(np.int8(0), "zero")]
    constants += [make(np.full(2, 0.002, np.float32), "sw"), make(np.zeros(2, np.int8), "zw")]
    constants += [make(np.float32(0.05), "sy")]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "sx", "zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=0),
        helper.make_node("Conv", ["xd", "wd"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "sy", "zero"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "sy", "zero"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "q", [value("x", 1, (1, 4, 4, 4))], [value("y", 1, (1, 2, 2, 2))], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())
