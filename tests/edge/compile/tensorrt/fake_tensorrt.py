"""A stand-in for TensorRT's builder side: networks that tests put together, and a builder that does as it is told.

It has what our modules touch, by TensorRT's names; that those exist in every version is another test's concern.
"""
# ruff: noqa: N802
# The names are TensorRT's own.

from __future__ import annotations

from enum import Enum, IntEnum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from edge.compile.tensorrt.engine_config import EngineConfig
from edge.compile.tensorrt.library import TensorRTLibrary
from edge.compile.tensorrt.network import ParsedNetwork, parse_network
from tests.edge.compile.tensorrt.fake_network import ErrorCode, FakeNetwork, ParserError, layer_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.runtime.engines.tensorrt_plan import LibraryName

BuilderFlag = Enum("BuilderFlag", ["INT8", "FP16", "SPARSE_WEIGHTS", "GPU_FALLBACK"])
TypedBuilderFlag = Enum("TypedBuilderFlag", ["SPARSE_WEIGHTS", "GPU_FALLBACK"])
Severity = Enum("Severity", ["INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"])
CreationFlag = IntEnum("CreationFlag", ["EXPLICIT_BATCH", "STRONGLY_TYPED"], start=0)
CAPABILITIES = ("SM75", "SM80", "SM86", "SM89", "SM120", "SM121")


class Logger:
    """Base of loggers."""

    def log(self, severity: Any, message: str) -> None:
        """Receives a message."""


class HostMemory:
    """Bytes that TensorRT owns."""

    def __init__(self, content: bytes) -> None:
        self._content, self.nbytes = content, len(content)

    def __bytes__(self) -> bytes:
        return self._content


