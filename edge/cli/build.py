"""`edge build`: a bundle's TensorRT engine, on the board that will run it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge.cli.trust import RequireSignature, TrustedKeyFiles, open_trusted, signature_line

if TYPE_CHECKING:
    from rich.table import Table

    from edge.compile.board.engine import BoardEngine
    from edge.compile.board.host import BoardHost
    from edge.runtime.bundle import Bundle


def build(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    dialect: Annotated[
        str | None, typer.Option("--dialect", help="Graph to build: s8, s8f16, fp32; by default what suits TensorRT.")
    ] = None,
    typed: Annotated[
        bool, typer.Option("--typed", help="Keep the graph's types, where TensorRT could choose float types itself.")
    ] = False,
    workspace: Annotated[
        int | None, typer.Option("--workspace", min=1, help="MiB for temporaries; by default about an eighth of all.")
    ] = None,
    optimization_level: Annotated[
        int | None, typer.Option("--optimization-level", min=0, max=5, help="0 builds fastest, 5 searches longest.")
    ] = None,
    sparse: Annotated[
        bool | None,
        typer.Option(
            "--sparse/--no-sparse", help="Allow 2:4 sparse kernels; by default where the bundle has weights so."
        ),
    ] = None,
    dla_core: Annotated[
        int | None, typer.Option("--dla-core", min=0, max=1, help="Run what can on this DLA core, the rest on the GPU.")
    ] = None,
    device: Annotated[int, typer.Option("--device", min=0, help="Index of the CUDA device.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Build also where the engine is there.")] = False,
    require_signature: RequireSignature = False,
    trusted_key: TrustedKeyFiles = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the engine's record, and how it answers the goldens, as JSON.")
    ] = False,
) -> None:
    """Build the engine that this board runs, prove its precision, check it on the goldens, and keep it.

    Example: edge build runs/demo/bundle

    Keeps nothing and ends with 3 where a layer that the bundle's plan calls INT8 is not declared so, or found not to
    be, or where the engine answers the goldens differently. An engine that is there for this graph, device, TensorRT
    and these options is checked on the goldens and not built again. Engines lie in $EDGE_CACHE (~/.cache/edge);
    `edge run` takes the newest from there. On a machine without a device use `edge check`.
    """
    import json

    from rich.console import Console

    from edge.compile.board.engine import board_config, engine_of
    from edge.runtime.engine_cache import EngineCache

    opened = open_trusted(bundle, require_signature, trusted_key)
    host = _host(bundle, device)
    config = board_config(
        workspace_mib=workspace,
        optimization_level=optimization_level,
        sparse_weights=sparse,
        dla_core=dla_core,
        regime="typed" if typed else "auto",
    )
    cache = EngineCache()
    with Console(stderr=True).status(f"Building for {host.title}; minutes on a small board ..."):
        engine = engine_of(opened, host, config, cache, dialect, again=again)
    if as_json:
        typer.echo(json.dumps(_as_json(opened, engine), indent=1))
    else:
        console = Console()
        console.print(signature_line(opened.signature), markup=False, highlight=False, soft_wrap=True)
        console.print(_table(opened, engine, host))
        for line in _what_runs(opened, host, cache, engine):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    _demand(engine)


def _host(bundle: Path, device: int) -> BoardHost:
    from edge.compile.board.host import open_host
    from edge.runtime.errors import MissingDependencyError

    try:
        return open_host(device)
    except MissingDependencyError as error:
        instead = f"without a device, on any machine: edge check {bundle} --target DEVICE"
        raise MissingDependencyError(error.problem, f"{error.remedy}; {instead}") from error


def _demand(engine: BoardEngine) -> None:
    from edge.runtime.errors import GateError

    verified = engine.verified
    if not verified.ok:
        kept = "was not kept" if engine.path is None else f"in {engine.path} is not to be trusted"
        raise GateError(
            f"the engine answers the goldens of {engine.dialect} differently: {verified.deviation:.2e} of a tensor's "
            f"magnitude, allowed are {verified.allowed:.0e}; it {kept}",
            "build again with --typed, keep the layers that differ in float, or run the bundle with ONNX Runtime",
        )


def _what_runs(bundle: Bundle, host: BoardHost, cache: Any, engine: BoardEngine) -> list[str]:
    """Another engine than the one that was just built may be what a run takes."""
    from edge.compile.board.graph_choice import newest_engine

    taken = None if engine.path is None else newest_engine(bundle, host, cache)
    if taken is None or taken[1].path == engine.path:
        return []
    if taken[0] != engine.dialect:
        return [f"`edge run` takes the {taken[0]} engine; this one runs with --dialect {engine.dialect}."]
    return [f"`edge run` takes the newer engine, built {taken[1].record.built_at} with other options."]


def _as_json(bundle: Bundle, engine: BoardEngine) -> dict[str, Any]:
    from math import isfinite

    verified = engine.verified
    return {
        "id": bundle.id,
        "signature": bundle.signature.to_json(),
        "dialect": engine.dialect,
        "built": engine.was_built,
        "reason": engine.reason,
        "path": None if engine.path is None else str(engine.path),
        "goldens": {
            "engine": verified.engine,
            "deviation": verified.deviation if isfinite(verified.deviation) else None,
            "allowed": verified.allowed,
            "ok": verified.ok,
        },
        "notes": list(engine.notes),
        "record": engine.record.model_dump(mode="json", by_alias=True),
    }


def _table(bundle: Bundle, engine: BoardEngine, host: BoardHost) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from edge.compile.board.sparse_choice import sparsity_of

    record, verified = engine.record, engine.verified
    table = Table(title=escape(f"{engine.dialect} for {host.title}"), show_header=False)
    table.add_column()
    table.add_column(overflow="fold")  # paths are to be copied
    how = "built:" if engine.was_built else "there already,"
    table.add_row("engine", escape(f"{how} {engine.reason}"))
    peak = "" if record.peak_build_bytes is None else f", {record.peak_build_bytes / 2**20:.0f} MiB at the peak"
    table.add_row("build", f"{record.engine_bytes / 1e6:.1f} MB in {record.build_seconds:.0f} s{peak}")
    table.add_row("declared", _shares(record.declared))
    table.add_row("proved", _shares(record.proved or {}))
    sparsity = sparsity_of(bundle)
    if sparsity is not None:
        allowed = "allowed" if record.key.flags.get("sparse_weights") else "not allowed"
        table.add_row("sparsity", f"{sparsity}; sparse kernels {allowed}, their gain not measured")
    table.add_row("goldens", f"largest deviation {verified.deviation:.2e}, allowed {verified.allowed:.0e}")
    for note in engine.notes:
        table.add_row("note", escape(note))
    table.add_row("kept in", "nowhere" if engine.path is None else escape(str(engine.path)))
    return table


def _shares(shares: dict[str, float]) -> str:
    return ", ".join(f"{share:.1%} {name}" for name, share in shares.items()) or "-"
