"""A TensorRT without a device: its plans are ONNX graphs behind a header, run by ONNX Runtime on simulated memory."""
# ruff: noqa: N802
# The names are TensorRT's own.

from __future__ import annotations

import json
import weakref
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from tests.runtime.engines.cuda_names import DeviceError, Status
from tests.runtime.engines.simulated_inspector import Inspection, Inspector, LayerInformationFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.runtime.engines.simulated_cuda import SimulatedCuda

MAGIC = b"simulated plan\n"
SCRATCH_BYTES = 4096
Profile = tuple["Sequence[int]", "Sequence[int]", "Sequence[int]"]

DataType = Enum("DataType", ["FLOAT", "HALF", "BF16", "INT8", "INT32", "INT64", "BOOL", "UINT8"])
TensorIOMode = Enum("TensorIOMode", ["NONE", "INPUT", "OUTPUT"])
TensorLocation = Enum("TensorLocation", ["DEVICE", "HOST"])
TensorFormat = Enum("TensorFormat", ["LINEAR", "CHW32"])
Severity = Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"])
TYPES = {
    "tensor(float)": (DataType.FLOAT, np.float32),
    "tensor(float16)": (DataType.HALF, np.float16),
    "tensor(bfloat16)": (DataType.BF16, np.uint16),
    "tensor(int8)": (DataType.INT8, np.int8),
    "tensor(uint8)": (DataType.UINT8, np.uint8),
    "tensor(int32)": (DataType.INT32, np.int32),
    "tensor(int64)": (DataType.INT64, np.int64),
    "tensor(bool)": (DataType.BOOL, np.bool_),
}


def make_plan(
    graph: bytes,
    *,
    tensorrt: str = "10.3.0",
    compute_capability: str = "8.7",
    profiles: Mapping[str, Profile] | None = None,
    auxiliary_streams: int = 0,
    recordable: bool = True,
    layout: str = "LINEAR",
    location: str = "DEVICE",
) -> bytes:
    """A plan of the simulated TensorRT.

    Args:
        graph: The ONNX file that is run.
        tensorrt: Version that built it.
        compute_capability: Device that it is for.
        profiles: Smallest, best and largest shape of each input of variable shape.
        auxiliary_streams: On which it pretends to run layers.
        recordable: Whether its inference can be recorded; otherwise it allocates while it runs.
        layout: Of its tensors.
        location: Of its tensors.
    """
    header = {
        "tensorrt": tensorrt,
        "compute_capability": compute_capability,
        "profiles": dict(profiles or {}),
        "auxiliary_streams": auxiliary_streams,
        "recordable": recordable,
        "layout": layout,
        "location": location,
    }
    return MAGIC + json.dumps(header).encode() + b"\n" + graph


class Logger:
    """Base of loggers."""

    def log(self, severity: Any, message: str) -> None:
        """Receives a message."""


class IProfiler:
    """Base of what is told how long layers take."""

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        """Receives one layer of one run."""


class SimulatedTensorRT:
    """Stands for the module `tensorrt`.

    Args:
        cuda: The device that it computes on.
        version: Of TensorRT.

    Attributes:
        alive: All runtimes, engines and contexts that still exist.
        refuses: Names of calls that fail.
        inspection: What its engine inspectors say.
    """

    DataType, TensorIOMode, TensorLocation, TensorFormat = DataType, TensorIOMode, TensorLocation, TensorFormat
    ILogger, LayerInformationFormat, IProfiler = Logger, LayerInformationFormat, IProfiler

    def __init__(self, cuda: SimulatedCuda, version: str = "10.3.0") -> None:
        self.cuda, self.__version__ = cuda, version
        self.alive: weakref.WeakSet[Any] = weakref.WeakSet()
        self.refuses: set[str] = set()
        self.inspection = Inspection()

    def Runtime(self, logger: Logger) -> Runtime:
        """Makes one; like the bindings, raises where the library gives none."""
        if "Runtime" in self.refuses:
            logger.log(Severity.ERROR, "createInferRuntime: Error Code 6: (CUDA initialization failure)")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return Runtime(self, logger)


class Runtime:
    """Reads plans."""

    def __init__(self, trt: SimulatedTensorRT, logger: Logger) -> None:
        self.trt, self.logger = trt, logger
        trt.alive.add(self)

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        """The engine; None, and two errors in the log, where it does not fit."""
        try:
            header, graph = self._parse(plan)
        except ValueError as error:
            self.logger.log(Severity.ERROR, f"IRuntime::deserializeCudaEngine: Error Code 1: {error}")
            self.logger.log(Severity.ERROR, "[checkMacros.cpp] Error Code 4: Internal Error (Engine is null)")
            return None
        return Engine(self, header, graph)

    def _parse(self, plan: bytes) -> tuple[dict[str, Any], bytes]:
        if not plan.startswith(MAGIC):
            raise ValueError("Serialization (Serialization assertion magicTagRead == kMAGIC_TAG failed.)")
        raw, graph = plan[len(MAGIC) :].split(b"\n", 1)
        header: dict[str, Any] = json.loads(raw)
        if header["tensorrt"] != self.trt.__version__:
            raise ValueError(
                "Serialization (Serialization assertion stdVersionRead == kSERIALIZATION_VERSION failed.Version tag "
                f"does not match. Note: Current Version: {self.trt.__version__}, Serialized Engine Version: "
                f"{header['tensorrt']})"
            )
        if header["compute_capability"] != "8.7":
            raise ValueError(
                "API Usage Error (The engine plan file is generated on an incompatible device, expecting compute 8.7 "
                f"got compute {header['compute_capability']}, please rebuild.)"
            )
        return header, graph


