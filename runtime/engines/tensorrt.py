"""TensorRT on the board: runs a bundle's engine with buffers allocated once and, where it can, a CUDA graph; no torch.

The board's `tensorrt` (10.3 to 11) and `tensorrt_rtx` share the calls that are used here, as `trt`, `engine` and
`context`; those of the CUDA runtime stand in the modules beside this one.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from edge.runtime.engines.cuda_memory import MemoryChoice, TensorMemory, choose_memory
from edge.runtime.engines.cuda_runtime import checked, open_device, released
from edge.runtime.engines.cuda_stream import CudaGraph, CudaStream
from edge.runtime.engines.engine_tensors import settle_tensors
from edge.runtime.engines.tensor_checks import TensorForm, check_model_io, described_shapes, explain_inputs
from edge.runtime.engines.tensorrt_plan import LoadedPlan, load_libraries
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from numpy.typing import NDArray

    from edge.runtime.engines.cuda_runtime import CudaDevice
    from edge.runtime.engines.engine_tensors import EngineTensor
    from edge.runtime.engines.tensorrt_plan import BoardLibraries, LibraryName
    from edge.runtime.model_io import ModelIO

logger = logging.getLogger(__name__)


class RunnerConfig(BaseModel):
    """How engines are run.

    Attributes:
        memory: Where tensors lie (`edge.runtime.engines.cuda_memory`); `auto` goes by the device.
        cuda_graph: Record the inference once and replay it, where that can be done.
        device: Index of the CUDA device.
        spin: Wait for the device without sleeping: some microseconds sooner, at the price of a core.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory: MemoryChoice = "auto"
    cuda_graph: bool = True
    device: int = Field(0, ge=0)
    spin: bool = False


