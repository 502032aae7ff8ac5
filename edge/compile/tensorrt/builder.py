"""From a network to a serialized engine: bounded workspace, memory checked before and measured after, timing cache."""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.compile.tensorrt.build_memory import peak_watch
from edge.runtime.byte_sizes import MIB
from edge.runtime.errors import ConfigError, ModelError, first_line

if TYPE_CHECKING:
    from edge.compile.tensorrt.engine_config import EngineConfig
    from edge.compile.tensorrt.network import ParsedNetwork
    from edge.compile.tensorrt.timing_cache import TimingCache
    from edge.runtime.engine_key import ShapeRange

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BuiltEngine:
    """A serialized engine.

    Attributes:
        plan: What a runtime of the same TensorRT deserializes on the device it was built for.
        library: Title of that TensorRT.
        seconds: That the build took.
        peak_bytes: How much the process grew while it built, at its highest; None where the system does not tell.
        notes: What did not go as asked, for the report.
    """

    plan: bytes
    library: str
    seconds: float
    peak_bytes: int | None
    notes: tuple[str, ...] = ()


class BuildError(ModelError):
    """TensorRT does not build a network.

    Args:
        problem: What is wrong and where, with the reason.
        remedy: What to do next.
        reason: What TensorRT says, without its own source positions.
    """

    def __init__(self, problem: str, remedy: str, reason: str) -> None:
        super().__init__(problem, remedy)
        self.reason = reason


def build_engine(parsed: ParsedNetwork, config: EngineConfig, timing: TimingCache | None = None) -> BuiltEngine:
    """Builds.

    Args:
        parsed: The network.
        config: How.
        timing: Timings of earlier builds; read before and written after. TensorRT-RTX has none.

    Raises:
        ConfigError: The configuration asks for what this TensorRT or this network does not have.
        BuildError: TensorRT does not build; the message is its own.
    """
    builder_config = configure(parsed, config)
    notes = timing.attach(parsed, builder_config) if timing is not None else ()
    started = time.monotonic()
    parsed.logger.take_errors()
    with peak_watch() as peak:
        memory = parsed.builder.build_serialized_network(parsed.network, builder_config)
    if memory is None:
        raise _refusal(parsed, config)
    seconds = time.monotonic() - started
    if timing is not None:
        notes = (*notes, *timing.save(parsed, builder_config))
    for note in notes:
        logger.warning("%s", note)
    logger.info("%s: %d bytes in %.1f s", parsed.library.title, memory.nbytes, seconds)
    return BuiltEngine(bytes(memory), parsed.library.title, seconds, peak.bytes, notes)


def configure(parsed: ParsedNetwork, config: EngineConfig) -> Any:
    """TensorRT's builder configuration for ours.

    Raises:
        ConfigError: It asks for what this TensorRT or this network does not have.
    """
    trt = parsed.library.trt
    builder_config = parsed.builder.create_builder_config()
    # The engine inspector proves precisions only of engines that were built with this.
    builder_config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if config.workspace_mib is not None:
        builder_config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, config.workspace_mib * MIB)
    if config.optimization_level is not None:
        builder_config.builder_optimization_level = config.optimization_level
    if config.sparse_weights:
        builder_config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
    if not parsed.typed:
        _allow_precisions(parsed, builder_config, config)
    if config.dla_core is not None:
        _place_on_dla(parsed, builder_config, config.dla_core)
    if config.compute_capability is not None:
        target_capability(parsed, builder_config, config.compute_capability)
    _add_profile(parsed, builder_config, config)
    return builder_config


def _allow_precisions(parsed: ParsedNetwork, builder_config: Any, config: EngineConfig) -> None:
    trt = parsed.library.trt
    if has_quantization(parsed):
        builder_config.set_flag(trt.BuilderFlag.INT8)
    if config.fp16:
        builder_config.set_flag(trt.BuilderFlag.FP16)


