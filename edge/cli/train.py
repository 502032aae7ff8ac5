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
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew, whatever an interrupted training left beside OUT.")
    ] = False,
) -> None:
    """Train the teacher of a project, with modality dropout, and score it in every modality state.

    Interrupted, it goes on after the last whole epoch when it is started again, to the same result. OUT/metrics.json
    has precision, recall, F1 and calibration error of each class in each state.

    On N processes, which share every batch: torchrun --standalone --nproc-per-node N -m edge train ...
    """
    from rich.console import Console

    from edge.checkpoint import CheckpointManifest, save_checkpoint
    from edge.cli.build_steps import detail_teacher, open_project, train_teacher
    from edge.cli.progress import progress_steps
    from edge.compress.learning.progress import TRAINING_NOTE
    from edge.compress.learning.training_state import forget_state
    from edge.compress.parallel.collectives import first_alone
    from edge.project import find_project
    from edge.report.class_table import class_tables, reliability_table
    from edge.report.table import stage_table
    from edge.training.detailed_metrics import METRICS_FILE

    console = Console()
    project = find_project(config)
    with progress_steps(console) as steps:
        bench = open_project(project, data or out.with_name(f"{out.name}-data"), steps)
        state = out.with_name(f"{out.name}-training")
        teacher = train_teacher(bench, steps, state, fresh)
        metrics = detail_teacher(bench, teacher, steps)
    manifest = CheckpointManifest(project=project, dataset=bench.dataset, record=teacher.record)
    documents = {METRICS_FILE: metrics.model_dump_json(by_alias=True, indent=1)}
    first_alone(lambda: save_checkpoint(out, manifest, teacher.artifact.model, documents))
    first_alone(lambda: forget_state(state))
    console.print(stage_table([teacher.record]))
    if project.train.early_stopping is not None:
        went = teacher.record.notes[TRAINING_NOTE]
        console.print(f"The weights are those of epoch {went['kept_epoch']}, the best of {went['epochs']}.")
    for table in (*class_tables(metrics), reliability_table(metrics)):
        console.print(table)
    console.print(f"Teacher in {out}. Next: edge compress {out} --out DIR")