class Engine:
    """Weights and kernels."""

    def __init__(self, runtime: Runtime, header: dict[str, Any], graph: bytes) -> None:
        self.runtime, self.header, self.trt, self._graph = runtime, header, runtime.trt, graph
        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        self._inputs = {item.name: item for item in self.session.get_inputs()}
        self._tensors = {**self._inputs, **{item.name: item for item in self.session.get_outputs()}}
        self.num_io_tensors = len(self._tensors)
        self.num_aux_streams = header["auxiliary_streams"]
        self.device_memory_size_v2 = SCRATCH_BYTES
        self.trt.alive.add(self)

    @property
    def layer_names(self) -> list[str]:
        """By the first output of each node."""
        import onnx

        return [str(node.output[0]) for node in onnx.load_from_string(self._graph).graph.node]

    def get_tensor_name(self, index: int) -> str:
        return str(list(self._tensors)[index])

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(extent if isinstance(extent, int) else -1 for extent in self._tensors[name].shape)

    def get_tensor_dtype(self, name: str) -> DataType:
        return TYPES[self._tensors[name].type][0]

    def get_tensor_location(self, name: str) -> TensorLocation:
        return TensorLocation[self.header["location"]]

    def get_tensor_format(self, name: str) -> TensorFormat:
        return TensorFormat[self.header["layout"]]

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[list[int]]:
        return list(self.header["profiles"][name])

    def create_engine_inspector(self) -> Inspector:
        return Inspector(self.trt.inspection, self._graph)

    def create_execution_context(self) -> Context | None:
        """The context; None, and an error in the log, where its memory is not to be had."""
        try:
            return Context(self)
        except DeviceError:
            self.runtime.logger.log(
                Severity.ERROR, f"Error Code 2: OutOfMemory (Requested size was {SCRATCH_BYTES} bytes.)"
            )
            return None


def _still_there(context: weakref.ref[Context]) -> Context:
    found = context()
    if found is None:
        raise DeviceError(Status.cudaErrorIllegalAddress)
    return found


class Context:
    """Runs an engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.trt, self.cuda = engine, engine.trt, engine.trt.cuda
        self._addresses: dict[str, int] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._has_run = False
        self.profiler: IProfiler | None = None
        scratch = self.cuda.take_device_memory(SCRATCH_BYTES)
        weakref.finalize(self, self.cuda.give_back, scratch)
        if self.trt.__version__.startswith("rtx"):
            self.is_stream_capturable = lambda stream: engine.header["recordable"]
        self.trt.alive.add(self)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """Takes a shape inside of the profile."""
        low, _, high = self.engine.header["profiles"][name]
        fits = len(low) == len(shape) and all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))
        if fits:
            self._shapes[name] = tuple(shape)
        return fits and "set_input_shape" not in self.trt.refuses

    def infer_shapes(self) -> list[str]:
        return [
            name
            for name in self.engine.header["profiles"]
            if name not in self._shapes or "infer_shapes" in self.trt.refuses
        ]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """Of outputs: their first dimension is that of the first input of variable shape."""
        fixed = self._shapes.get(name, self.engine.get_tensor_shape(name))
        batch = next((shape[0] for shape in self._shapes.values()), -1)
        return tuple(batch if i == 0 and extent < 0 else extent for i, extent in enumerate(fixed))

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return "set_tensor_address" not in self.trt.refuses

    def execute_async_v3(self, stream: int) -> bool:
        """Puts the inference into the stream, on the addresses as they are now."""
        logger, cuda = self.engine.runtime.logger, self.cuda
        if "execute_async_v3" in self.trt.refuses:
            logger.log(Severity.ERROR, "IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (too busy)")
            return False
        if cuda.last_error != Status.cudaSuccess:  # as a library finds it that asks after its own launches
            logger.log(Severity.ERROR, f"IExecutionContext::enqueueV3: Error Code 1: ({cuda.last_error.name})")
            return False
        try:
            if not (self._has_run and self.engine.header["recordable"]):  # the first time it sets itself up
                cuda.give_back(cuda.take_device_memory(16))
            self._has_run = True
            addresses, context = dict(self._addresses), weakref.ref(self)
            cuda.put(stream, lambda: _still_there(context).compute(addresses))
        except DeviceError as error:
            cuda.last_error = error.status
            logger.log(Severity.ERROR, f"IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime ({error})")
            return False
        return True

    def compute(self, addresses: dict[str, int]) -> None:
        """One inference, when its turn comes."""
        session = self.engine.session
        feed = {item.name: self._array(item, addresses[item.name]) for item in session.get_inputs()}
        for item, value in zip(session.get_outputs(), session.run(None, feed), strict=True):
            self._array(item, addresses[item.name])[...] = value
        if self.profiler is not None:
            for number, node in enumerate(self.engine.layer_names, 1):
                self.profiler.report_layer_time(node, 0.5 * number)

    def _array(self, item: Any, address: int) -> Any:
        dtype, shape = np.dtype(TYPES[item.type][1]), self.get_tensor_shape(item.name)
        return self.cuda.memory(address, dtype.itemsize * int(np.prod(shape))).view(dtype).reshape(shape)
