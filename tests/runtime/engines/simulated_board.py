"""A board without a device: simulated CUDA and TensorRT, and the engines that run on it."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np

from edge.runtime.engines.tensorrt import TensorRTEngine
from edge.runtime.engines.tensorrt_plan import BoardLibraries, LibraryName
from tests.runtime.engines.simulated_cuda import SimulatedCuda
from tests.runtime.engines.simulated_tensorrt import SimulatedTensorRT

SCALED_SHAPE = (1, 4)


class SimulatedBoard:
    """One machine.

    Args:
        version: Of its TensorRT; one that starts with `rtx` stands for TensorRT-RTX.
        facts: Of its device, as `SimulatedCuda` takes them.

    Attributes:
        cuda: Its CUDA runtime.
        trt: Its TensorRT.
    """

    def __init__(self, version: str = "10.3.0", **facts: Any) -> None:
        self.cuda = SimulatedCuda(**facts)
        self.trt = SimulatedTensorRT(self.cuda, version)
        name: LibraryName = "tensorrt_rtx" if version.startswith("rtx") else "tensorrt"
        self.libraries = BoardLibraries(self.trt, self.cuda, name)

    def open(self, plan: bytes, dialect: str = "fp32", **options: Any) -> TensorRTEngine:
        """An engine on this board."""
        return TensorRTEngine(plan, dialect, libraries=self.libraries, **options)

    def left_behind(self) -> dict[str, int]:
        """All that still exists on the device, by kind, and TensorRT's objects."""
        gc.collect()
        objects = {type(item).__name__: 1 for item in self.trt.alive}
        return {**self.cuda.leaks(), **objects}


def scaling_graph(element: str = "FLOAT", *, batch: int | str = 1) -> bytes:
    """An ONNX graph with `y = x + x` (of truth values `not x`), for tests of types and shapes.

    Args:
        element: Type of x and y.
        batch: Extent of the first dimension, or a name for any.
    """
    import onnx

    helper, kind = onnx.helper, getattr(onnx.TensorProto, element)
    shape = (batch, *SCALED_SHAPE[1:])
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    if element == "BOOL":
        nodes = [helper.make_node("Not", ["x"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "scaling",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def ramp(dtype: Any = np.float32, shape: tuple[int, ...] = SCALED_SHAPE) -> Any:
    """Values 0, 1, 2, ..."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)
