"""The steps that `train`, `compress` and `demo` share, each with its progress bar."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli.plan_files import print_plans, write_plan_files
from edge.compress.latency import StageTimings, time_stages
from edge.compress.learning.progress import TRAINING_NOTE, training_summary
from edge.compress.learning.training_state import forget_state
from edge.compress.parallel.collectives import first_alone
from edge.compress.sparsify.record import noted_sparsity
from edge.compress.stages.judging import StageRefusedError
from edge.data.prepared import prepare_dataset, sample_count
from edge.fused_run import run_bundle
from edge.project import StreetData
from edge.report.class_changes import ClassChanges
from edge.report.contents import Report, StageReport, headline_of
from edge.report.figures import ReportFigures
from edge.report.moments import fused_moments
from edge.report.publish import write_report
from edge.report.table import change_table, stage_table
from edge.run_engine import open_engine
from edge.runtime.environment import describe_host
from edge.runtime.errors import BundleError, ModelError
from edge.runtime.machine_state.reading import read_machine_state
from edge.runtime.sources.simulator import SimulatorSource
from edge.training.detailed_metrics import DetailedMetrics, detail_metrics
from edge.training.pretraining.running import PRETRAINING_NOTE
from edge.workbench import Workbench, open_workbench

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from edge.cli.progress import Steps
    from edge.compress.fitting import EpochReport
    from edge.compress.stages.measure import MeasuredStage
    from edge.compress.stages.record import StageRecord
    from edge.compress.stages.store import StageStore
    from edge.models.fusion_model import FusionModel
    from edge.project import Project
    from edge.report.contents import RuntimeReport
    from edge.report.figures import FusedFrame
    from edge.runtime.bundle import Bundle

logger = logging.getLogger(__name__)
TIMING_ROUNDS = 300  # what p99 needs
BUNDLE, RUN, WORK = "bundle", "run", "work"
TRAINED, TRAINING = "teacher", "teacher-training"  # in WORK
PRETRAINED = "-pretrained"  # behind the name of the state's folder
RUN_SECONDS = 30.0
UNSEEN_SEED = 2_000_000_000
NOTES = (
    "Latency is one inference of the stage's graph in ONNX Runtime on one thread of this host, stages timed in turn.",
    "Nothing here ran on a board: these are no Jetson figures.",
    "INT8 scores are those of the symmetric s8 graph, which TensorRT and ARM run; x86 runs u8, timed here.",
)


@dataclass(frozen=True)
class Chain:
    """What came of a recipe.

    Attributes:
        stages: The teacher, and every stage that passed its gate, in order; the last one is what is packed.
        refusal: Of the stage that ended it, where one was refused.
    """

    stages: list[MeasuredStage]
    refusal: StageRefusedError | None = None

    @property
    def measured(self) -> list[MeasuredStage]:
        """All that was measured, a refused stage last."""
        return [*self.stages, *((self.refusal.stage,) if self.refusal else ())]

    def end(self) -> None:
        """Raises what ended the chain early, if anything did.

        Raises:
            StageRefusedError: A stage was refused.
        """
        if self.refusal is not None:
            raise self.refusal


def open_project(project: Project, data_folder: Path, steps: Steps) -> Workbench:
    """Draws the dataset where the project asks for one, and opens it; the first process draws, all open it."""
    count = sample_count(project)
    if count is None:
        return open_workbench(project, prepare_dataset(project, data_folder))
    what = "Draw samples from the simulator" if isinstance(project.data, StreetData) else "Preprocess the table's rows"
    drawn = steps.counter(what, count)
    return open_workbench(project, Path(first_alone(lambda: str(prepare_dataset(project, data_folder, drawn)))))


def train_teacher(bench: Workbench, steps: Steps, state: Path, fresh: bool = False) -> MeasuredStage:
    """Trains and measures.

    Args:
        bench: The project with its data.
        steps: Shows what is done.
        state: Folder for the state of a training that may be interrupted; the caller ends it by `forget_state`.
        fresh: Whether to start anew whatever lies there.
    """
    model, seconds, notes = _trained(bench, steps, state, fresh)
    with steps.doing("Score the teacher in every modality state"):
        return bench.measure_teacher(model, seconds, notes=notes)


def _trained(bench: Workbench, steps: Steps, state: Path, fresh: bool) -> tuple[FusionModel, float, dict[str, Any]]:
    reports: list[EpochReport] = []
    start, pretraining = _started(bench, steps, state, fresh)
    model, seconds = bench.train_teacher(steps.fitting("Train the teacher"), state, fresh, reports.append, start)
    training = training_summary(reports, bench.project.train.early_stopping)
    return model, seconds, {TRAINING_NOTE: training, **pretraining}


def _started(bench: Workbench, steps: Steps, state: Path, fresh: bool) -> tuple[FusionModel, dict[str, Any]]:
    """The teacher before it sees labels; its pretrained encoders are kept beside the state, and stay there."""
    if bench.project.pretrain is None:
        return bench.start_teacher()[0], {}
    folder = state.with_name(f"{state.name}{PRETRAINED}")
    model, record = bench.start_teacher(folder, fresh, steps.fitting("Pretrain the encoders, without labels"))
    return model, {} if record is None else {PRETRAINING_NOTE: record.notes()}


def detail_teacher(bench: Workbench, teacher: MeasuredStage, steps: Steps) -> DetailedMetrics:
    """The teacher's classes one by one on the test split; the first process looks, all are told."""

    def detail() -> dict[str, Any]:
        return _detailed(bench, teacher).model_dump(mode="json", by_alias=True)

    with steps.doing("Look at each class in every modality state"):
        return DetailedMetrics.model_validate(first_alone(detail))