class TimingCache:
    """Timings, with the device that they are of in front."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> HostMemory:
        return HostMemory(self.content)


class BuilderConfig:
    """Records what it is given."""

    def __init__(self, trt: FakeTensorRT, logger: Logger) -> None:
        self._trt, self._logger = trt, logger
        self.flags: set[str] = set()
        self.limits: dict[str, int] = {}
        self.profiles: list[Profile] = []
        self.capabilities: dict[int, Any] = {}
        self.timing_cache: TimingCache | None = None
        self.profiling_verbosity: Any = None
        self.builder_optimization_level: int | None = None
        self.num_compute_capabilities: int | None = None
        self.default_device_type: Any = None
        self.DLA_core: int | None = None

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag.name)

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        self.limits[pool.name] = size

    def set_compute_capability(self, capability: Any, index: int) -> bool:
        self.capabilities[index] = capability
        return True

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return -1 if "profile" in self._trt.refuses else 0

    def create_timing_cache(self, content: bytes) -> TimingCache | None:
        if content and not content.startswith(b"timings of "):
            self._logger.log(Severity.ERROR, "createTimingCache: Error Code 4: API Usage Error (it is no cache)")
            return None
        return TimingCache(content or b"timings of " + self._trt.device)

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        fits = ignore_mismatch or cache.content.startswith(b"timings of " + self._trt.device)
        if fits:
            self.timing_cache = cache
        else:
            self._logger.log(Severity.ERROR, "setTimingCache: Error Code 3: API Usage Error (another device)")
        return fits

    def get_timing_cache(self) -> TimingCache | None:
        return self.timing_cache


class Profile:
    """Ranges by the names of inputs."""

    def __init__(self) -> None:
        self.shapes: dict[str, tuple[Sequence[int], ...]] = {}

    def set_shape(self, name: str, low: Sequence[int], best: Sequence[int], high: Sequence[int]) -> None:
        self.shapes[name] = (low, best, high)


class Builder:
    """Makes networks and, if `FakeTensorRT.on_build` gives one, a plan."""

    def __init__(self, trt: FakeTensorRT, logger: Logger) -> None:
        self._trt, self.logger, self.num_DLA_cores = trt, logger, trt.dla_cores
        self.config: BuilderConfig | None = None

    def create_network(self, flags: int) -> FakeNetwork:
        return FakeNetwork(self._trt, flags)

    def create_builder_config(self) -> BuilderConfig:
        self.config = BuilderConfig(self._trt, self.logger)
        return self.config

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: FakeNetwork, config: BuilderConfig) -> HostMemory | None:
        plan = self._trt.on_build(network, config)
        for message in self._trt.says:
            self.logger.log(Severity.ERROR, message)
        if config.timing_cache is not None:
            config.timing_cache.content += b", measured"
        return None if plan is None else HostMemory(plan)


class OnnxParser:
    """Takes what `FakeTensorRT.on_parse` makes of a file, with the problems that it returns."""

    def __init__(self, trt: FakeTensorRT, network: FakeNetwork, logger: Logger) -> None:
        self._trt, self._network, self._logger = trt, network, logger
        self._errors: list[ParserError] = []

    def parse(self, graph: bytes) -> bool:
        found = self._trt.on_parse(self._network, graph)
        self._errors = found or []
        for message in self._trt.says if found is not None else ():
            self._logger.log(Severity.ERROR, message)
        return found is None

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> ParserError:
        return self._errors[index]


def _one_layer(network: FakeNetwork, _graph: bytes) -> list[ParserError] | None:
    network.add("ACTIVATION", [network.input("x", (1, 3, 8, 8))], (1, 3, 8, 8))
    return None


class FakeTensorRT:
    """Stands for the module `tensorrt` or `tensorrt_rtx`.

    Args:
        version: Of it.
        name: Which of the two.

    Attributes:
        on_parse: Fills a network from a file; None for success, else what the parser has against it.
        on_build: The plan, or None.
        says: What a parse or build that fails, or a build, logs as errors.
        refuses: What else it refuses: `profile`.
        device: What timings are of.
        dla_cores: Of the device.
    """

    ILogger = Logger
    ErrorCode = ErrorCode
    NetworkDefinitionCreationFlag = CreationFlag
    MemoryPoolType = Enum("MemoryPoolType", ["WORKSPACE", "TACTIC_SHARED_MEMORY"])
    ProfilingVerbosity = Enum("ProfilingVerbosity", ["LAYER_NAMES_ONLY", "DETAILED", "NONE"])
    DeviceType = Enum("DeviceType", ["GPU", "DLA"])

    def __init__(self, version: str = "10.3.0", name: LibraryName = "tensorrt") -> None:
        self.__version__, self.name = version, name
        typed = name == "tensorrt_rtx" or int(version.split(".", maxsplit=1)[0]) >= 11
        self.BuilderFlag: Any = TypedBuilderFlag if typed else BuilderFlag
        self.on_parse: Callable[[FakeNetwork, bytes], list[ParserError] | None] = _one_layer
        self.on_build: Callable[[FakeNetwork, BuilderConfig], bytes | None] = lambda _network, _config: b"a plan"
        self.says: list[str] = []
        self.refuses: set[str] = set()
        self.device, self.dla_cores = b"Orin", 0
        if name == "tensorrt_rtx":
            self.ComputeCapability = SimpleNamespace(
                **{key: key for key in CAPABILITIES}, __members__=dict.fromkeys((*CAPABILITIES, "NONE", "CURRENT"))
            )
        for key, value in layer_classes().items():
            setattr(self, key, value)

    def Builder(self, logger: Logger) -> Builder:
        return Builder(self, logger)

    def OnnxParser(self, network: FakeNetwork, logger: Logger) -> OnnxParser:
        return OnnxParser(self, network, logger)


def fake_library(version: str = "10.3.0") -> TensorRTLibrary:
    """A TensorRT of a version; those below 8 are TensorRT-RTX's."""
    name: LibraryName = "tensorrt_rtx" if int(version.split(".", maxsplit=1)[0]) < 8 else "tensorrt"
    return TensorRTLibrary(FakeTensorRT(version, name), name)


def parsed_by(library: TensorRTLibrary, **settings: Any) -> ParsedNetwork:
    """A network of one layer, or of what `on_parse` makes."""
    return parse_network(library, b"graph", EngineConfig(**settings))
