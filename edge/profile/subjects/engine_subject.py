"""A TensorRT engine file, and the layers that any TensorRT engine tells of through its `IProfiler`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from edge.profile.contents import LayerTime, Subject
from edge.profile.subjects.random_inputs import OpenInput, draw_inputs, fixed_extent_notes
from edge.profile.subjects.timed import SubjectConfig, TimedSubject
from edge.runtime.capabilities import has_module
from edge.runtime.engines.tensorrt import RunnerConfig, TensorRTEngine
from edge.runtime.engines.tensorrt_plan import load_libraries
from edge.runtime.errors import ConfigError, ModelError
from edge.sentences import as_sentences

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.runtime.engines.tensorrt_plan import BoardLibraries, LibraryName

WARM_UP_ROUNDS = 3
TRANSFER_NOTE = "Latency holds the copies between host and device memory, and the wait for the device."


def open_engine_file(path: Path, config: SubjectConfig) -> TimedSubject:
    """Loads an engine that was built for this device and TensorRT, and draws its inputs.

    An engine can run code: whoever names the file vouches for it.

    Raises:
        MissingDependencyError: TensorRT, cuda-python, the driver or a device is absent.
        ModelError: The engine is of another device or TensorRT, or does not take a shape.
        ConfigError: The file cannot be read, or another engine is asked for.
    """
    if config.engine == "onnxruntime":
        raise ConfigError(f"{path.name} is a TensorRT engine", "leave --engine out")
    try:
        plan = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path} ({error.strerror})", "pass the path of an engine") from error
    libraries = load_libraries(_installed_library())

    def opened(cuda_graph: bool) -> TensorRTEngine:
        runner = RunnerConfig(device=config.device, cuda_graph=cuda_graph)
        return TensorRTEngine(plan, "file", config=runner, shapes=config.shapes, libraries=libraries)

    engine = opened(cuda_graph=True)
    shapes = {tensor.name: tensor.shape for tensor in engine.inputs}
    inputs = {tensor.name: OpenInput(tensor.taken, tensor.shape) for tensor in engine.inputs}
    feeds = draw_inputs(inputs, shapes, config.seed)
    return TimedSubject(
        Subject(
            name=path.name,
            kind="engine",
            digest=hashlib.sha256(plan).hexdigest(),
            engine=engine.name,
            inputs=shapes,
        ),
        lambda: engine.run(feeds),
        layers=lambda rounds: engine_layer_times(libraries, lambda: opened(cuda_graph=False), feeds, rounds),
        notes=(*_told(engine), TRANSFER_NOTE, *fixed_extent_notes(shapes)),
        close=engine.close,
    )


def engine_layer_times(
    libraries: BoardLibraries,
    opened: Callable[[], TensorRTEngine],
    feeds: Mapping[str, NDArray[Any]],
    rounds: int,
) -> tuple[LayerTime, ...]:
    """Mean time of each layer of an engine over `rounds` runs, in the order in which it reports them.

    Args:
        libraries: The TensorRT that runs it.
        opened: Opens the engine once more, without a CUDA graph.
        feeds: Its inputs.
        rounds: Runs that count, after a few that do not.

    Raises:
        ModelError: The engine tells of no layer.
    """
    with opened() as engine:
        for _ in range(WARM_UP_ROUNDS):
            engine.run(feeds)
        profiler = make_layer_clock(libraries.trt)
        engine.report_layers(profiler)
        for _ in range(rounds):
            engine.run(feeds)
        engine.report_layers(None)
    if not profiler.spent_ms:
        raise ModelError("the engine tells of no layers", "leave them out with --no-layers")
    return tuple(LayerTime(name=name, kind=_kind(name), ms=ms / rounds) for name, ms in profiler.spent_ms.items())


def make_layer_clock(trt: Any) -> Any:
    """A profiler of that TensorRT, with the milliseconds of each layer summed up in `spent_ms`.

    The class is made here because its base is TensorRT's, which is imported only where there is one.
    """

    class LayerClock(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.spent_ms: dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            """Called by TensorRT."""
            self.spent_ms[layer_name] = self.spent_ms.get(layer_name, 0.0) + ms

    return LayerClock()


def _told(engine: TensorRTEngine) -> tuple[str, ...]:
    return as_sentences(engine.notes)


def _installed_library() -> LibraryName:
    """TensorRT where both are there, for it is what boards have."""
    return "tensorrt_rtx" if has_module("tensorrt_rtx") and not has_module("tensorrt") else "tensorrt"


def _kind(name: str) -> str:
    """TensorRT tells names only; where it has fused, the first says what the layer is."""
    return "reformat" if name.lower().startswith("reformatting") else "engine layer"
