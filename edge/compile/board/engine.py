"""A bundle's engine on the board: found, or built, proved, held against the goldens, and kept."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from edge.compile.board.graph_choice import choose_graph
from edge.compile.board.graph_compiler import compile_graph
from edge.compile.board.sparse_choice import with_sparse_choice
from edge.compile.board.verification import verify_plan
from edge.compile.precision.layer_precision import PrecisionReport
from edge.compile.precision.proved_in_engine import proved_precision
from edge.compile.tensorrt.build_memory import workspace_bytes
from edge.compile.tensorrt.engine_config import EngineConfig
from edge.compile.tensorrt.timing_cache import TimingCache
from edge.compress.precision_plan import PrecisionPlan, plan_of_stages
from edge.runtime.byte_sizes import MIB
from edge.runtime.engine_cache import CachedEngine
from edge.runtime.engine_key import EngineRecord
from edge.runtime.engines.engine_inspection import inspect_plan
from edge.runtime.environment import describe_host
from edge.runtime.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.compile.board.graph_compiler import CompiledGraph
    from edge.compile.board.host import BoardHost
    from edge.compile.board.verification import Verified
    from edge.runtime.bundle import Bundle
    from edge.runtime.engine_cache import EngineCache
    from edge.runtime.engine_key import EngineKey

logger = logging.getLogger(__name__)
TIMINGS = "timings"
WORKSPACE_STEP_MIB = 128


@dataclass(frozen=True)
class BoardEngine:
    """An engine for this board.

    Attributes:
        cached: Its plan and record.
        dialect: Of the graph that it is of.
        reason: Why it was built, or that it was there.
        verified: How it answers the bundle's goldens.
        is_kept: Whether it lies in the cache; one that was just built and answers them differently does not.
        proved: Precision inside of it; None where it was there already.
        notes: What did not go as asked while it was built.
    """

    cached: CachedEngine
    dialect: str
    reason: str
    verified: Verified
    is_kept: bool = True
    proved: PrecisionReport | None = None
    notes: tuple[str, ...] = ()

    @property
    def record(self) -> EngineRecord:
        """What is known of it."""
        return self.cached.record

    @property
    def path(self) -> Path | None:
        """Where it is kept."""
        return self.cached.path if self.is_kept else None

    @property
    def was_built(self) -> bool:
        """Whether this call built it."""
        return self.proved is not None


def board_config(workspace_mib: int | None = None, **settings: Any) -> EngineConfig:
    """How engines are built here: the workspace bounded to about an eighth of the memory, where nothing is said.

    Args:
        workspace_mib: Bound of the workspace.
        settings: Other fields of `EngineConfig`.
    """
    memory = describe_host().memory_gib
    if workspace_mib is None and memory is not None:
        # In steps: a kernel that keeps a little more for itself is no reason to build for minutes.
        steps = workspace_bytes(memory) // MIB // WORKSPACE_STEP_MIB
        workspace_mib = max(1, steps) * WORKSPACE_STEP_MIB
    return EngineConfig(workspace_mib=workspace_mib, **settings)


def engine_of(
    bundle: Bundle,
    host: BoardHost,
    config: EngineConfig,
    cache: EngineCache,
    dialect: str | None = None,
    *,
    again: bool = False,
    compiler: Callable[..., CompiledGraph] = compile_graph,
) -> BoardEngine:
    """The engine of a bundle's graph on this machine: from the cache where its key is there, else built and proved.

    It is kept only if it answers the goldens as the graph does: what is kept is what `edge run` takes.

    Args:
        bundle: An opened bundle.
        host: This machine.
        config: How it is built.
        cache: Where engines are kept.
        dialect: Of the graph; that which suits TensorRT where it is not given.
        again: Build also where there is one.
        compiler: Makes the engine.

    Raises:
        ConfigError: Sparse kernels are asked for, and the graph or the device is not for them.
        GateError: Layers fall short of the bundle's precision plan, as declared or as proved.
        BundleError: The cache is damaged or not this user's.
        ModelError: TensorRT does not take the graph, does not build, or does not run the engine.
    """
    config = with_sparse_choice(config, bundle, host.device.compute_capability)
    chosen = choose_graph(bundle, host, dialect, typed=config.regime == "typed")
    graph = bundle.graph(chosen)
    key = host.key(graph, bundle.model_io, config.flags())
    found = None if again else cache.find(key)
    if found is not None and found.record.bundle_id == bundle.id:
        return kept_engine(bundle, host, chosen, found)
    reason = _why_built(cache, key, found, again=again)
    logger.info("building: %s", reason)
    # Whoever asks for the FP32 graph by name means it; TensorRT's own choice of graph is held against the plan.
    plan = PrecisionPlan() if dialect == "fp32" else plan_of_stages(bundle.manifest.stages)
    compiled = compiler(host.library, graph, config, plan, _timings(cache, host))
    proved = _prove(host, compiled)
    proved.demand(plan)
    record = _record(key, compiled, proved, bundle)
    candidate = CachedEngine(cache.path_of(key), record, compiled.engine.plan)
    verified = verify_plan(bundle, host, chosen, candidate.plan)
    if verified.ok:
        cache.store(key, candidate.plan, record)
    return BoardEngine(candidate, chosen, reason, verified, verified.ok, proved, compiled.engine.notes)


def kept_engine(bundle: Bundle, host: BoardHost, dialect: str, cached: CachedEngine) -> BoardEngine:
    """An engine of the cache, held against the goldens once more.

    Raises:
        BundleError: The goldens are of other tensors.
        ModelError: TensorRT does not run it.
    """
    try:
        verified = verify_plan(bundle, host, dialect, cached.plan)
    except ModelError as error:
        again = f"if that does not help, build it anew: edge build {bundle.path} --dialect {dialect} --again"
        raise ModelError(f"the engine in {cached.path}: {error.problem}", f"{error.remedy}; {again}") from error
    return BoardEngine(cached, dialect, f"built {cached.record.built_at}", verified)


def _why_built(cache: EngineCache, key: EngineKey, found: CachedEngine | None, *, again: bool) -> str:
    if again:
        return "asked for"
    if found is not None:  # its record names no layers, so a plan cannot be held against it
        return "the engine here was built for another bundle with the same graph, whose precision plan may differ"
    return cache.explain(key)


def _timings(cache: EngineCache, host: BoardHost) -> TimingCache:
    """Also makes sure, before minutes are spent on an engine, that it can be kept."""
    name = f"{host.libraries.name}-{host.libraries.version}-{host.device.compute_capability}.cache"
    return TimingCache(cache.folder(TIMINGS) / name)


def _prove(host: BoardHost, compiled: CompiledGraph) -> PrecisionReport:
    """What the inspector says; what it does not say is unknown, which is told and held against nothing."""
    information = inspect_plan(host.libraries, compiled.engine.plan)
    try:
        proved = proved_precision(information, compiled.declared, host.title)
    except ModelError as error:
        unknown = {"precision": "unknown", "reason": error.problem}
        layers = tuple(layer.model_copy(update=unknown) for layer in compiled.declared.layers)
        proved = PrecisionReport(evidence="proved", source=host.title, layers=layers)
    if proved.unknown:
        share, first = proved.shares().get("unknown", 0.0), proved.unknown[0]
        logger.warning(
            "precision is not proved of %d of %d layers, %.0f %% of the multiply-accumulates: %s: %s",
            *(len(proved.unknown), len(proved.layers), 100 * share, first.name, first.reason),
        )
    return proved


def _record(key: EngineKey, compiled: CompiledGraph, proved: PrecisionReport, bundle: Bundle) -> EngineRecord:
    from edge import __version__

    engine = compiled.engine
    return EngineRecord(
        schema=1,
        key=key,
        engine_sha256=hashlib.sha256(engine.plan).hexdigest(),
        engine_bytes=len(engine.plan),
        built_at=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        build_seconds=engine.seconds,
        peak_build_bytes=engine.peak_bytes,
        declared=compiled.declared.shares(),
        proved=proved.shares(),
        bundle_id=bundle.id,
        edge_version=__version__,
    )
