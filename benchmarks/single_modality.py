"""What a fused model knows by one modality alone, beside a model of the same width that never had another.

    python benchmarks/single_modality.py PROJECT.yaml [--samples N] [--seeds 0 1 2] [--out FILE.json]

The project's teacher is trained as `edge train` does; then, for each of its modalities, a model with that encoder
alone, of the same widths, on the same samples and for as many epochs, without modality dropout as it has nothing to
drop. Differences (fused, all others absent, minus the single one) are paired by sample and seed, with the interval of a
bootstrap over seeds and recordings. What is trained is kept in --work and taken from there. Exit code 3 where an
interval lies below 0: there the fusion has cost a modality something.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import torch

from edge.checkpoint import load_checkpoint
from edge.compress.fitting import fit
from edge.compress.scoring.recording_counts import RecordingCounts
from edge.compress.scoring.task import AdditiveMetric
from edge.data.dataset_folder import load_split
from edge.data.prepared import prepare_dataset
from edge.models.fusion_model import FusionModel
from edge.project import load_project, with_seed
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import ModelIO
from edge.training.augmentation.streams import stream_augment
from edge.training.branch_training import supervised
from edge.training.fusion_task import FusionTask

sys.path.insert(0, str(Path(__file__).parent))
from kept_counts import kept_counts
from results import write_result
from seeded_differences import seed_scores, seeded_interval, stacked
from tables import signed_interval, table

if TYPE_CHECKING:
    from edge.compress.fitting import OnEpoch
    from edge.compress.samples import SampleSet
    from edge.project import Project

HERE = Path(__file__).resolve().parent
FUSED = "fused"
FOLLOWED = {"io", "teacher", "train", "augment", "alignment", "unimodal"}  # what a trained model follows from


@dataclass(frozen=True)
class Study:
    """One project and its data.

    Attributes:
        project: Its `teacher` is the model, its `train` how it is trained.
        train: Samples of all modalities.
        test: The split that is scored.
        work: Folder of what was counted.
        teacher: Of this project, as `edge train` wrote it; taken for the fused model of the first seed.
    """

    project: Project
    train: SampleSet
    test: SampleSet
    work: Path
    teacher: Path | None = None

    def counts(self, arm: str, seed: int) -> RecordingCounts:
        """What the model gets right, by recording; trained first where it is not kept."""
        project = self.project if arm == FUSED else alone(self.project, arm)
        content = project.model_dump_json(by_alias=True, include=FOLLOWED)
        digest = hashlib.sha256(f"{content} {len(self.train)} {len(self.test)}".encode()).hexdigest()[:12]
        path = self.work / f"{arm}-{digest}-{seed}.npz"
        samples = self._samples(self.test, arm)
        return kept_counts(
            path, lambda: self._model(arm, with_seed(project, seed), seed), samples, FusionTask(project.io)
        )

    def _model(self, arm: str, project: Project, seed: int) -> FusionModel:
        if arm == FUSED and self.teacher is not None and seed == 0:
            return self._read_teacher(self.teacher)
        print(f"seed {seed}: train {arm}", flush=True)
        return trained(project, self._samples(self.train, arm))

    def _read_teacher(self, folder: Path) -> FusionModel:
        """The checkpoint, where it was trained as the project says.

        Raises:
            ConfigError: It was not.
        """
        saved = load_checkpoint(folder)
        asked, found = (p.model_dump_json(include=FOLLOWED) for p in (self.project, saved.manifest.project))
        if asked != found:
            raise ConfigError(f"{folder} was trained with other settings than '{self.project.name}'", "train it again")
        return saved.model.eval()

    def _samples(self, data: SampleSet, arm: str) -> SampleSet:
        return data if arm == FUSED else of_modality(data, self.project.io.modalities.index(arm))


def alone(project: Project, modality: str) -> Project:
    """The project with one modality: its inputs, its encoder, and nothing to drop."""
    content = project.io.model_dump(mode="json", by_alias=True)
    content["inputs"] = [
        {**item, "streams": [modality]} if item["feature"] == "present" else item
        for item in content["inputs"]
        if item["feature"] == "present" or item["stream"] == modality
    ]
    teacher = project.teacher.model_copy(update={"encoders": {modality: project.teacher.encoders[modality]}})
    train = project.train.model_copy(update={"modality_dropout": 0.0})
    # What it is varied by stays; what takes all of it away would leave nothing.
    augment = {
        stream: config.model_copy(update={"noisy": 0.0, "mismatched": 0.0})
        for stream, config in project.augment.items()
        if stream == modality
    }
    changes = {"io": ModelIO.model_validate(content), "teacher": teacher, "train": train, "augment": augment}
    return project.model_copy(update={**changes, "alignment": None, "unimodal": 0.0})


def of_modality(data: SampleSet, place: int) -> SampleSet:
    """One input of each sample, of those that have it."""
    there = data if data.available is None else data.subset(data.available[:, place].nonzero().flatten().tolist())
    return replace(there, inputs=(there.inputs[place],), available=None)


def trained(project: Project, data: SampleSet, on_epoch: OnEpoch | None = None) -> FusionModel:
    """The teacher, as `edge train` trains it."""
    torch.manual_seed(project.train.seed)
    model, task = FusionModel(project.teacher, project.io), FusionTask(project.io)
    augment = stream_augment(project.augment, project.io)
    module, objective = supervised(model, task, project.alignment, project.unimodal)
    fit(module, data, objective, project.train, augment=augment, on_epoch=on_epoch)
    return model.eval()


def main() -> int:
    """Trains what is missing, writes the JSON, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--samples", type=int, help="of the training split, the first ones; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where models are trained")
    parser.add_argument("--student", action="store_true", help="at the student's widths, trained as the teacher is")
    parser.add_argument(
        "--teacher", type=Path, help="of this project, from `edge train`, for seed 0; trained here by default"
    )
    parser.add_argument("--work", type=Path, default=HERE.parent / "runs" / "single_modality")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.teacher and arguments.samples:
        parser.error("a --teacher has seen all samples: leave --samples out")
    torch.set_num_threads(1)
    project = load_project(arguments.project)
    changes: dict[str, Any] = {"train": project.train.model_copy(update={"device": arguments.device})}
    project = project.model_copy(update={**changes, **({"teacher": project.student} if arguments.student else {})})
    study = open_study(project, arguments.samples, arguments.work, arguments.teacher)
    # Seed by seed, so that what an interrupted run has done can be compared.
    arms = (FUSED, *study.project.io.modalities)
    by_seed = [{arm: study.counts(arm, seed) for arm in arms} for seed in arguments.seeds]
    result = summary(study, {arm: [found[arm] for found in by_seed] for arm in arms})
    if arguments.out:
        write_result(arguments.out, result)
    print("\n".join(report(result)))
    return 3 if any(row["gain"]["high"] < 0 for row in result["modalities"].values()) else 0


