"""The kinds of fusion on one project: score, what INT8 costs in every modality state, parameters, latency.

    python benchmarks/fusion_kinds.py PROJECT.yaml [--samples 6000] [--epochs 3] [--seeds 0 1 2] [--kinds KIND ...]

Every kind is trained at the project's student widths, alone, on the same samples, batches and modality dropout of a
seed, then quantized as the project's recipe says. Scores are of the test split, of the graphs that a board would run
(`s8`); INT8's loss is paired, with the interval of a bootstrap over recordings. Graphs are timed in turn, one thread.
Finished kinds and seeds are kept in --work and taken from there, and what other kinds and projects gave stays in --out.
Exit code 3 where INT8 costs more than 0.5 points in a state, or a board's check fails.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import torch

from edge.compile.check.examination import examine
from edge.compile.check.subject import Subject
from edge.compile.check.target import open_target
from edge.compress.precision_plan import plan_of_stages
from edge.compress.program.file import read_program
from edge.compress.recipe import Recipe
from edge.compress.scoring.loss_intervals import paired_losses
from edge.compress.scoring.task import AdditiveMetric
from edge.compress.stages.stage import DistillStage, QuantizeStage
from edge.data.dataset_folder import read_manifest
from edge.data.prepared import prepare_dataset
from edge.models.fusion_model import FusionModelConfig
from edge.project import Project, load_project
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.errors import ConfigError
from edge.runtime.manifest import StageEntry
from edge.runtime.statistics import interleave
from edge.workbench import Workbench, open_workbench

sys.path.insert(0, str(Path(__file__).parent))
from fusion_kinds_tables import KINDS, LARGEST_LOSS, report
from results import write_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.compress.fitting import FitConfig, OnStep
    from edge.compress.samples import SampleSet
    from edge.compress.stages.measure import MeasuredStage
    from edge.data.dataset_folder import Split

HERE = Path(__file__).resolve().parent
DEVICES = ("orin-nano-8gb", "agx-thor-t5000")
ROUNDS = 200
VALIDATION = 256  # samples; nothing is judged by them here, they only show whether the dialects agree


@dataclass(frozen=True)
class Study:
    """One project, how long its students are trained, and where they are kept.

    Attributes:
        project: As it was loaded.
        data: The prepared dataset.
        samples: Of the training split, the first ones.
        tested: Of the test split, evenly spread.
        length: Of each training; seeds are added to its own.
        additive: Modalities of the weighted sum that have a free weight.
        work: Folder.
    """

    project: Project
    data: Path
    samples: int
    tested: int
    length: FitConfig
    additive: tuple[str, ...]
    work: Path

    def stages(self, kind: str, seed: int) -> tuple[MeasuredStage, MeasuredStage, Workbench]:
        """The trained model and its INT8 form, both measured; what was finished before is taken from `work`."""
        bench = self._bench(kind, seed)
        settings = f"{self.project.name}-{self.samples}-{self.tested}-{self.length.epochs}"
        folder = self.work / settings / f"{kind}-{seed}"
        found = bench.recall_teacher(folder / "trained")
        if found is None:
            found = bench.train_teacher(_shown(f"{kind}, seed {seed}"))
            bench.keep_teacher(folder / "trained", *found)
        store = bench.stage_store(folder / "stages", found[0])
        trained = bench.measure_teacher(*found, store)
        (quantized,) = bench.compress(trained, store=store)
        return trained, quantized, bench

    def count(self, split: Split, asked: int) -> int:
        """How many samples of a split there are of those asked for."""
        return min(asked, len(read_manifest(self.data).splits[split].ids))

    def widths(self, kind: str) -> FusionModelConfig:
        """The student's, with another fusion of the same width."""
        content = self.project.student.model_dump()
        content["fusion"] = {"kind": kind, "channels": content["fusion"]["channels"]}
        if kind == "weighted_sum":
            content["fusion"]["additive"] = self.additive
        return FusionModelConfig.model_validate(content)

    def _bench(self, kind: str, seed: int) -> Workbench:
        widths = self.widths(kind)
        length = self.length.model_copy(update={"seed": self.length.seed + seed})
        stage = next((s for s in self.project.recipe.stages if isinstance(s, QuantizeStage)), QuantizeStage())
        recipe = Recipe(stages=(stage.model_copy(update={"gate": None}),))
        changes = {"teacher": widths, "student": widths, "train": length, "recipe": recipe}
        bench = open_workbench(self.project.model_copy(update=changes), self.data)
        splits = bench.measurer
        validation, test = spread(splits.validation, VALIDATION), spread(splits.test, self.tested)
        measurer = replace(splits, validation=validation, test=test)
        train = bench.train.subset(range(min(self.samples, len(bench.train))))
        return replace(bench, train=train, measurer=measurer)


