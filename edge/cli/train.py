"""`edge train`: a project file becomes a trained teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.cli.processes import across_processes


@across_processes
def train(
    config: Annotated[Path, typer.Argument(help="Project file (YAML), or the name of a preset.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the checkpoint.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder for a drawn dataset; beside OUT by default.")
    ] = None,
) -> None:
    """Train the teacher of a project, with modality dropout, and score it in every modality state.

    On N processes, which share every batch: torchrun --standalone --nproc-per-node N -m edge train ...
    """
    from rich.console import Console

    from edge.cli.build_steps import open_project, train_teacher
    from edge.cli.progress import progress_steps
    from edge.compress.parallel.collectives import first_alone
    from edge.project import find_project
    from edge.report.table import stage_table
    from edge.training.checkpoint import CheckpointManifest, save_checkpoint

    console = Console()
    project = find_project(config)
    with progress_steps(console) as steps:
        bench = open_project(project, data or out.with_name(f"{out.name}-data"), steps)
        teacher = train_teacher(bench, steps)
    manifest = CheckpointManifest(project=project, dataset=bench.dataset, record=teacher.record)
    first_alone(lambda: save_checkpoint(out, manifest, teacher.artifact.model))
    console.print(stage_table([teacher.record]))
    console.print(f"Teacher in {out}. Next: edge compress {out} --out DIR")
