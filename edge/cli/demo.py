"""`edge demo`: the whole chain on the street simulator, from drawing data to a fused run and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for bundle, report and run.")] = Path("runs/demo"),
    full: Annotated[bool, typer.Option("--full", help="Real training length: for figures that are quoted.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the data, the training and the run.")] = 0,
) -> None:
    """Train a camera + lidar + audio model on simulated streets, compress it, run it on synchronized streams."""
    from rich.console import Console

    from edge.cli.build_steps import compress_stages, finish, open_project, print_outcome, time_all, train_teacher
    from edge.cli.progress import progress_steps
    from edge.project import load_project, preset_path, with_seed

    console = Console()
    project = with_seed(load_project(preset_path("street_full" if full else "street_demo")), seed)
    with progress_steps(console) as steps:
        bench = open_project(project, out / "data", steps)
        teacher = train_teacher(bench, steps)
        chain = compress_stages(bench, teacher, steps)
        timings = time_all(bench, chain, steps)
        report, bundle = finish(bench, chain, timings, out, steps)
    print_outcome(
        console, report, bundle, out, next_step=f"edge run {out / 'bundle'} --source kitti:DIR --out runs/kitti"
    )
    chain.end()
