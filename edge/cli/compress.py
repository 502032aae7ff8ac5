"""`edge compress`: a trained teacher becomes a small INT8 bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compress(
    checkpoint: Annotated[Path, typer.Argument(help="Folder that `edge train` wrote.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the bundle and the reports.")],
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="YAML with the stages; the project's own by default.")
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="Dataset folder; the one that the teacher was trained on by default."),
    ] = None,
) -> None:
    """Distil, prune and quantize a teacher, each step gated in every modality state; pack the bundle."""
    from rich.console import Console

    from edge.cli.build_steps import compress_stages, finish, time_all
    from edge.cli.progress import progress_steps
    from edge.compress.recipe import load_recipe
    from edge.report.table import stage_table
    from edge.training.checkpoint import load_checkpoint
    from edge.workbench import open_workbench

    console = Console()
    saved = load_checkpoint(checkpoint)
    project = saved.manifest.project
    if recipe is not None:
        project = project.model_copy(update={"recipe": load_recipe(recipe)})
    with progress_steps(console) as steps:
        bench = open_workbench(project, calibration or saved.manifest.dataset)
        with steps.doing("Score the teacher in every modality state"):
            teacher = bench.measure_teacher(saved.model, saved.manifest.record.seconds)
        stages = compress_stages(bench, teacher, steps)
        timings = time_all(bench, stages, steps)
        report = finish(bench, stages, timings, out, steps)
    console.print(stage_table(report.stages, title="What each step cost and brought"))
    console.print(f"Report: {out / 'report.html'}   Bundle: {out / 'bundle'}", highlight=False)
    console.print(f"Next: edge verify {out / 'bundle'}", highlight=False)
