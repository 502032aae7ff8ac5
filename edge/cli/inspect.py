"""`edge inspect`: what a bundle holds, and whether its rig fits what the sensors see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli.trust import RequireSignature, TrustedKeyFiles, open_trusted, signature_line

if TYPE_CHECKING:
    from rich.table import Table

    from edge.runtime.bundle import Bundle


def inspect(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    rig: Annotated[bool, typer.Option("--rig", help="Draw the source's lidar on its camera image.")] = False,
    source: Annotated[str, typer.Option("--source", help="Whose sensors to draw: sim, kitti:DIR.")] = "sim",
    out: Annotated[Path, typer.Option("--out", help="Picture for --rig.")] = Path("rig.png"),
    licenses: Annotated[
        bool, typer.Option("--licenses", help="Show the bundle's licences and those of what made it.")
    ] = False,
    require_signature: RequireSignature = False,
    trusted_key: TrustedKeyFiles = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest, or the licences, as JSON.")] = False,
) -> None:
    """Show a bundle's signature, stages, states and files, its licences, or the overlay that betrays a wrong rig."""
    from rich.console import Console
    from rich.markup import escape

    from edge.runtime.manifest import printable

    opened = open_trusted(bundle, require_signature, trusted_key)
    if licenses:
        _print_licenses(opened, as_json)
    elif rig:
        from edge.report.moments import draw_rig
        from edge.runtime.fusion import complete_rig
        from edge.runtime.sources.grammar import open_sources

        given = open_sources([source])
        draw_rig(given, opened.model_io, out, complete_rig(given.rig, opened))
        typer.echo(f"Drawn: {out}. Points must lie on the objects that they hit.")
    elif as_json:
        typer.echo(opened.manifest.model_dump_json(by_alias=True, indent=1))
    else:
        console = Console()
        manifest = opened.manifest
        console.print(f"[bold]{escape(printable(manifest.name))}[/]  {opened.id}", highlight=False)
        console.print(signature_line(opened.signature), markup=False, highlight=False, soft_wrap=True)
        trained = f"trained on {printable(manifest.data.description)}; calibration set {manifest.calibration_digest}"
        console.print(escape(trained))
        for table in (_stages(opened), _states(opened), _files(opened)):
            console.print(table)


def _stages(bundle: Bundle) -> Table:
    from edge.compress.stages.record import StageRecord
    from edge.report.table import stage_table

    records = [StageRecord.model_validate(stage.model_dump()) for stage in bundle.manifest.stages]
    return stage_table(records, title="Stages")


def _states(bundle: Bundle) -> Table:
    from rich.table import Table

    table = Table("modality state", "score when validated", title="States that the runtime may run")
    for state, score in sorted(bundle.states.items(), key=lambda item: -item[1]):
        table.add_row(state, f"{score:.1f}")
    return table


def _print_licenses(bundle: Bundle, as_json: bool) -> None:
    import json

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from edge.packing.licenses import licence_report
    from edge.runtime.manifest import printable

    text, entries = bundle.text("LICENSES"), licence_report(bundle)
    if as_json:
        typer.echo(json.dumps({"licenses": text, "packages": [entry.to_json() for entry in entries]}))
        return
    table = Table("package", "version", "read from", "licence as stated", title="Made with")
    for entry in entries:
        read_from = "-" if entry.installed is None else entry.installed
        cells = (entry.package, entry.version, read_from, entry.licence)
        table.add_row(*(escape(printable(cell)) for cell in cells))
    console = Console()
    for line in text.splitlines():
        console.print(printable(line), markup=False, highlight=False)
    console.print(table)


def _files(bundle: Bundle) -> Table:
    from rich.table import Table

    table = Table("file", "bytes", "SHA-256", title="Files")
    for name, entry in bundle.manifest.files.items():
        table.add_row(name, f"{entry.bytes:,}", entry.sha256[:16])
    return table