def change_classes(bench: Workbench, stages: Sequence[MeasuredStage], steps: Steps) -> ClassChanges | None:
    """What the recipe did to each class; None where no stage passed."""
    if len(stages) < 2:
        return None
    first, last = stages[0], stages[-1]
    with steps.doing(f"Look at each class, '{first.record.name}' against '{last.record.name}'"):
        before, after = (_detailed(bench, stage) for stage in (first, last))
    return ClassChanges.between(first.record.name, last.record.name, before, after)


def _detailed(bench: Workbench, stage: MeasuredStage) -> DetailedMetrics:
    run, batch = bench.measurer.runner(stage)
    return detail_metrics(run, bench.measurer.test, bench.task, batch)


def train_or_recall_teacher(
    bench: Workbench, work: Path, fresh: bool, steps: Steps
) -> tuple[MeasuredStage, StageStore]:
    """The measured teacher, and the store for the stages that follow; what `work` holds of it is taken from there."""
    with steps.doing("Look for what is finished"):
        found = None if fresh else bench.recall_teacher(work / TRAINED)
    notes: dict[str, Any] = {}
    if found is None:
        model, seconds, notes = _trained(bench, steps, work / TRAINING, fresh)
        bench.keep_teacher(work / TRAINED, model, seconds)
        first_alone(lambda: forget_state(work / TRAINING))
    else:
        model, seconds = found
    store = bench.stage_store(work, model, fresh)
    if found is not None:
        store.resumed.append("the teacher's training")
    with steps.doing("Score the teacher in every modality state"):
        return bench.measure_teacher(model, seconds, store, notes), store


def compress_stages(bench: Workbench, teacher: MeasuredStage, steps: Steps, store: StageStore | None = None) -> Chain:
    """Teacher first, then every stage of the recipe until one is refused."""
    titles = {s.name: f"Stage '{s.name}' ({s.stage})" for s in bench.project.recipe.stages}
    stages = [teacher]
    done = steps.counter("Stages, each scored in every modality state", len(titles))
    try:
        for stage in bench.compress(teacher, lambda name: steps.fitting(titles[name]), store):
            stages.append(stage)
            done(1)
    except StageRefusedError as refusal:
        return Chain(stages, refusal)
    return Chain(stages)


def time_all(bench: Workbench, chain: Chain, steps: Steps) -> StageTimings:
    """Latency of every stage's deployed graph, interleaved, one thread; first against last of those that passed."""
    done = steps.counter("Time all stages, interleaved", 2 * TIMING_ROUNDS)
    first, *kept = chain.stages
    refused = chain.measured[len(chain.stages) :]
    feed = bench.example_feeds(1)[0]
    return time_stages([first, *refused, *kept], feed, rounds=TIMING_ROUNDS, on_round=lambda: done(1))


def finish(
    bench: Workbench, chain: Chain, timings: StageTimings, out: Path, steps: Steps
) -> tuple[Report, Bundle | None]:
    """Packs the bundle, runs it on a street that training never saw, and writes the report.

    A project on recorded data has no simulated streams to run on; its report says what the stages cost. After a
    refusal the last stage that passed is packed, if it can be, and the report is written all the same.
    """
    with steps.doing("Pack the bundle and record its goldens"):
        bundle, notes = pack_kept(bench, chain, out / BUNDLE)
    run = None
    frames: tuple[FusedFrame, ...] = ()
    if isinstance(bench.project.data, StreetData) and bundle is not None:
        with steps.doing("Run the bundle on synchronized streams"):
            street = unseen_street(bench.project.data)
            engine = open_engine(bundle)
            run = run_bundle(bundle, street, out / RUN, engine=engine)
            frames = fused_moments(street, bundle.model_io, engine.engine)
    report = build_report(bench, chain, timings, run, notes)
    report = report.model_copy(update={"classes": change_classes(bench, chain.stages, steps)})
    figures = ReportFigures.from_comparison(timings.first_over_last, frames)
    with steps.doing("Write report.json and report.html"):
        write_report(report, figures, out)
        write_plan_files(report, bench.project, out)
    return report, bundle