def has_quantization(parsed: ParsedNetwork) -> bool:
    """Whether the network holds quantize or dequantize layers."""
    kinds, network = parsed.library.trt.LayerType, parsed.network
    wanted = (kinds.QUANTIZE, kinds.DEQUANTIZE)
    return any(network.get_layer(i).type in wanted for i in range(network.num_layers))


def _place_on_dla(parsed: ParsedNetwork, builder_config: Any, core: int) -> None:
    trt, cores = parsed.library.trt, int(parsed.builder.num_DLA_cores)
    if core >= cores:
        raise ConfigError(f"{parsed.library.title} finds {cores or 'no'} DLA cores here", f"do without DLA core {core}")
    builder_config.default_device_type = trt.DeviceType.DLA
    builder_config.DLA_core = core
    builder_config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def target_capability(parsed: ParsedNetwork, builder_config: Any, capability: str) -> None:
    """Builds for a device that need not be here.

    Raises:
        ConfigError: This TensorRT cannot do that, or not for this device.
    """
    known = parsed.library.compute_capabilities()
    if capability not in known:
        able = f"it builds for {', '.join(known)}" if known else "it builds only for the device that is here"
        raise ConfigError(f"{parsed.library.title} does not build for compute capability {capability}", able)
    builder_config.num_compute_capabilities = 1
    name = f"SM{capability.replace('.', '')}"
    builder_config.set_compute_capability(getattr(parsed.library.trt.ComputeCapability, name), 0)


def _add_profile(parsed: ParsedNetwork, builder_config: Any, config: EngineConfig) -> None:
    tensors = [parsed.network.get_input(i) for i in range(parsed.network.num_inputs)]
    dynamic = {t.name: tuple(t.shape) for t in tensors if any(extent < 0 for extent in t.shape)}
    for name in sorted(dynamic.keys() ^ config.profiles.keys()):
        if name in dynamic:
            remedy = "export the graph with one, or give its range in `profiles`"
            raise ConfigError(f"input '{name}' has no fixed shape", remedy)
        raise ConfigError(f"`profiles` names '{name}', which is no input of variable shape", "leave it out")
    if dynamic:
        profile = parsed.builder.create_optimization_profile()
        for name, given in config.profiles.items():
            _check_range(name, dynamic[name], given)
            profile.set_shape(name, given.minimum, given.optimum, given.maximum)
        if builder_config.add_optimization_profile(profile) < 0:
            raise ConfigError("TensorRT refuses the ranges in `profiles`", "check them against the graph's inputs")


def _check_range(name: str, shape: tuple[int, ...], given: ShapeRange) -> None:
    fits = len(given.minimum) == len(shape) and all(
        extent < 0 or low == high == extent
        for extent, low, high in zip(shape, given.minimum, given.maximum, strict=True)
    )
    if not fits:
        told = "x".join(str(extent) if extent >= 0 else "?" for extent in shape)
        raise ConfigError(f"`profiles` gives input '{name}' {given}, the graph has {told}", "only what is ? may vary")


def _refusal(parsed: ParsedNetwork, config: EngineConfig) -> BuildError:
    """TensorRT's own words, and what to do about them."""
    said = parsed.logger.take_errors()
    where = f" for compute capability {config.compute_capability}" if config.compute_capability else ""
    reason = _tidied(said[-1]) if said else "it does not say why"
    remedy = "let the plan keep the layer that it names wider, or rewrite that layer"
    if "workspace" in reason:
        remedy = "raise the bound of the workspace"
    elif "memory" in reason.lower():
        remedy = "lower the bound of the workspace, or stop other programs"
    return BuildError(f"{parsed.library.title} does not build the engine{where}: {reason}", remedy, reason)


def _tidied(message: str) -> str:
    """TensorRT's words without the functions and files that they come from."""
    told = re.sub(r"^I\w+::\w+: Error Code \d+: [^(]*\((.*)\)$", r"\1", message.strip(), flags=re.DOTALL)
    return first_line(RuntimeError(re.sub(r"\[\w+\.\w+:\d+: \w+\] |\.? In \w+ at \S+$", "", told)))
