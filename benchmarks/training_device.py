"""Training of a project's teacher by device and precision: samples a second, and the score that comes of it.

    python benchmarks/training_device.py PROJECT.yaml [--samples 6000] [--epochs 3] [--sides cpu:float32 cuda:bfloat16]

Every side trains the same model from the same weights on the same batches; the CPU takes all of its cores. The first
epoch of each, in which kernels are chosen and memory is taken, is left out of the speed. Scores are of the test split,
computed on the CPU in float32. What this machine does not have is named in its row, with what to do.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from edge.compress.scoring.evaluation import evaluate
from edge.data.dataset_folder import load_split
from edge.data.prepared import prepare_dataset
from edge.project import load_project
from edge.runtime.errors import ConfigError
from edge.training.fusion_task import FusionTask

sys.path.insert(0, str(Path(__file__).parent))
from results import write_result
from single_modality import trained
from tables import absent, figure, table

if TYPE_CHECKING:
    from edge.compress.learning.progress import EpochReport
    from edge.compress.samples import SampleSet
    from edge.project import Project

HERE = Path(__file__).resolve().parent
SIDES = ("cpu:float32", "cpu:bfloat16", "cuda:float32", "cuda:bfloat16", "cuda:float16")


def main() -> int:
    """Trains on every side, writes the JSON, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--samples", type=int, default=6000, help="of the training split, the first ones")
    parser.add_argument("--epochs", type=int, default=3, help="two at least: the first is not timed")
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=SIDES)
    parser.add_argument("--work", type=Path, default=HERE.parent / "runs" / "training_device")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.epochs < 2:
        parser.error("--epochs: two at least, as the first is not timed")
    project = load_project(arguments.project)
    folder = prepare_dataset(project, arguments.work / project.name / "data")
    train, test = load_split(folder, "train"), load_split(folder, "test")
    train = train.subset(range(min(arguments.samples, len(train))))
    result = compared(project, arguments.sides, arguments.epochs, train, test)
    if arguments.out:
        write_result(arguments.out, result)
    print("\n".join(report(result)))
    return 0


def compared(project: Project, sides: list[str], epochs: int, train: SampleSet, test: SampleSet) -> dict[str, Any]:
    """All sides, and which of them cannot be had here, with the reason."""
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for side in sides:
        try:
            found[side] = measured(project, side, epochs, train, test)
        except ConfigError as error:
            missing[side] = error.problem
    return {
        "project": project.name,
        "train_samples": len(train),
        "epochs": epochs,
        "batch_size": project.train.batch_size,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "sides": found,
        "absent": missing,
    }


def measured(project: Project, side: str, epochs: int, train: SampleSet, test: SampleSet) -> dict[str, Any]:
    """One training: samples a second after the first epoch, its seconds, and the scores by state."""
    device, precision = side.split(":")
    config = project.train.model_copy(update={"device": device, "precision": precision, "epochs": epochs})
    reports: list[EpochReport] = []
    model = trained(project.model_copy(update={"train": config}), train, reports.append)
    seconds = sum(epoch.seconds for epoch in reports[1:])
    steps = len(train) // config.batch_size
    scores = evaluate(model, test, FusionTask(project.io))
    return {
        "first_epoch_s": reports[0].seconds,
        "samples_per_s": steps * config.batch_size * (epochs - 1) / seconds,
        "step_ms": 1e3 * seconds / (steps * (epochs - 1)),
        "loss": reports[-1].loss,
        "score": {state: found["score"] for state, found in scores.items()},
    }


def report(result: dict[str, Any]) -> list[str]:
    """What was measured, and a row a side."""
    sides: dict[str, dict[str, Any]] = result["sides"]
    states = list(next(iter(sides.values()))["score"]) if sides else []
    lines = [
        f"**{result['project']}**: {result['train_samples']} training samples, {result['epochs']} epochs, batches of "
        f"{result['batch_size']}; {result['gpu'] or 'no GPU'}, {result['threads']} threads on the CPU.",
        "",
    ]
    rows = [
        [side, figure(row["samples_per_s"]), figure(row["step_ms"]), *(f"{row['score'][s]:.2f}" for s in states)]
        for side, row in sides.items()
    ]
    columns = ["side", "samples a second", "ms a step", *states]
    return lines + table(columns, rows + absent(result["absent"], len(columns)))


if __name__ == "__main__":
    sys.exit(main())
