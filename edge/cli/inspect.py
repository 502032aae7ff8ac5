"""`edge inspect`: what a bundle holds, and whether its rig fits what the sensors see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from edge.runtime.bundle import Bundle


def inspect(
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    rig: Annotated[bool, typer.Option("--rig", help="Draw the source's lidar on its camera image.")] = False,
    source: Annotated[str, typer.Option("--source", help="Whose sensors to draw: sim, kitti:DIR.")] = "sim",
    out: Annotated[Path, typer.Option("--out", help="Picture for --rig.")] = Path("rig.png"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Show a bundle's stages, modality states and files, or draw the overlay that betrays a wrong rig."""
    from rich.console import Console

    from edge.runtime.bundle import Bundle

    opened = Bundle.open(bundle)
    if rig:
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
        console.print(f"[bold]{manifest.name}[/]  {opened.id}", highlight=False)
        console.print(f"trained on {manifest.data.description}; calibration set {manifest.calibration_digest}")
        for table in (_stages(opened), _states(opened), _files(opened)):
            console.print(table)


def _stages(bundle: Bundle) -> Table:
    from edge.compress.record import StageRecord
    from edge.report.table import stage_table

    records = [StageRecord.model_validate(stage.model_dump()) for stage in bundle.manifest.stages]
    return stage_table(records, title="Stages")


def _states(bundle: Bundle) -> Table:
    from rich.table import Table

    table = Table("modality state", "score when validated", title="States that the runtime may run")
    for state, score in sorted(bundle.states.items(), key=lambda item: -item[1]):
        table.add_row(state, f"{score:.1f}")
    return table


def _files(bundle: Bundle) -> Table:
    from rich.table import Table

    table = Table("file", "bytes", "SHA-256", title="Files")
    for name, entry in bundle.manifest.files.items():
        table.add_row(name, f"{entry.bytes:,}", entry.sha256[:16])
    return table
