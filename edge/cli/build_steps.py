"""The steps that `train`, `compress` and `demo` share, each with its progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compress.latency import StageTimings, time_stages
from edge.data.street import prepare_dataset
from edge.project import StreetData
from edge.report.contents import StageReport
from edge.runtime.states import all_states
from edge.workbench import Workbench, open_workbench

if TYPE_CHECKING:
    from pathlib import Path

    from edge.cli.progress import Steps
    from edge.compress.measure import MeasuredStage
    from edge.project import Project

TIMING_ROUNDS = 300  # what p99 needs


def open_project(project: Project, data_folder: Path, steps: Steps) -> Workbench:
    """Draws the dataset where the project asks for one, and opens it."""
    drawn = project.data.samples if isinstance(project.data, StreetData) else 1
    dataset = prepare_dataset(project, data_folder, steps.counter("Draw samples from the simulator", drawn))
    return open_workbench(project, dataset)


def train_teacher(bench: Workbench, steps: Steps) -> MeasuredStage:
    """Trains and measures."""
    model, seconds = bench.train_teacher(steps.fitting("Train the teacher"))
    with steps.doing("Score the teacher in every modality state"):
        return bench.measure_teacher(model, seconds)


def compress_stages(bench: Workbench, teacher: MeasuredStage, steps: Steps) -> list[MeasuredStage]:
    """Teacher first, then every stage of the recipe.

    Raises:
        GateError: A stage was refused.
    """
    titles = {s.name: f"Stage '{s.name}' ({s.stage})" for s in bench.project.recipe.stages}
    stages = [teacher]
    total = len(titles)
    done = steps.counter("Stages, each scored in every modality state", total)
    for stage in bench.compress(teacher, lambda name: steps.fitting(titles[name])):
        stages.append(stage)
        done(1)
    return stages


def time_all(bench: Workbench, stages: list[MeasuredStage], steps: Steps) -> StageTimings:
    """Latency of every stage's deployed graph, interleaved, one thread."""
    done = steps.counter("Time all stages, interleaved", 2 * TIMING_ROUNDS)
    return time_stages(stages, bench.example_feeds(1)[0], rounds=TIMING_ROUNDS, on_round=lambda: done(1))


def stage_reports(stages: list[MeasuredStage], timings: StageTimings) -> list[StageReport]:
    """What the report says of each stage."""
    return [StageReport.from_record(s.record, timings.latency_ms[s.record.name]) for s in stages]


def states_of(bench: Workbench) -> int:
    """How many modality states a stage is scored in."""
    return len(all_states(bench.task.modalities))