def pack_kept(bench: Workbench, chain: Chain, folder: Path) -> tuple[Bundle | None, tuple[str, ...]]:
    """Packs the last stage that passed; what is to be said of it comes with the bundle.

    Raises:
        BundleError: It cannot be packed, and no refusal came before that.
        ModelError: Alike.
    """
    last = chain.stages[-1].record.name
    try:
        bundle = bench.pack(chain.stages, folder)
    except (BundleError, ModelError) as error:
        if chain.refusal is None:
            raise
        logger.warning("stage '%s' passed and cannot be packed: %s", last, error.problem)
        return None, (f"There is no bundle: '{last}' passed and cannot be packed: {error.problem}.",)
    if chain.refusal is None:
        return bundle, ()
    return bundle, (f"Refused: {chain.refusal.problem}. The bundle holds '{last}', the last stage that passed.",)


def unseen_street(data: StreetData) -> SimulatorSource:
    """A drive through a street whose seed no split has."""
    return SimulatorSource(seed=UNSEEN_SEED + data.seed, duration_s=RUN_SECONDS, config=data.street)


def build_report(
    bench: Workbench, chain: Chain, timings: StageTimings, run: RuntimeReport | None, notes: tuple[str, ...] = ()
) -> Report:
    """Everything measured, as `report.json` holds it; the headline is of what passed."""
    latencies = timings.latency_ms
    rows = [StageReport.from_record(s.record, latencies[s.record.name]).detailed(s.record) for s in chain.measured]
    return Report(
        title=f"{bench.project.name}: from teacher to bundle",
        data=f"{len(bench.measurer.test)} test samples, never seen in training; {bench.training_data.description}",
        headline=headline_of(rows[: len(chain.stages)], timings.first_over_last),
        stages=tuple(rows),
        runtime=run,
        environment=describe_host(seed=bench.project.train.seed, threads={"engine": 1}),
        machine=read_machine_state(threads={"engine": 1}),
        notes=(*notes, *NOTES, *gate_notes(chain.measured), *stage_notes(chain.stages[-1].record)),
    )


def gate_notes(stages: list[MeasuredStage]) -> tuple[str, ...]:
    """What gates could not decide, in words."""
    findings = {stage.record.name: stage.record.gate for stage in stages}
    return tuple(
        f"The gate of '{name}' is undecided: {note}."
        for name, found in findings.items()
        if found is not None and found.verdict == "undecided"
        for note in found.notes
    )


def stage_notes(stage: StageRecord) -> tuple[str, ...]:
    """What the last stage could not do, and what its figures do not show, in words."""
    left, why_not = stage.notes.get("left_float", {}), stage.notes.get("no_program")
    told = [f"{layer} stays float: there is no INT8 rule for {operator}." for layer, operator in left.items()]
    if why_not is not None:
        told.append(f"The bundle has no program for Torch-TensorRT: {why_not}.")
    sparsity = noted_sparsity(stage.notes)
    if sparsity is not None:
        told.append(f"The graph is {sparsity}. ONNX Runtime gains nothing by it, and on boards it was not measured.")
        told += [f"{layer} was made 2:4 sparse and is so no longer." for layer in sparsity.lost]
    return tuple(told)


def print_outcome(console: Console, report: Report, bundle: Bundle | None, out: Path, next_step: str) -> None:
    """The tables of stages, where everything lies, and what to do next."""
    console.print(stage_table(report.stages, title="What each step cost and brought"))
    changes = change_table(report.stages, title="Against the step before")
    if changes is not None:
        console.print(changes)
    print_plans(console, report, out)
    packed = "" if bundle is None else f"   Bundle: {bundle.path}"
    console.print(f"Report: {out / 'report.html'}{packed}", highlight=False)
    if bundle is not None:
        console.print(f"Next: {next_step}", highlight=False)


def print_resumed(console: Console, store: StageStore) -> None:
    """What was taken from an earlier run, if anything was."""
    if store.resumed:
        taken = ", ".join(store.resumed)
        console.print(f"Taken from {store.folder}: {taken}; --fresh does them again.", highlight=False)
