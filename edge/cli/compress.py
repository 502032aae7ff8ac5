"""`edge compress`: a trained teacher becomes a small INT8 bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compress(
    checkpoint: Annotated[Path, typer.Argument(help="Folder that `edge train` wrote, or a float .onnx file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the bundle and the reports.")],
    recipe: Annotated[
        Path | None,
        typer.Option("--recipe", help="YAML with the stages, or a bundle's recipe.yaml; the project's own by default."),
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", help="Dataset folder; the one that the teacher was trained on by default."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Do every stage again, whatever OUT/work holds of an earlier run.")
    ] = False,
) -> None:
    """Distil, prune and quantize a teacher, each step gated in every modality state; pack the bundle.

    Of an .onnx file: INT8 graphs by --calibration (a calibration set, .npz or .npy files), compared with the float one.
    """
    if checkpoint.suffix.lower() == ".onnx":
        from edge.cli.compress_onnx import compress_onnx

        compress_onnx(checkpoint, out, recipe, calibration)
        return
    from rich.console import Console

    from edge.cli.build_steps import WORK, compress_stages, finish, print_outcome, time_all
    from edge.cli.progress import progress_steps
    from edge.recipe_file import with_recipe
    from edge.training.checkpoint import load_checkpoint
    from edge.workbench import open_workbench

    console = Console()
    saved = load_checkpoint(checkpoint)
    project = saved.manifest.project
    if recipe is not None:
        project = with_recipe(project, recipe)
    with progress_steps(console) as steps:
        bench = open_workbench(project, calibration or saved.manifest.dataset)
        with steps.doing("Look for stages that are finished"):
            store = bench.stage_store(out / WORK, saved.model, fresh)
        with steps.doing("Score the teacher in every modality state"):
            teacher = bench.measure_teacher(saved.model, saved.manifest.record.seconds, store)
        chain = compress_stages(bench, teacher, steps, store)
        timings = time_all(bench, chain, steps)
        report, bundle = finish(bench, chain, timings, out, steps)
    if store.resumed:
        console.print(
            f"Taken from {store.folder}: {', '.join(store.resumed)}; --fresh does them again.", highlight=False
        )
    print_outcome(console, report, bundle, out, next_step=f"edge verify {out / 'bundle'}")
    chain.end()
