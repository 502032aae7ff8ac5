"""`edge verify`: is this bundle whole, and does it compute here what it computed where it was packed?"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli.engine_choice import EngineName
from edge.cli.trust import RequireSignature, TrustedKeyFiles, open_trusted, signature_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from edge.compile.board.engine import BoardEngine
    from edge.compile.board.host import BoardHost
    from edge.compile.board.verification import Verified
    from edge.runtime.bundle import Bundle

_log = logging.getLogger(__name__)


def verify(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    engine: Annotated[
        EngineName, typer.Option("--engine", help="What runs the goldens; auto: TensorRT too, where a device is.")
    ] = EngineName.auto,
    device: Annotated[int, typer.Option("--device", min=0, help="Index of the CUDA device, for TensorRT.")] = 0,
    require_signature: RequireSignature = False,
    trusted_key: TrustedKeyFiles = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Check the signature and every file's digest, then run the goldens through each graph and compare the outputs.

    On a board the TensorRT engine that `edge run` takes is checked as well; where none fits the bundle, device and
    TensorRT one is built, as `edge build` does. Ends with 3 where answers differ by more than is allowed.
    """
    import json
    from math import isfinite

    from rich.console import Console

    from edge.runtime.errors import GateError

    opened = open_trusted(bundle, require_signature, trusted_key)
    found = tuple(_verified(opened, engine, device))
    failed = [item for item in found if not item.ok]
    if as_json:
        rows = [
            {
                "dialect": item.dialect,
                "engine": item.engine,
                "deviation": item.deviation if isfinite(item.deviation) else None,
                "allowed": item.allowed,
                "ok": item.ok,
            }
            for item in found
        ]
        result = {"id": opened.id, "signature": opened.signature.to_json(), "goldens": rows, "ok": not failed}
        typer.echo(json.dumps(result))
    else:
        console = Console()
        console.print(f"{len(opened.manifest.files)} files, every digest as in the manifest.")
        console.print(signature_line(opened.signature), markup=False, highlight=False, soft_wrap=True)
        console.print(_table(opened, found))
    if failed:
        named = ", ".join(f"{item.dialect} in {item.engine}" for item in failed)
        raise GateError(
            f"{named} of {bundle} answers the goldens differently here",
            "do not deploy on this machine; compare versions with: edge inspect",
        )


def _verified(bundle: Bundle, engine: EngineName, device: int) -> Iterator[Verified]:
    from edge.compile.board.verification import verify_graph
    from edge.runtime.capabilities import has_module

    on_board = _on_board(bundle, engine, device)
    if engine is not EngineName.tensorrt:
        if on_board is not None and not has_module("onnxruntime"):  # a board needs one engine, and has it
            _log.warning("ONNX Runtime is not installed, so the graphs were run in TensorRT only")
        else:
            yield from [verify_graph(bundle, dialect) for dialect in bundle.dialects]
    if on_board is not None:
        yield on_board


def _on_board(bundle: Bundle, engine: EngineName, device: int) -> Verified | None:
    """The goldens in TensorRT; None where it is not asked for, or has no device to run on or no graph to run."""
    from edge.compile.board.host import is_tensorrt_expected, open_host
    from edge.compile.dialect_order import TYPED_DIALECTS
    from edge.runtime.errors import MissingDependencyError

    if engine is EngineName.onnxruntime:
        return None
    try:
        host = open_host(device)
    except MissingDependencyError as error:
        if engine is EngineName.tensorrt:
            raise
        if is_tensorrt_expected():
            _log.warning("TensorRT was left out: %s", error)
        return None
    if engine is EngineName.auto and not set(TYPED_DIALECTS).intersection(bundle.dialects):
        _log.warning("TensorRT was left out: the bundle has no graph for it, only %s", ", ".join(bundle.dialects))
        return None
    return _engine(bundle, host).verified


def _engine(bundle: Bundle, host: BoardHost) -> BoardEngine:
    """The engine that `edge run` takes, or a new one where there is none."""
    from rich.console import Console

    from edge.compile.board.engine import board_config, engine_of, kept_engine
    from edge.compile.board.graph_choice import newest_engine
    from edge.runtime.engine_cache import EngineCache

    cache = EngineCache()
    found = newest_engine(bundle, host, cache)
    if found is not None:
        return kept_engine(bundle, host, *found)
    with Console(stderr=True).status(f"Building for {host.title}; minutes on a small board ..."):
        return engine_of(bundle, host, board_config(), cache)


def _table(bundle: Bundle, found: tuple[Verified, ...]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    from edge.runtime.manifest import printable

    table = Table(title=f"{escape(printable(bundle.manifest.name))}  {bundle.id[:23]}")
    for column in ("graph", "engine", "largest deviation", "allowed"):
        table.add_column(column, justify="left" if column in ("graph", "engine") else "right")
    for item in found:
        style = "" if item.ok else "red"
        table.add_row(item.dialect, item.engine, f"{item.deviation:.2e}", f"{item.allowed:.0e}", style=style)
    return table