def spread(split: SampleSet, count: int) -> SampleSet:
    """So many samples from beginning to end, so that all recordings are among them."""
    return split if count >= len(split) else split.subset([i * len(split) // count for i in range(count)])


def main() -> int:
    """Trains what is missing, adds to the JSON, prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--samples", type=int, default=6000, help="of the training split, the first ones")
    parser.add_argument("--test-samples", type=int, default=4000, help="of the test split, evenly spread")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where they are trained")
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--additive", nargs="*", default=[], help="modalities that a weighted sum adds")
    parser.add_argument("--work", type=Path, default=HERE.parent / "runs" / "fusion_kinds")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "fusion_kinds.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    study = open_study(arguments)
    measured = {kind: [study.stages(kind, seed) for seed in arguments.seeds] for kind in arguments.kinds}
    found = {kind: summary(stages) for kind, stages in measured.items()}
    latency = timed({kind: stages[0] for kind, stages in measured.items()})
    for kind, row in found.items():
        row["latency_ms"] = latency[kind]
    result = joined(arguments.out, study, len(arguments.seeds), found)
    write_result(arguments.out, {"projects": result})
    print("\n".join(report(result)))
    return 0 if all(passes(row) for row in found.values()) else 3


def open_study(arguments: argparse.Namespace) -> Study:
    """The project with its data, and the length of the recipe's distillation with the epochs asked for."""
    project = load_project(arguments.project)
    data = prepare_dataset(project, arguments.work / project.name / "data")
    stage = next((s for s in project.recipe.stages if isinstance(s, DistillStage)), DistillStage())
    length = stage.fit.model_copy(update={"epochs": arguments.epochs, "device": arguments.device})
    additive = tuple(arguments.additive)
    return Study(project, data, arguments.samples, arguments.test_samples, length, additive, arguments.work)


def summary(runs: list[tuple[MeasuredStage, MeasuredStage, Workbench]]) -> dict[str, Any]:
    """Scores by state and seed, before and after INT8, what INT8 lost in each, and what boards' checks say."""
    trained, quantized, _ = runs[0]
    losses = [_lost(*stages) for stages in runs]
    return {
        "parameters": trained.record.params,
        "macs": trained.record.macs,
        "score": _scores([first for first, _, _ in runs]),
        "int8_score": _scores([last for _, last, _ in runs]),
        "int8_loss": {state: [found[state] for found in losses] for state in losses[0]},
        "left_float": sorted(quantized.record.notes.get("left_float", {})),
        "check": {device: failures(quantized, device) for device in DEVICES},
    }


def _lost(trained: MeasuredStage, quantized: MeasuredStage, bench: Workbench) -> dict[str, Any]:
    """Points of the score by state, with their intervals.

    Raises:
        ConfigError: The task's metric has no counts to draw from.
    """
    metric, before, after = bench.task.metric(), trained.test_counts, quantized.test_counts
    if before is None or after is None or not isinstance(metric, AdditiveMetric):
        raise ConfigError(f"the metric of '{bench.project.name}' gives no intervals", "use an AdditiveMetric")
    return {s: by_metric["score"].to_json() for s, by_metric in paired_losses(before, after, metric.points).items()}


def _scores(stages: list[MeasuredStage]) -> dict[str, list[float]]:
    first = stages[0].record.metrics
    return {state: [stage.record.metrics[state]["score"] for stage in stages] for state in first}


def failures(stage: MeasuredStage, device: str) -> list[str]:
    """Steps of `edge check` that fail for a stage's graphs on a device."""
    program = None if stage.program is None else read_program(stage.program, stage.record.name)
    entry = StageEntry.model_validate(stage.record.model_dump())
    subject = Subject(stage.record.name, "bundle", stage.graphs, program, plan_of_stages([entry]))
    return [step.name for step in examine(subject, open_target(device)).steps if step.status == "failed"]


def timed(measured: dict[str, tuple[MeasuredStage, MeasuredStage, Workbench]]) -> dict[str, dict[str, float]]:
    """Median milliseconds of the FP32 and the INT8 graph of each kind, all in turn."""
    sides: dict[str, Callable[[], object]] = {}
    for kind, (trained, quantized, bench) in measured.items():
        feed = bench.example_feeds(1)[0]
        for stage in (trained, quantized):
            engine = OnnxRuntimeEngine(stage.deployed, stage.deployed_dialect)
            sides[f"{kind} {stage.deployed_dialect}"] = lambda engine=engine, feed=feed: engine.run(feed)  # type: ignore[misc]
    medians = {name: timing.distribution_ms.p50 for name, timing in interleave(sides, rounds=ROUNDS).items()}
    return {
        kind: {stage.deployed_dialect: medians[f"{kind} {stage.deployed_dialect}"] for stage in stages[:2]}
        for kind, stages in measured.items()
    }


def joined(out: Path, study: Study, seeds: int, found: dict[str, Any]) -> dict[str, Any]:
    """What stood in the result of other projects, and of other kinds in the same conditions, with what was found."""
    known: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))["projects"] if out.is_file() else {}
    conditions = {
        "train_samples": study.count("train", study.samples),
        "test_samples": study.count("test", study.tested),
        "epochs": study.length.epochs,
        "seeds": seeds,
    }
    before = known.get(study.project.name, {})
    alike = before.get("conditions") == conditions
    kinds = {**(before["kinds"] if alike else {}), **found}
    ordered = {kind: kinds[kind] for kind in KINDS if kind in kinds}
    return {**known, study.project.name: {"conditions": conditions, "kinds": ordered}}


def passes(row: dict[str, Any]) -> bool:
    """INT8 costs no more than it may in any state, and every board's check passes."""
    lost = [mean(found["estimate"] for found in by_seed) for by_seed in row["int8_loss"].values()]
    return max(lost) <= LARGEST_LOSS and not any(row["check"].values())


def _shown(what: str) -> OnStep:
    def show(done: int, steps: int, loss: float) -> None:
        if done % 50 == 0 or done == steps:
            print(f"{what}: step {done} of {steps}, loss {loss:.3f}", flush=True)

    return show


if __name__ == "__main__":
    sys.exit(main())
