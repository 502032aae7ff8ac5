"""From a plan, TensorRT's serialized engine, to a context that runs it; refusals in TensorRT's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from edge.runtime.capabilities import require_module
from edge.runtime.engines.cuda_runtime import load_cudart, memory_remedy
from edge.runtime.engines.tensorrt_log import make_logger
from edge.runtime.errors import ModelError, first_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

LibraryName = Literal["tensorrt", "tensorrt_rtx"]
_TITLES: dict[LibraryName, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
_OUT_OF_MEMORY = ("outofmemory", "out of memory", "out_of_memory", "cudaerrormemoryallocation")


class BoardLibraries(NamedTuple):
    """What runs an engine.

    Attributes:
        trt: The module of TensorRT or of TensorRT-RTX.
        cudart: That of the CUDA runtime.
        name: Which of the two TensorRTs.
    """

    trt: Any
    cudart: Any
    name: LibraryName = "tensorrt"

    @property
    def version(self) -> str:
        """Of TensorRT."""
        return str(self.trt.__version__)

    @property
    def title(self) -> str:
        """For messages, such as `TensorRT 10.3.0`."""
        return title_of(self.name, self.version)


def title_of(library: LibraryName, version: str) -> str:
    """A TensorRT for people, such as `TensorRT 10.3.0`."""
    return f"{_TITLES[library]} {version}"


def load_libraries(name: LibraryName) -> BoardLibraries:
    """Imports them.

    Raises:
        MissingDependencyError: One is not installed; the message says how it comes here.
    """
    return BoardLibraries(require_module(name), load_cudart(), name)


class LoadedPlan:
    """A deserialized engine and its context.

    Args:
        libraries: The TensorRT that reads it.
        plan: The serialized engine. It can run code, so it must come from a source that is trusted
            (`edge.runtime.engine_cache`).
        resources: Takes over to let all of it go.

    Attributes:
        title: Of the TensorRT.
        logger: What TensorRT says.
        engine: Weights and kernels.
        context: Runs them.

    Raises:
        ModelError: TensorRT does not read the plan, or has no memory for it.
    """

    def __init__(self, libraries: BoardLibraries, plan: bytes, resources: ExitStack) -> None:
        trt, self.title = libraries.trt, libraries.title
        self.logger = make_logger(trt)
        self.runtime: Any = None
        self.engine: Any = None
        self.context: Any = None
        resources.callback(self._let_go)
        self.runtime = _made(lambda: trt.Runtime(self.logger))
        if self.runtime is None:
            raise self.error("does not start", "run `edge doctor`")
        self.engine = _made(lambda: self.runtime.deserialize_cuda_engine(plan))
        if self.engine is None:
            remedy = "build it here with `edge build --again`: it runs only with its own TensorRT and device"
            raise self.error("does not read this engine", remedy)
        self.context = _made(self.engine.create_execution_context)
        if self.context is None:
            size = self.engine.device_memory_size_v2 >> 20
            raise self.error(f"does not get the {size} MiB that the engine computes in", "run `edge doctor`")

    def error(self, problem: str, remedy: str) -> ModelError:
        """An error for what TensorRT has just refused, with the first line that it logged: the later ones follow."""
        said = self.logger.take_errors()
        reason = f": {first_line(RuntimeError(said[0]))}" if said else ", and does not say why"
        if any(words in line.lower() for line in said for words in _OUT_OF_MEMORY):
            remedy = memory_remedy()
        return ModelError(f"{self.title} {problem}{reason}", remedy)

    def bind(self, name: str, address: int) -> None:
        """Tells the context where a tensor lies on the device.

        Raises:
            ModelError: TensorRT refuses the address.
        """
        if not self.context.set_tensor_address(name, address):
            raise self.error(f"does not take the memory of tensor '{name}'", "run `edge verify` on the bundle")

    def enqueue(self, stream: int) -> None:
        """Puts one inference into a stream.

        Raises:
            ModelError: TensorRT refuses.
        """
        if not self.context.execute_async_v3(stream):
            raise self.error("does not run the engine", "run `edge verify` on the bundle")

    def _let_go(self) -> None:
        self.context = None
        self.engine = None
        self.runtime = None


def _made(make: Callable[[], Any]) -> Any:
    """What TensorRT makes, or None: some versions return that, others raise."""
    try:
        return make()
    except (RuntimeError, TypeError):
        return None
