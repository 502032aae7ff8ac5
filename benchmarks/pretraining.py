"""What pretraining brings where labels are few: the same model from scratch, and from pretrained encoders.

    python benchmarks/pretraining.py PROJECT.yaml [--labels 0.1] [--seeds 0 1 2] [--samples N] [--out FILE.json]

PROJECT has a `pretrain`. The arms are trained alike on the labelled share of the recordings; two of them start from
encoders that saw all recordings without labels: by reconstruction alone, and with the project's alignment; one trains
from scratch for as many samples as these see in all. Each seed draws initial weights, pretraining, batches and
modality dropout anew. Differences are paired by sample and seed, with the interval of a bootstrap that draws seeds and
whole recordings. What is trained is kept in --work and taken from there, so that an interrupted run goes on. Settings
are chosen with --split validation; the test split is for results. Exit code 3 where the interval of what pretraining
with alignment gains over the same training from scratch, in the mean of the states, does not lie above 0.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from edge.compress.fitting import fit
from edge.compress.scoring.recording_counts import RecordingCounts
from edge.compress.scoring.task import AdditiveMetric
from edge.data.dataset_folder import load_split
from edge.data.prepared import prepare_dataset
from edge.models.fusion_model import FusionModel
from edge.project import load_project, with_seed
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import ConfigError
from edge.training.augmentation.streams import stream_augment
from edge.training.branch_training import supervised
from edge.training.fusion_task import FusionTask
from edge.training.label_share import labelled_part
from edge.training.pretraining.kept import keep_pretrained, recall_pretrained
from edge.training.pretraining.running import pretrain

sys.path.insert(0, str(Path(__file__).parent))
from kept_counts import kept_counts
from pretraining_tables import ALIGNED, LONGER, RECONSTRUCTED, SCRATCH, report
from results import write_result
from seeded_differences import seed_scores, seeded_interval, stacked

if TYPE_CHECKING:
    from edge.compress.samples import SampleSet
    from edge.project import Project
    from edge.training.pretraining.config import PretrainConfig
    from edge.training.pretraining.running import PretrainingRecord

HERE = Path(__file__).resolve().parent
ARMS = (SCRATCH, LONGER, RECONSTRUCTED, ALIGNED)
PAIRS = ((ALIGNED, SCRATCH), (ALIGNED, LONGER), (RECONSTRUCTED, SCRATCH), (ALIGNED, RECONSTRUCTED))
MEAN = "mean of states"
FOLLOWED = {"io", "student", "train", "augment", "alignment", "unimodal"}  # what training on labels follows from


@dataclass(frozen=True)
class Study:
    """One project, its data, and where results are kept.

    Attributes:
        project: Its `student` is the model, its `train` how all arms are trained on labels.
        train: Seen without labels.
        labelled: The part of it whose labels are used.
        scored: The split that is reported.
        work: Folder of the project; what was trained with other settings has other names there.
    """

    project: Project
    train: SampleSet
    labelled: SampleSet
    scored: SampleSet
    work: Path

    def counts(self, arm: str, seed: int) -> RecordingCounts:
        """What the arm's model gets right, by recording; trained first where it is not kept."""
        path = self._place(arm, seed, f"-{self.scored.split}.npz")
        return kept_counts(path, lambda: self.model(arm, seed), self.scored, FusionTask(self.project.io))

    def epochs(self, arm: str) -> int:
        """Passes over the labelled samples; the longer arm sees as many samples as a pretrained one does in all."""
        epochs, pretrain = self.project.train.epochs, self.project.pretrain
        if arm != LONGER or pretrain is None:
            return epochs
        return epochs + -(-pretrain.fit.epochs * len(self.train) // len(self.labelled))

    def _place(self, arm: str, seed: int, ending: str) -> Path:
        """Named for all that an arm depends on: another way of pretraining leaves the one from scratch as it is."""
        parts = [self.project.model_dump_json(by_alias=True, include=FOLLOWED)]
        parts += [str(self.epochs(arm)), str(len(self.train)), *sorted(set(self.labelled.recordings))]
        config = pretraining_of(arm, self.project)
        parts += [] if config is None else [config.model_dump_json()]
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
        return self.work / f"{arm.replace(' ', '-')}-{digest}-{seed}{ending}"

    def record(self, arm: str, seed: int) -> PretrainingRecord | None:
        """What an arm's pretraining did; None of the one from scratch."""
        return self._start(arm, with_seed(self.project, seed))[1]

    def model(self, arm: str, seed: int) -> FusionModel:
        """Trained on the labels, and kept."""
        path = self._place(arm, seed, ".safetensors")
        if not path.is_file():
            weights = self._train(arm, seed).state_dict()
            with atomic_file(path) as draft:
                save_file({name: tensor.contiguous() for name, tensor in weights.items()}, draft)
        model = FusionModel(self.project.student, self.project.io)
        model.load_state_dict(load_file(path))
        return model.eval()

    def _train(self, arm: str, seed: int) -> FusionModel:
        project = with_seed(self.project, seed)
        model, _ = self._start(arm, project)
        task, augment = FusionTask(project.io), stream_augment(project.augment, project.io)
        print(f"seed {seed}: train {arm}", flush=True)
        torch.manual_seed(project.train.seed)  # dropout layers draw from it, whatever was drawn before
        length = project.train.model_copy(update={"epochs": self.epochs(arm)})
        trained, objective = supervised(model, task, project.alignment, project.unimodal)
        fit(trained, self.labelled, objective, length, augment=augment)
        return model

    def _start(self, arm: str, project: Project) -> tuple[FusionModel, PretrainingRecord | None]:
        """Every arm of a seed starts from the same weights, but for its encoders."""
        torch.manual_seed(project.train.seed)
        model, config = FusionModel(project.student, project.io), pretraining_of(arm, project)
        if config is None:
            return model, None
        folder = self._place(arm, project.train.seed - self.project.train.seed, "-encoders")
        record = recall_pretrained(folder, model, {})  # the folder's name is what they follow from
        if record is None:
            print(f"seed {project.train.seed}: pretrain {arm}", flush=True)
            record = pretrain(model, project.io, self.train, config, stream_augment(project.augment, project.io))
            keep_pretrained(folder, model, {}, record)
            print({part: round(loss, 4) for part, loss in record.history.last.items()}, flush=True)
        return model, record


def main() -> int:
    """Trains what is missing, writes the JSON, prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--labels", type=float, help="share of the recordings; the project's own by default")
    parser.add_argument("--samples", type=int, help="of the training split, the first ones; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--work", type=Path, default=HERE.parent / "runs" / "pretraining")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    project = load_project(arguments.project)
    study = open_study(project, arguments.labels or project.labels, arguments.samples, arguments.split, arguments.work)
    # Seed by seed, so that what an interrupted run has done can be compared.
    by_seed = [{arm: study.counts(arm, seed) for arm in arguments.arms} for seed in arguments.seeds]
    counts = {arm: [found[arm] for found in by_seed] for arm in arguments.arms}
    records = {arm: [study.record(arm, seed) for seed in arguments.seeds] for arm in arguments.arms}
    result = summary(study, counts, records)
    if arguments.out:
        write_result(arguments.out, result)
    print("\n".join(report(result)))
    gained = result["differences"].get(f"{ALIGNED} - {SCRATCH}")
    return 3 if gained and gained[MEAN]["low"] <= 0 else 0


def open_study(project: Project, labels: float, samples: int | None, split: str, work: Path) -> Study:
    """Loads the splits.

    Raises:
        ConfigError: The project has no `pretrain`, or no alignment in it.
    """
    if project.pretrain is None or project.pretrain.alignment is None:
        raise ConfigError(f"'{project.name}' pretrains nothing, or without alignment", "give it pretrain.alignment")
    folder = prepare_dataset(project, work / project.name / "data")
    train = load_split(folder, "train")
    train = train.subset(range(min(samples or len(train), len(train))))
    scored = load_split(folder, "validation" if split == "validation" else "test")
    return Study(project, train, labelled_part(train, labels), scored, work / project.name)


def pretraining_of(arm: str, project: Project) -> PretrainConfig | None:
    """The project's own, without its alignment for the arm of reconstruction alone."""
    if arm in (SCRATCH, LONGER) or project.pretrain is None:
        return None
    if arm == ALIGNED:
        return project.pretrain
    weight = project.pretrain.reconstruction or 1.0
    return project.pretrain.model_copy(update={"alignment": None, "reconstruction": weight})


def summary(
    study: Study,
    counts: dict[str, list[RecordingCounts]],
    records: dict[str, list[PretrainingRecord | None]],
) -> dict[str, Any]:
    """Score in points by arm, state and seed; paired differences with their intervals; what pretraining took."""
    metric = FusionTask(study.project.io).metric()
    assert isinstance(metric, AdditiveMetric), "all metrics of fusion tasks count"
    states = list(next(iter(counts.values()))[0].by_state)
    differences = {
        f"{more} - {less}": differences_of(counts[more], counts[less], states, metric)
        for more, less in PAIRS
        if more in counts and less in counts
    }
    return {
        "project": study.project.name,
        "split": study.scored.split,
        "train_samples": len(study.train),
        "train_recordings": len(set(study.train.recordings)),
        "labelled_samples": len(study.labelled),
        "labelled_recordings": len(set(study.labelled.recordings)),
        "scored_samples": len(study.scored),
        "scored_recordings": len(set(study.scored.recordings)),
        "epochs": {arm: study.epochs(arm) for arm in counts},
        "pretraining_epochs": study.project.pretrain.fit.epochs if study.project.pretrain else 0,
        "seeds": len(next(iter(counts.values()))),
        "scores": {
            arm: {s: seed_scores(stacked(found, s), metric.points) for s in states} for arm, found in counts.items()
        },
        "differences": differences,
        "pretraining": {arm: [r.notes() for r in found if r is not None] for arm, found in records.items()},
    }


def differences_of(
    more: list[RecordingCounts], less: list[RecordingCounts], states: list[str], metric: AdditiveMetric
) -> dict[str, Any]:
    """The gain in each state and in their mean."""
    by_state = [(stacked(more, s), stacked(less, s)) for s in states]
    chosen = {state: [sides] for state, sides in zip(states, by_state, strict=True)} | {MEAN: by_state}
    return {name: seeded_interval(sides, metric.points).to_json() for name, sides in chosen.items()}


if __name__ == "__main__":
    sys.exit(main())
