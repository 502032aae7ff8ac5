"""The ONNX road to a real compiler: networks, declared precision, and engines for devices that are not here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edge.compile.board.graph_compiler import compile_graph
from edge.compile.precision.declared_in_graph import graph_precision
from edge.compile.precision.declared_in_network import declared_precision
from edge.compile.tensorrt.builder import build_engine
from edge.compile.tensorrt.engine_config import EngineConfig
from edge.compile.tensorrt.network import ParserError, parse_network
from edge.compress.dialects.half_regions import write_half
from edge.compress.export import check_graph, run_graph
from edge.compress.precision_plan import PrecisionPlan
from edge.compress.sparsify.onnx_weights import sparse_layers
from edge.compress.sparsify.pattern import two_of_four
from edge.runtime.engine_key import ShapeRange
from edge.runtime.errors import ConfigError, GateError
from tests.edge.compile.precision.pair_graphs import PairGraph
from tests.preflight.conftest import STREET_SHAPES, compile_forms

if TYPE_CHECKING:
    from edge.compile.tensorrt.library import TensorRTLibrary
    from tests.preflight.conftest import Compiled

pytestmark = pytest.mark.preflight
SIX = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
EVERYWHERE = PrecisionPlan.int8()


def engine_bytes(
    library: TensorRTLibrary, graph: onnx.ModelProto, capability: str = "8.6", *, sparse_weights: bool | None = None
) -> int:
    config = EngineConfig(compute_capability=capability, sparse_weights=sparse_weights)
    return len(build_engine(parse_network(library, graph.SerializeToString(), config), config).plan)


def test_it_builds_for_six_compute_capabilities(library: TensorRTLibrary) -> None:
    assert library.compute_capabilities() == SIX


@pytest.mark.parametrize("capability", SIX)
def test_the_street_becomes_an_int8_engine_for_each(
    street: Compiled, library: TensorRTLibrary, capability: str
) -> None:
    config = EngineConfig(compute_capability=capability)
    compiled = compile_graph(library, street.s8.SerializeToString(), config, EVERYWHERE)
    assert len(compiled.engine.plan) > 1_000_000
    assert compiled.declared.shares() == {"int8": 1.0}


def test_network_and_graph_declare_the_same(street: Compiled, library: TensorRTLibrary) -> None:
    for graph in (street.s8, street.fp32, write_half(street.s8)):
        network = declared_precision(parse_network(library, graph.SerializeToString(), EngineConfig()))
        by_graph = graph_precision(graph)
        assert [(x.name, x.macs, x.precision) for x in network.layers] == [
            (x.name, x.macs, x.precision) for x in by_graph.layers
        ]


def test_int8_saves_two_thirds_of_the_weights(reference: Compiled, library: TensorRTLibrary) -> None:
    weights = sum(np.prod(t.dims) * 4 for t in reference.fp32.graph.initializer if len(t.dims) > 1)
    assert weights > 4 * 4_000_000
    saved = engine_bytes(library, reference.fp32) - engine_bytes(library, reference.s8)
    assert saved / weights >= 0.65


def test_a_weight_only_graph_saves_as_much_and_is_refused(
    reference: Compiled, library: TensorRTLibrary, looks_quantized: Any
) -> None:
    """Size proves nothing of activations: the declaration does."""
    graph = looks_quantized.with_weights_only(reference.s8)
    saved = engine_bytes(library, reference.fp32) - engine_bytes(library, graph)
    weights = sum(np.prod(t.dims) * 4 for t in reference.fp32.graph.initializer if len(t.dims) > 1)
    assert saved / weights >= 0.6
    with pytest.raises(GateError, match=r"body\.0\.0 is fp32, planned int8, its activation is not dequantized INT8"):
        compile_graph(library, graph.SerializeToString(), EngineConfig(compute_capability="8.6"), EVERYWHERE)


def test_folded_weights_are_refused(street: Compiled, library: TensorRTLibrary, looks_quantized: Any) -> None:
    graph = looks_quantized.with_folded_weights(street.s8, "fusion.spread.0")
    with pytest.raises(GateError, match=r"1 of 26 layers .* fusion\.spread\.0 is fp32, .* its weight is not"):
        compile_graph(library, graph.SerializeToString(), EngineConfig(compute_capability="8.6"), EVERYWHERE)


def test_int8_encoders_with_an_fp16_head_pass_all_three(mixed: Compiled, library: TensorRTLibrary) -> None:
    graph = write_half(mixed.s8)
    check_graph(graph)
    feeds = {name: np.ones((1, *shape), np.float32) for name, shape in STREET_SHAPES.items()}
    for half, float32 in zip(run_graph(graph, feeds), run_graph(mixed.s8, feeds), strict=True):
        np.testing.assert_allclose(half, float32, atol=0.01 * np.abs(float32).max())
    config = EngineConfig(compute_capability="8.6")
    plan = PrecisionPlan.model_validate(
        {"rules": [{"layers": "heads.*", "precision": "fp16"}, {"layers": "*", "precision": "int8"}]}
    )
    compiled = compile_graph(library, graph.SerializeToString(), config, plan)
    by_name = {layer.name: layer.precision for layer in compiled.declared.layers}
    assert {p for name, p in by_name.items() if name.startswith("branches")} == {"int8"}
    assert {p for name, p in by_name.items() if name.startswith("heads")} == {"fp16"}


@pytest.fixture(scope="module")
def mixed() -> Compiled:
    import torch

    from edge.models.fusion_model import FusionModel
    from edge.project import load_project, preset_path

    torch.manual_seed(0)
    project = load_project(preset_path("street_demo"))
    model = FusionModel(project.student, project.io)
    return compile_forms(model, STREET_SHAPES, ("objects", "distance", "events"), keep_float=("heads",))


def test_what_the_parser_lacks_is_named_layer_by_layer(library: TensorRTLibrary) -> None:
    graph = odd_graph()
    with pytest.raises(ParserError) as refused:
        parse_network(library, graph.SerializeToString(), EngineConfig())
    assert {(p.layer, p.operator) for p in refused.value.problems} == {("neck.sort", "Unique"), ("head.det", "Det")}
    assert "neck.sort" in str(refused.value) and "head.det" in str(refused.value)


def odd_graph() -> onnx.ModelProto:
    """A convolution between two operators that TensorRT has no importer for."""
    weight = numpy_helper.from_array(np.ones((4, 3, 1, 1), np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="stem"),
        helper.make_node("Det", ["c"], ["d"], name="head.det"),
        helper.make_node("Unique", ["d"], ["y"], name="neck.sort"),
    ]
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info("x", 1, (1, 3, 4, 4))],
        [helper.make_tensor_value_info("y", 1, ("n",))],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_a_range_of_shapes_wants_a_profile(library: TensorRTLibrary) -> None:
    graph = any_batch()
    parsed = parse_network(library, graph, EngineConfig())
    with pytest.raises(ConfigError, match="input 'x' has no fixed shape"):
        build_engine(parsed, EngineConfig(compute_capability="8.6"))
    ranges = {"x": ShapeRange(minimum=(1, 3, 8, 8), optimum=(2, 3, 8, 8), maximum=(4, 3, 8, 8))}
    config = EngineConfig(compute_capability="8.6", profiles=ranges)
    assert build_engine(parse_network(library, graph, config), config).plan


def any_batch() -> bytes:
    weight = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="stem")],
        "any",
        [helper.make_tensor_value_info("x", 1, ("batch", 3, 8, 8))],
        [helper.make_tensor_value_info("y", 1, ("batch", 4, 6, 6))],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def test_a_board_is_not_what_it_builds_for(library: TensorRTLibrary, street: Compiled) -> None:
    with pytest.raises(ConfigError, match=r"does not build for compute capability 8\.7; it builds for 7\.5, 8\.0"):
        engine_bytes(library, street.s8, "8.7")


def test_the_build_takes_no_more_memory_than_planned(reference: Compiled, library: TensorRTLibrary) -> None:
    for graph in (reference.s8, reference.fp32):
        config = EngineConfig(compute_capability="8.6", workspace_mib=256)
        compiled = compile_graph(library, graph.SerializeToString(), config, PrecisionPlan())
        assert compiled.engine.peak_bytes is not None
        assert 10 << 20 < compiled.engine.peak_bytes < compiled.memory.total


def test_sparse_kernels_are_picked_on_the_device_and_not_here(library: TensorRTLibrary) -> None:
    """TensorRT-RTX takes the flag and a 2:4 sparse graph; nothing in the engine's size tells of it before a device."""
    made = PairGraph(shape=(1, 256, 14, 14))
    kernel = made.int8_weight("w", 256, 256, 3, 3)
    levels = made.constants["w.levels"]
    made.constants["w.levels"] = np.where(two_of_four(np.abs(levels.astype(np.float64))), levels, 0).astype(np.int8)
    made.add("Conv", [made.quantized("x"), kernel], "y", "stem", pads=[1, 1, 1, 1])
    graph = made.model("y")
    assert sparse_layers(graph) == {"stem": True}
    sizes = [engine_bytes(library, graph, sparse_weights=allowed) for allowed in (False, True)]
    assert sizes[0] == sizes[1]
