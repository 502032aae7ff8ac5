"""A board with its compiler, without either: what tests of building, verifying and running engines share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge.compile.board.graph_compiler import CompiledGraph
from edge.compile.board.host import BoardHost
from edge.compile.precision.declared_in_graph import graph_precision
from edge.compile.tensorrt.builder import BuiltEngine
from edge.devices.board import Board
from edge.devices.jetpack import jetpack_of_l4t
from edge.packing.pack import pack_bundle
from edge.runtime.atomic import atomic_file
from edge.runtime.engines.cuda_runtime import open_device
from edge.runtime.manifest import StageEntry
from edge.runtime.memory_budget import MemoryPlan
from tests.runtime.engines.simulated_board import SimulatedBoard
from tests.runtime.engines.simulated_tensorrt import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from edge.compile.tensorrt.engine_config import EngineConfig
    from edge.compile.tensorrt.library import TensorRTLibrary
    from edge.compile.tensorrt.timing_cache import TimingCache
    from edge.compress.precision_plan import PrecisionPlan
    from edge.packing.pack import BundleContents
    from edge.runtime.bundle import Bundle

ORIN_NANO = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
WEIGHTED = ("Conv", "MatMul")
SPARSE_NOTES = {
    "sparsity": {
        "importance": "magnitude",
        "layers": [{"layer": name, "weights": 64, "kept_norm": 0.9} for name in ("objects", "distance")],
        "dense": {"events": "4 input channels, no multiple of 32"},
        "share": 0.9,
    }
}
_ACTIVATION_SCALE = 0.05
_WEIGHT_LEVELS = 127


@dataclass
class SimulatedHost:
    """A Jetson as its programs see it.

    Attributes:
        version: Of its TensorRT.
        l4t: Of its Jetson Linux; None for a PC with a graphics card.
        model: What it calls itself.
        devices: CUDA devices.
        board: Its CUDA and TensorRT.
    """

    version: str = "10.3.0"
    l4t: str | None = "36.4.3"
    model: str = ORIN_NANO
    devices: int = 1
    board: SimulatedBoard = field(init=False)

    def __post_init__(self) -> None:
        self.board = SimulatedBoard(self.version, integrated=self.l4t is not None, devices=self.devices)

    def open(self, index: int = 0) -> BoardHost:
        """Stands for `open_host`."""
        jetson = None
        if self.l4t is not None:
            jetson = Board(self.model, None, self.l4t, jetpack_of_l4t(self.l4t))
        return BoardHost(self.board.libraries, open_device(self.board.cuda, index), jetson)


@dataclass
class SimulatedCompiler:
    """Stands for `compile_graph`: plans of the simulated TensorRT; precision as the graph's own Q/DQ pairs declare it.

    Attributes:
        harm: Changes the graph that the engine is made from, as a compiler that errs.
        raises: Ends the build.
        builds: Configurations of all builds.
    """

    harm: Callable[[bytes], bytes] = lambda graph: graph
    raises: BaseException | None = None
    builds: list[EngineConfig] = field(default_factory=list)

    def __call__(
        self,
        library: TensorRTLibrary,
        graph: bytes,
        config: EngineConfig,
        plan: PrecisionPlan,
        timing: TimingCache | None = None,
    ) -> CompiledGraph:
        declared = graph_precision(onnx.load_from_string(graph))
        declared.demand(plan)
        self.builds.append(config)
        if self.raises is not None:
            raise self.raises
        assert timing is not None
        with atomic_file(timing.path) as partial:
            partial.write_bytes(b"timings")
        plan_bytes = make_plan(self.harm(graph), tensorrt=library.version)
        return CompiledGraph(BuiltEngine(plan_bytes, library.title, 61.5, 300 << 20), declared, MemoryPlan(()))


def with_pairs(graph: bytes, layers: Collection[str] = ("objects", "distance", "events")) -> bytes:
    """The same graph with Q/DQ pairs on activation and weight of the layers that make these tensors."""
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        node.name = node.output[0]
    quantized = {node.name: node for node in model.graph.node if node.op_type in WEIGHTED and node.name in layers}
    for name, node in quantized.items():
        _quantize_activation(model.graph, node, name)
        _quantize_weight(model.graph, node, name)
    nodes = _in_order(model)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _quantize_activation(graph: onnx.GraphProto, node: onnx.NodeProto, name: str) -> None:
    _constants(graph, name, scale=np.float32(_ACTIVATION_SCALE), zero=np.int8(0))
    q, dq = f"{name}.q", f"{name}.dq"
    graph.node.append(helper.make_node("QuantizeLinear", [node.input[0], f"{name}.scale", f"{name}.zero"], [q]))
    graph.node.append(helper.make_node("DequantizeLinear", [q, f"{name}.scale", f"{name}.zero"], [dq]))
    node.input[0] = dq


def _quantize_weight(graph: onnx.GraphProto, node: onnx.NodeProto, name: str) -> None:
    weight = next(item for item in graph.initializer if item.name == node.input[1])
    values = numpy_helper.to_array(weight)
    scale = np.float32(np.abs(values).max() / _WEIGHT_LEVELS)
    levels = np.round(values / scale).astype(np.int8)
    graph.initializer.remove(weight)
    _constants(graph, name, weight=levels, weight_scale=scale, weight_zero=np.int8(0))
    inputs = [f"{name}.weight", f"{name}.weight_scale", f"{name}.weight_zero"]
    graph.node.append(helper.make_node("DequantizeLinear", inputs, [f"{name}.weight_dq"]))
    node.input[1] = f"{name}.weight_dq"


def _constants(graph: onnx.GraphProto, name: str, **values: Any) -> None:
    graph.initializer.extend(numpy_helper.from_array(np.asarray(v), f"{name}.{key}") for key, v in values.items())


def _in_order(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    known = {item.name for item in (*model.graph.input, *model.graph.initializer)}
    waiting, ordered = list(model.graph.node), []
    while waiting:
        node = next(n for n in waiting if all(name in known for name in n.input))
        waiting.remove(node)
        ordered.append(node)
        known.update(node.output)
    return ordered


def changed(graph: bytes, constant: str, by: float = 1.5) -> bytes:
    """The same graph with one value of a constant changed."""
    model = onnx.load_from_string(graph)
    found = next(item for item in model.graph.initializer if item.name == constant)
    values = numpy_helper.to_array(found).copy()
    values.reshape(-1)[0] = values.reshape(-1)[0] * by
    found.CopyFrom(numpy_helper.from_array(values, constant))
    return bytes(model.SerializeToString())


def packed(
    path: Path,
    contents: BundleContents,
    *,
    int8_plan: bool = False,
    notes: Mapping[str, Any] | None = None,
    **graphs: bytes,
) -> Bundle:
    """A bundle with these graphs.

    Args:
        path: Its folder.
        contents: All else.
        int8_plan: Whether its plan calls every layer INT8.
        notes: Of the stage that says so.
        graphs: ONNX files by dialect; those of `contents` where there are none.
    """
    config = {"stage": "quantize", "quantize": {"keep_float": []}}
    stage = StageEntry(name="quantize", params=1, macs=1, bytes=1, metrics={}, config=config, notes=dict(notes or {}))
    stages = (*contents.stages, stage) if int8_plan else contents.stages
    return pack_bundle(path, dataclasses.replace(contents, graphs=graphs or contents.graphs, stages=stages))
