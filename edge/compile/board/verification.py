"""A bundle verified here: every graph in ONNX Runtime and, on a board, its TensorRT engine, against the goldens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.compile.board.goldens import TENSORRT_TOLERANCE, TOLERANCE, golden_deviation
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.engines.tensorrt import RunnerConfig, TensorRTEngine

if TYPE_CHECKING:
    from edge.compile.board.host import BoardHost
    from edge.runtime.bundle import Bundle


@dataclass(frozen=True)
class Verified:
    """One engine, held against the goldens of its graph.

    Attributes:
        dialect: Of the graph.
        engine: What ran it, as it names itself.
        deviation: Largest difference, as a share of the tensor's largest magnitude; infinite where something was NaN.
        allowed: What kernels and roundings of another machine explain.
    """

    dialect: str
    engine: str
    deviation: float
    allowed: float

    @property
    def ok(self) -> bool:
        """Whether the answers are those of the bundle."""
        return self.deviation <= self.allowed


def verify_graph(bundle: Bundle, dialect: str) -> Verified:
    """Runs one graph in ONNX Runtime.

    Raises:
        BundleError: The goldens are of other tensors.
        ModelError: The graph does not load or run.
        MissingDependencyError: ONNX Runtime is not installed.
    """
    engine = OnnxRuntimeEngine(bundle.graph(dialect), dialect, model_io=bundle.model_io)
    return Verified(dialect, engine.name, golden_deviation(bundle, dialect, engine), TOLERANCE[dialect])


def verify_plan(bundle: Bundle, host: BoardHost, dialect: str, plan: bytes) -> Verified:
    """Runs a TensorRT engine on the board.

    Args:
        bundle: Its goldens, and its description of the tensors.
        host: This machine.
        dialect: Of the graph that the engine is of.
        plan: The serialized engine, from a source that is trusted: it can run code.

    Raises:
        BundleError: The goldens are of other tensors.
        ModelError: TensorRT does not run it.
    """
    config = RunnerConfig(device=host.device.index)
    with TensorRTEngine(plan, dialect, model_io=bundle.model_io, config=config, libraries=host.libraries) as runner:
        deviation = golden_deviation(bundle, dialect, runner)
        return Verified(dialect, runner.name, deviation, TENSORRT_TOLERANCE[dialect])
