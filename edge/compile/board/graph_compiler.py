"""From a graph to an engine whose declared precision is that of the plan: what `edge build` does, device or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.compile.precision.declared_in_network import declared_precision
from edge.compile.tensorrt.build_memory import BuildSizes, check_build_memory, plan_build_memory
from edge.compile.tensorrt.builder import BuiltEngine, build_engine
from edge.compile.tensorrt.network import parse_network
from edge.compile.tensorrt.network_layers import read_network
from edge.runtime.byte_sizes import MIB

if TYPE_CHECKING:
    from edge.compile.precision.layer_precision import PrecisionReport
    from edge.compile.tensorrt.engine_config import EngineConfig
    from edge.compile.tensorrt.library import TensorRTLibrary
    from edge.compile.tensorrt.timing_cache import TimingCache
    from edge.compress.precision_plan import PrecisionPlan
    from edge.runtime.memory_budget import MemoryPlan

DEFAULT_WORKSPACE_MIB = 1024


@dataclass(frozen=True, slots=True)
class CompiledGraph:
    """An engine with what it was made from.

    Attributes:
        engine: Its bytes and what the build cost.
        declared: Precision of the network.
        memory: What the build could have taken at most.
    """

    engine: BuiltEngine
    declared: PrecisionReport
    memory: MemoryPlan


def compile_graph(
    library: TensorRTLibrary,
    graph: bytes,
    config: EngineConfig,
    plan: PrecisionPlan,
    timing: TimingCache | None = None,
) -> CompiledGraph:
    """Parses, holds the declared precision against the plan, makes sure of the memory, and builds.

    Args:
        library: Which TensorRT.
        graph: An ONNX file, its weights inside.
        config: How.
        plan: At which precision each layer is meant to compute.
        timing: Timings of earlier builds on this device.

    Raises:
        ParserError: TensorRT does not take the graph; the message names the layers.
        GateError: Layers fall short of the plan; nothing is built.
        ModelError: The build may not fit into memory, or TensorRT does not build.
    """
    parsed = parse_network(library, graph, config)
    declared = declared_precision(parsed, fp16_allowed=config.fp16)
    declared.demand(plan)
    sizes = BuildSizes.of_layers(read_network(parsed).layers, len(graph))
    memory = plan_build_memory(sizes, (config.workspace_mib or DEFAULT_WORKSPACE_MIB) * MIB)
    check_build_memory(memory)
    return CompiledGraph(build_engine(parsed, config, timing), declared, memory)
