"""`edge demo`: the whole chain on the street simulator, from drawing data to a fused run and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.cli.processes import refuse_several


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for teacher, bundle, report and run.")] = Path("runs/demo"),
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="Real training length, for figures that are quoted. Hours: the teacher alone takes 3,500 steps, "
            "of 2 s each on two cores of an AVX2 EPYC.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the data, the training and the run.")] = 0,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Train and compress anew, whatever OUT/work holds of an earlier run.")
    ] = False,
) -> None:
    """Train a camera + lidar + audio model on simulated streets, compress it, run it on synchronized streams.

    Interrupted, the same command goes on after the last step that was finished.
    """
    from rich.console import Console

    from edge.checkpoint import CheckpointManifest, save_checkpoint
    from edge.cli.build_steps import (
        WORK,
        compress_stages,
        finish,
        open_project,
        print_outcome,
        print_resumed,
        time_all,
        train_or_recall_teacher,
    )
    from edge.cli.progress import progress_steps
    from edge.project import load_project, preset_path, with_seed

    refuse_several("the demo runs on one process")
    console = Console()
    project = with_seed(load_project(preset_path("street_full" if full else "street_demo")), seed)
    with progress_steps(console) as steps:
        bench = open_project(project, out / "data", steps)
        teacher, store = train_or_recall_teacher(bench, out / WORK, fresh, steps)
        manifest = CheckpointManifest(project=project, dataset=bench.dataset, record=teacher.record)
        save_checkpoint(out / "teacher", manifest, teacher.artifact.model)
        chain = compress_stages(bench, teacher, steps, store)
        timings = time_all(bench, chain, steps)
        report, bundle = finish(bench, chain, timings, out, steps)
    print_resumed(console, store)
    print_outcome(
        console, report, bundle, out, next_step=f"edge run {out / 'bundle'} --source kitti:DIR --out runs/kitti"
    )
    chain.end()
