"""What runs a bundle here: its TensorRT engine where one was built for this board, else a graph in ONNX Runtime."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edge.compile.board.goldens import TOLERANCE, golden_deviation
from edge.compile.board.graph_choice import choose_graph, newest_engine
from edge.compile.board.host import is_tensorrt_expected, open_host
from edge.compile.dialect_order import TYPED_DIALECTS
from edge.runtime.capabilities import has_module
from edge.runtime.engine_cache import EngineCache
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine, choose_dialect, must_emulate
from edge.runtime.engines.tensorrt import RunnerConfig, TensorRTEngine
from edge.runtime.engines.weight_levels import has_seven_bit_weights
from edge.runtime.errors import BundleError, ConfigError, EdgeError, MissingDependencyError

if TYPE_CHECKING:
    from edge.compile.board.host import BoardHost
    from edge.runtime.bundle import Bundle
    from edge.runtime.engines.base import Engine

EngineChoice = Literal["auto", "onnxruntime", "tensorrt"]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunEngine:
    """What runs the model, and why that.

    Attributes:
        engine: Loaded.
        reason: Why this one; a fallback says what it stands for.
        threads: Of the engine on the CPU.
        notes: What else the report says of it.
    """

    engine: Engine
    reason: str
    threads: int = 1
    notes: tuple[str, ...] = ()

    @property
    def thread_settings(self) -> dict[str, int | str]:
        """As a machine's state holds them; empty of an engine that has no threads on the CPU."""
        settings: dict[str, int | str] = getattr(self.engine, "thread_settings", {})
        return settings


def open_engine(
    bundle: Bundle,
    dialect: str | None = None,
    threads: int = 1,
    choice: EngineChoice = "auto",
    config: RunnerConfig | None = None,
) -> RunEngine:
    """Loads what suits this machine, or what is asked for.

    `auto` takes a TensorRT engine that `edge build` made for this bundle, device and TensorRT. Where there is no such
    engine, or no device on a machine that is meant for TensorRT, it takes ONNX Runtime and says so, in the log and in
    `reason`. An engine that is there and damaged, or does not load, is an error, no reason to fall back.

    Args:
        bundle: The model.
        dialect: Graph; that which suits where it is not given. `u8` is ONNX Runtime's.
        threads: Of ONNX Runtime, for one operator.
        choice: Which engine.
        config: How TensorRT engines are run.

    Raises:
        BundleError: The bundle has no such graph, an engine is asked for that was not built, or one is damaged.
        ModelError: It does not load.
        ConfigError: The device does not have what `config` asks for.
        MissingDependencyError: What is asked for is not installed, or there is no device.
    """
    missing: EdgeError | None = None
    is_for_cpu = choice == "auto" and dialect is not None and dialect not in TYPED_DIALECTS
    if choice != "onnxruntime" and not is_for_cpu:
        try:
            return _tensorrt(bundle, dialect, config or RunnerConfig())
        except (MissingDependencyError, _NoEngineError) as error:
            if choice == "tensorrt":
                raise
            missing = error
    return _onnxruntime(bundle, dialect, threads, missing)


class _NoEngineError(BundleError):
    """There is a device, and no engine for it, or another device than the one that is asked for."""


def _onnxruntime(bundle: Bundle, dialect: str | None, threads: int, missing: EdgeError | None) -> RunEngine:
    reason = "asked for"
    if dialect is None:
        suiting = choose_dialect(bundle.dialects, seven_bit=_seven_bit(bundle))
        dialect, reason = suiting.dialect, suiting.reason
    if missing is not None and (is_tensorrt_expected() or not isinstance(missing, MissingDependencyError)):
        if not has_module("onnxruntime"):  # a board needs one engine, and that one is nearer
            raise missing
        logger.warning("ONNX Runtime runs the model, for there is no TensorRT engine: %s", missing)
        reason = f"{reason}; no TensorRT engine: {missing.problem}"
    engine, notes = _checked(bundle, dialect, threads)
    return RunEngine(engine, reason, threads, notes)


def _seven_bit(bundle: Bundle) -> list[str]:
    """Dialects with weights of 7 bits; asked for only where others would be emulated."""
    asked = [d for d in bundle.dialects if d in ("u8", "s8") and must_emulate(d)]
    return [d for d in asked if has_seven_bit_weights(bundle.graph(d))]


def _checked(bundle: Bundle, dialect: str, threads: int) -> tuple[OnnxRuntimeEngine, tuple[str, ...]]:
    """The engine; where it owes its integer kernels to weights of 7 bits, it must answer the goldens."""

    def engine(emulate: bool | None = None) -> OnnxRuntimeEngine:
        graph, io = bundle.graph(dialect), bundle.model_io
        return OnnxRuntimeEngine(graph, dialect, threads=threads, model_io=io, emulate_int8=emulate)

    found = engine()
    if not must_emulate(dialect) or not found.in_integers:
        return found, ()
    deviation = golden_deviation(bundle, dialect, found)
    if deviation <= TOLERANCE[dialect]:
        return found, ()
    note = f"INT8 is emulated: the integer kernels miss the goldens of {dialect} by {deviation:.2g} of a tensor"
    logger.warning(note)
    return engine(True), (note,)


def _tensorrt(bundle: Bundle, dialect: str | None, config: RunnerConfig) -> RunEngine:
    try:
        host, cache = open_host(config.device), EngineCache()
    except ConfigError as error:
        raise _NoEngineError(error.problem, error.remedy) from None
    found = newest_engine(bundle, host, cache, dialect)
    if found is None:
        raise _why_none(bundle, host, cache, dialect)
    name, cached = found
    engine = TensorRTEngine(cached.plan, name, model_io=bundle.model_io, config=config, libraries=host.libraries)
    return RunEngine(engine, f"engine built here {cached.record.built_at}", notes=engine.notes)


def _why_none(bundle: Bundle, host: BoardHost, cache: EngineCache, dialect: str | None) -> _NoEngineError:
    try:
        wanted = choose_graph(bundle, host, dialect)
    except BundleError as error:
        return _NoEngineError(error.problem, error.remedy)
    why = cache.explain(host.key(bundle.graph(wanted), bundle.model_io, {}), however_built=True)
    option = "" if dialect is None else f" --dialect {dialect}"
    return _NoEngineError(why, f"build it with: edge build {bundle.path}{option}")
