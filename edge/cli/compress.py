"""`edge compress`: a trained teacher becomes a small INT8 bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge.cli.processes import across_processes, refuse_several

if TYPE_CHECKING:
    from rich.console import Console

    from edge.checkpoint import Checkpoint
    from edge.cli.build_steps import Chain
    from edge.compress.stages.store import StageStore
    from edge.project import Project
    from edge.workbench import Workbench


@across_processes
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
    A teacher may be compressed on N processes: torchrun --standalone --nproc-per-node N -m edge compress ...
    """
    if checkpoint.suffix.lower() == ".onnx":
        from edge.cli.compress_onnx import compress_onnx

        refuse_several(f"{checkpoint} is an ONNX file, which one process quantizes")
        compress_onnx(checkpoint, out, recipe, calibration)
    else:
        _compress_teacher(checkpoint, out, recipe, calibration, fresh)


def _compress_teacher(checkpoint: Path, out: Path, recipe: Path | None, calibration: Path | None, fresh: bool) -> None:
    from rich.console import Console

    from edge.checkpoint import load_checkpoint
    from edge.cli.build_steps import WORK, compress_stages
    from edge.cli.progress import progress_steps
    from edge.compress.parallel.collectives import first_alone
    from edge.shared_workbench import open_shared_workbench

    console = Console()
    saved = load_checkpoint(checkpoint)
    with progress_steps(console) as steps:
        bench = open_shared_workbench(_project(saved, recipe), calibration or saved.manifest.dataset)
        with steps.doing("Look for stages that are finished"):
            store = bench.stage_store(out / WORK, saved.model, fresh)
        with steps.doing("Score the teacher in every modality state"):
            teacher = bench.measure_teacher(saved.model, saved.manifest.record.seconds, store)
        chain = compress_stages(bench, teacher, steps, store)
    first_alone(lambda: _hand_over(bench, chain, store, out, console))
    chain.end()


def _project(saved: Checkpoint, recipe: Path | None) -> Project:
    from edge.recipe_file import with_recipe

    project = saved.manifest.project
    return project if recipe is None else with_recipe(project, recipe)


def _hand_over(bench: Workbench, chain: Chain, store: StageStore, out: Path, console: Console) -> None:
    """Times, packs, reports and prints: what one process does for all."""
    from edge.cli.build_steps import finish, print_outcome, print_resumed, time_all
    from edge.cli.progress import progress_steps

    with progress_steps(console) as steps:
        timings = time_all(bench, chain, steps)
        report, bundle = finish(bench, chain, timings, out, steps)
    print_resumed(console, store)
    print_outcome(console, report, bundle, out, next_step=f"edge verify {out / 'bundle'}")