def open_study(project: Project, samples: int | None, work: Path, teacher: Path | None = None) -> Study:
    """Makes the project's dataset ready and loads it."""
    folder = prepare_dataset(project, work / project.name / "data")
    train = load_split(folder, "train")
    train = train.subset(range(min(samples or len(train), len(train))))
    return Study(project, train, load_split(folder, "test"), work / project.name, teacher)


def summary(study: Study, counts: dict[str, list[RecordingCounts]]) -> dict[str, Any]:
    """Score of each modality alone, within the fused model and without it, by seed, and the paired difference."""
    metric = FusionTask(study.project.io).metric()
    assert isinstance(metric, AdditiveMetric), "all metrics of fusion tasks count"
    modalities = {}
    for modality in study.project.io.modalities:
        sides = stacked(counts[FUSED], f"only_{modality}"), stacked(counts[modality], "all")
        modalities[modality] = {
            "fused": seed_scores(sides[0], metric.points),
            "single": seed_scores(sides[1], metric.points),
            "gain": seeded_interval([sides], metric.points).to_json(),
        }
    return {
        "project": study.project.name,
        "train_samples": len(study.train),
        "test_samples": len(study.test),
        "test_recordings": len(set(study.test.recordings)),
        "epochs": study.project.train.epochs,
        "parameters": sum(p.numel() for p in FusionModel(study.project.teacher, study.project.io).parameters()),
        "seeds": len(counts[FUSED]),
        "all": seed_scores(stacked(counts[FUSED], "all"), metric.points),
        "modalities": modalities,
    }


def report(result: dict[str, Any]) -> list[str]:
    """What was measured, and a row a modality."""
    lines = [
        f"**{result['project']}**, {result['parameters']:,} parameters: {result['train_samples']} training samples, "
        f"{result['epochs']} epochs, {result['seeds']} seed(s); score on {result['test_samples']} test samples of "
        f"{result['test_recordings']} recordings. All modalities together: {mean(result['all']):.2f}.",
        "",
    ]
    rows = [
        [name, f"{mean(row['fused']):.2f}", f"{mean(row['single']):.2f}", signed_interval(row["gain"])]
        for name, row in result["modalities"].items()
    ]
    return lines + table(["modality", "within the fused model, alone", "a model of its own", "difference"], rows)


if __name__ == "__main__":
    sys.exit(main())