class TensorRTEngine:
    """One engine with a context, a stream and buffers of its own. Runs once when it is made, on zeros.

    Its inputs are those of the pipeline: float32 also where the engine takes FP16, int64 also where it takes INT32, as
    long as the values are within its range; outputs of any float type come back as float32. Shapes are fixed when it is
    made. One thread at a time may run it, and any thread may.

    Args:
        plan: The serialized engine, from a source that is trusted: it can run code.
        dialect: Of the graph that it was built from; goes into the name.
        library: The TensorRT that built it.
        model_io: Where given, tensors are checked against it, and it says the shapes of an engine that takes several.
        config: How it is run; as `RunnerConfig` has it where it is not given.
        shapes: Shapes of inputs that may have several, where `model_io` does not say them.
        libraries: The imported modules; by default those that are installed.

    Attributes:
        transfer_ns: What the last run took to put tensors into the memory that the device reads or copies from, and to
            take them out again: the CPU's part. Copies that the device makes are work of its stream, and count as
            inference. None before the first run.

    Raises:
        MissingDependencyError: TensorRT, cuda-python, the driver or a device is absent.
        ConfigError: The device does not have the memory that is asked for, or does not exist.
        ModelError: TensorRT refuses the plan or a shape, tensors do not fit `model_io`, or the device fails.
    """

    def __init__(
        self,
        plan: bytes,
        dialect: str = "s8",
        *,
        library: LibraryName = "tensorrt",
        model_io: ModelIO | None = None,
        config: RunnerConfig | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        libraries: BoardLibraries | None = None,
    ) -> None:
        self._libraries = libraries or load_libraries(library)
        self._cudart, self._dialect = self._libraries.cudart, dialect
        self.config = config = config or RunnerConfig()
        self._lock = threading.Lock()
        self._notes: list[str] = []
        self.transfer_ns: int | None = None
        self._graph: CudaGraph | None = None
        with ExitStack() as resources:
            device = open_device(self._cudart, config.device)
            self._stream = CudaStream(self._cudart, resources, spin=config.spin)
            self._plan = LoadedPlan(self._libraries, plan, resources)
            self._allocate(device, self._settle(model_io, shapes or {}), resources)
            self._warm_up(resources)
            # Also without `close` nothing is left on the device once the engine is forgotten.
            self._finalizer = weakref.finalize(self, resources.pop_all().close)
            self._finalizer.atexit = False  # by then CUDA may be gone
        logger.info("%s: %s", self.name, "; ".join(self._notes))

    def _settle(self, model_io: ModelIO | None, shapes: Mapping[str, Sequence[int]]) -> tuple[EngineTensor, ...]:
        engine, context = self._plan.engine, self._plan.context
        if model_io is not None:
            shapes = {**shapes, **_shapes_to_choose(engine, described_shapes(model_io))}
        tensors = settle_tensors(self._libraries.trt, engine, context, shapes)
        if model_io is not None:
            _check_tensors(model_io, tensors)
        return tensors

    def _allocate(self, device: CudaDevice, tensors: Sequence[EngineTensor], resources: ExitStack) -> None:
        engine = self._plan.engine
        self._placement = choose_memory(self.config.memory, device, engine.num_aux_streams)
        self._notes.append(f"tensors in {self._placement.kind} memory: {self._placement.reason}")
        memory = TensorMemory(self._cudart, self._placement.kind, device, self._stream, resources)
        self._copies = memory.copies
        buffers = {tensor.name: memory.allocate(tensor) for tensor in tensors}
        for name, buffer in buffers.items():
            self._plan.bind(name, buffer.device_address)
        self._inputs = {name: buffer for name, buffer in buffers.items() if buffer.tensor.is_input}
        self._outputs = {name: buffer for name, buffer in buffers.items() if not buffer.tensor.is_input}
        self._tensor_bytes = sum(tensor.nbytes for tensor in tensors)
        self._device_memory_bytes = int(engine.device_memory_size_v2)

    def _warm_up(self, resources: ExitStack) -> None:
        """Runs once, so that TensorRT sets up what it does not when a graph is recorded; then records it."""
        self._execute()
        if not self.config.cuda_graph:
            return
        reason = self._why_not_recordable()
        if reason is None:
            try:
                self._graph = CudaGraph(self._cudart, self._stream, self._enqueue, resources)
            except ModelError as error:
                reason = error.problem
        if reason is not None:
            logger.warning("%s runs without a CUDA graph: %s", self._libraries.title, reason)
        self._notes.append("one CUDA graph" if reason is None else f"no CUDA graph: {reason}")
        self._execute()  # that it runs so, or still runs without

    def _why_not_recordable(self) -> str | None:
        ask = getattr(self._plan.context, "is_stream_capturable", None)  # TensorRT-RTX only
        if ask is None or ask(int(self._stream.handle)):
            return None
        return f"{self._libraries.title} says that this engine cannot be recorded"

    @property
    def name(self) -> str:
        """Back end and dialect, e.g. `tensorrt-10.3.0-mapped-graph/s8`."""
        graph = "" if self._graph is None else "-graph"
        return f"{self._libraries.name}-{self._libraries.version}-{self._placement.kind}{graph}/{self._dialect}"

    @property
    def notes(self) -> tuple[str, ...]:
        """Where tensors lie and whether there is a CUDA graph, with the reasons; for the report."""
        return tuple(self._notes)

    @property
    def libraries(self) -> BoardLibraries:
        """TensorRT and the CUDA runtime that run it."""
        return self._libraries

    @property
    def inputs(self) -> tuple[EngineTensor, ...]:
        """The tensors that it takes, in the shapes that it was opened with."""
        return tuple(buffer.tensor for buffer in self._inputs.values())

    @property
    def device_memory_bytes(self) -> int:
        """What the engine computes in on the device, as TensorRT says; its weights come on top."""
        return self._device_memory_bytes

    @property
    def buffer_bytes(self) -> int:
        """What its tensors take: twice their size where they are copied."""
        return self._tensor_bytes * (2 if self._copies else 1)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """One inference, from tensor names to tensor names; batch 1. The outputs are the caller's own.

        Raises:
            ModelError: A tensor is missing, unknown, or has another type or shape; the device failed; the engine is
                closed, or another thread runs it.
        """
        if not self._lock.acquire(blocking=False):
            raise ModelError("two threads ran one engine at the same time", "give each thread an engine of its own")
        try:
            if not self._finalizer.alive:
                raise ModelError("the engine is closed", "open it again")
            begin_ns = time.perf_counter_ns()
            self._fill(inputs)
            filled_ns = time.perf_counter_ns()
            self._execute()
            executed_ns = time.perf_counter_ns()
            outputs = {name: b.host.astype(b.tensor.taken) for name, b in self._outputs.items()}
            self.transfer_ns = filled_ns - begin_ns + time.perf_counter_ns() - executed_ns
            return outputs
        finally:
            self._lock.release()

    def report_layers(self, profiler: Any) -> None:
        """From now on every run tells how long each layer took; such runs are slower, so no others are timed with them.

        Args:
            profiler: TensorRT's `IProfiler`; its `report_layer_time(name, milliseconds)` is called for every layer of
                every run; None ends that.

        Raises:
            ModelError: The engine replays a CUDA graph, which tells of no layer.
        """
        if self._graph is not None:
            raise ModelError("an engine in a CUDA graph tells of no layers", "run it without: cuda_graph=False")
        self._plan.context.profiler = profiler

    def close(self) -> None:
        """Gives back all that the engine holds on the device, after a run that is under way; once more does nothing."""
        with self._lock:
            if self._finalizer.alive:
                released(self._cudart, self._cudart.cudaSetDevice(self.config.device), "choose the device")
                self._finalizer()

    def __enter__(self) -> TensorRTEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _fill(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        if inputs.keys() != self._inputs.keys():
            explain_inputs(self._forms(), inputs)
        for name, buffer in self._inputs.items():
            given = inputs[name]
            if given.dtype not in (buffer.tensor.taken, buffer.tensor.dtype) or given.shape != buffer.tensor.shape:
                explain_inputs({name: TensorForm(buffer.tensor.taken, buffer.tensor.shape)}, {name: given})
            if given.dtype == np.int64 and buffer.tensor.dtype == np.int32:
                _check_int32(name, given)
            try:
                with np.errstate(over="raise"):
                    np.copyto(buffer.host, given, casting="same_kind")
            except FloatingPointError as error:
                raise ModelError(
                    f"tensor '{name}' holds values beyond those of FP16, which the engine takes",
                    "scale the input, or build the engine with FP32 inputs",
                ) from error

    def _forms(self) -> dict[str, TensorForm]:
        return {name: TensorForm(b.tensor.taken, b.tensor.shape) for name, b in self._inputs.items()}

    def _execute(self) -> None:
        # The current device is the thread's, and any thread may run the engine.
        checked(self._cudart, self._cudart.cudaSetDevice(self.config.device), "choose the device")
        try:
            if self._graph is None:
                self._enqueue()
            else:
                self._graph.launch()
            self._stream.wait()
        except BaseException:
            self._stream.drain()
            raise

    def _enqueue(self) -> None:
        if self._copies:
            for buffer in self._inputs.values():
                buffer.transfer(self._cudart, self._stream)
        self._plan.enqueue(int(self._stream.handle))
        if self._copies:
            for buffer in self._outputs.values():
                buffer.transfer(self._cudart, self._stream)


def _shapes_to_choose(engine: Any, described: Mapping[str, Sequence[int]]) -> dict[str, Sequence[int]]:
    """Of the shapes that `io.yaml` describes, those of inputs that may have several; it is checked against the rest."""
    names = (engine.get_tensor_name(index) for index in range(engine.num_io_tensors))
    open_names = {name for name in names if any(extent < 0 for extent in engine.get_tensor_shape(name))}
    return {name: shape for name, shape in described.items() if name in open_names}


def _check_tensors(model_io: ModelIO, tensors: Sequence[EngineTensor]) -> None:
    inputs = {tensor.name: tensor for tensor in tensors if tensor.is_input}
    outputs = [tensor.name for tensor in tensors if not tensor.is_input]
    check_model_io(model_io, {name: TensorForm(t.taken, t.shape) for name, t in inputs.items()}, outputs)


def _check_int32(name: str, given: NDArray[Any]) -> None:
    limits = np.iinfo(np.int32)
    if given.size and (given.min() < limits.min or given.max() > limits.max):
        raise ModelError(
            f"tensor '{name}' holds values beyond those of INT32, which the engine takes",
            "build the engine with INT64 inputs, which TensorRT has since 10.0",
        )
