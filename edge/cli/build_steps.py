"""The steps that `train`, `compress` and `demo` share, each with its progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.compress.latency import StageTimings, time_stages
from edge.data.street import prepare_dataset
from edge.fused_run import run_bundle
from edge.project import StreetData
from edge.report.contents import Report, StageReport, headline_of
from edge.report.figures import ReportFigures
from edge.report.moments import fused_moments
from edge.report.publish import write_report
from edge.run_engine import open_engine
from edge.runtime.environment import describe_host
from edge.runtime.sources.simulator import SimulatorSource
from edge.workbench import Workbench, open_workbench

if TYPE_CHECKING:
    from pathlib import Path

    from edge.cli.progress import Steps
    from edge.compress.measure import MeasuredStage
    from edge.compress.record import StageRecord
    from edge.project import Project
    from edge.report.contents import RuntimeReport
    from edge.report.figures import FusedFrame

TIMING_ROUNDS = 300  # what p99 needs
BUNDLE, RUN = "bundle", "run"
RUN_SECONDS = 30.0
UNSEEN_SEED = 2_000_000_000
NOTES = (
    "Latency is one inference of the stage's graph in ONNX Runtime on one thread of this host, stages timed in turn.",
    "Nothing here ran on a board: these are no Jetson figures.",
    "INT8 scores are those of the symmetric s8 graph, which TensorRT and ARM run; x86 runs u8, timed here.",
)


def open_project(project: Project, data_folder: Path, steps: Steps) -> Workbench:
    """Draws the dataset where the project asks for one, and opens it."""
    if not isinstance(project.data, StreetData):
        return open_workbench(project, prepare_dataset(project, data_folder))
    drawn = steps.counter("Draw samples from the simulator", project.data.samples)
    return open_workbench(project, prepare_dataset(project, data_folder, drawn))


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


def finish(bench: Workbench, stages: list[MeasuredStage], timings: StageTimings, out: Path, steps: Steps) -> Report:
    """Packs the bundle, runs it on a street that training never saw, and writes the report.

    A project on recorded data has no simulated streams to run on; its report says what the stages cost.
    """
    with steps.doing("Pack the bundle and record its goldens"):
        bundle = bench.pack(stages, out / BUNDLE)
    run = None
    frames: tuple[FusedFrame, ...] = ()
    if isinstance(bench.project.data, StreetData):
        with steps.doing("Run the bundle on synchronized streams"):
            street = unseen_street(bench.project.data)
            engine = open_engine(bundle)
            run = run_bundle(bundle, street, out / RUN, engine=engine)
            frames = fused_moments(street, bundle.model_io, engine.engine)
    report = build_report(bench, stages, timings, run)
    figures = ReportFigures.from_comparison(timings.first_over_last, frames)
    with steps.doing("Write report.json and report.html"):
        write_report(report, figures, out)
    return report


def unseen_street(data: StreetData) -> SimulatorSource:
    """A drive through a street whose seed no split has."""
    return SimulatorSource(seed=UNSEEN_SEED + data.seed, duration_s=RUN_SECONDS, config=data.street)


def build_report(
    bench: Workbench, stages: list[MeasuredStage], timings: StageTimings, run: RuntimeReport | None
) -> Report:
    """Everything measured, as `report.json` holds it."""
    rows = [StageReport.from_record(s.record, timings.latency_ms[s.record.name]) for s in stages]
    return Report(
        title=f"{bench.project.name}: from teacher to bundle",
        data=f"{len(bench.measurer.test)} test samples, never seen in training; {bench.training_data.description}",
        headline=headline_of(rows, timings.first_over_last),
        stages=tuple(rows),
        runtime=run,
        environment=describe_host(seed=bench.project.train.seed, threads={"engine": 1}),
        notes=(*NOTES, *stage_notes(stages[-1].record)),
    )


def stage_notes(stage: StageRecord) -> tuple[str, ...]:
    """What the last stage could not do, in words."""
    left, why_not = stage.notes.get("left_float", {}), stage.notes.get("no_program")
    kept = tuple(f"{layer} stays float: there is no INT8 rule for {operator}." for layer, operator in left.items())
    return kept if why_not is None else (*kept, f"The bundle has no program for Torch-TensorRT: {why_not}.")
