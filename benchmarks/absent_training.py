"""What a model is worth in every modality state by how it was trained for what may be missing.

    python benchmarks/absent_training.py PROJECT.yaml [--samples N] [--seeds 0 1 2] [--out FILE.json]

The project's teacher is trained in three ways, from the same weights on the same samples and for as many epochs: by
modality dropout alone, whose zeros the encoders see; with what is dropped hidden from the fusion only; and as the
project says. Gains over the first are paired by sample and seed, with the interval of a bootstrap over seeds and
recordings. What is trained is kept in --work and taken from there. Exit code 3 where the project's own way has lost.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import torch

from edge.compress.scoring.task import AdditiveMetric
from edge.data.dataset_folder import load_split
from edge.data.prepared import prepare_dataset
from edge.project import load_project, with_seed
from edge.training.fusion_task import FusionTask

sys.path.insert(0, str(Path(__file__).parent))
from kept_counts import kept_counts
from results import write_result
from seeded_differences import seed_scores, seeded_interval, stacked
from single_modality import FOLLOWED, trained
from tables import signed_interval, table

if TYPE_CHECKING:
    from edge.compress.samples import SampleSet
    from edge.compress.scoring.recording_counts import RecordingCounts
    from edge.models.fusion_model import FusionModel
    from edge.project import Project

HERE = Path(__file__).resolve().parent
DROPPED, HIDDEN, OWN = "dropout", "hidden", "as the project"
ARMS = (DROPPED, HIDDEN, OWN)
DROPOUT = 0.4  # `FitConfig` has it where nothing is said


def main() -> int:
    """Trains what is missing, writes the JSON, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--samples", type=int, help="of the training split, the first ones; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, default=HERE.parent / "runs" / "absent_training")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    project = load_project(arguments.project)
    work = arguments.work / project.name
    folder = prepare_dataset(project, work / "data")
    train = load_split(folder, "train")
    train = train.subset(range(min(arguments.samples or len(train), len(train))))
    study = Study(project, train, load_split(folder, "test"), work)
    by_seed = [{arm: study.counts(arm, seed) for arm in ARMS} for seed in arguments.seeds]
    result = summary(study, {arm: [found[arm] for found in by_seed] for arm in ARMS})
    if arguments.out:
        write_result(arguments.out, result)
    print("\n".join(report(result)))
    return 3 if result["gains"][OWN]["mean"]["high"] < 0 else 0


@dataclass(frozen=True)
class Study:
    """One project and its data.

    Attributes:
        project: Its `teacher` is the model.
        train: Samples of all modalities.
        test: The split that is scored.
        work: Folder of what was counted.
    """

    project: Project
    train: SampleSet
    test: SampleSet
    work: Path

    def counts(self, arm: str, seed: int) -> RecordingCounts:
        """What the model gets right, by recording; trained first where it is not kept."""
        project = with_seed(trained_by(self.project, arm), seed)
        content = project.model_dump_json(by_alias=True, include=FOLLOWED)
        digest = hashlib.sha256(f"{content} {len(self.train)} {len(self.test)}".encode()).hexdigest()[:12]
        path = self.work / f"{digest}.npz"

        def model() -> FusionModel:
            print(f"seed {seed}: train {arm}", flush=True)
            return trained(project, self.train)

        return kept_counts(path, model, self.test, FusionTask(project.io))


def trained_by(project: Project, arm: str) -> Project:
    """The project with another way to train for what may be missing."""
    if arm == OWN:
        return project
    dropped = "hidden" if arm == HIDDEN else "zeros"
    train = project.train.model_copy(update={"modality_dropout": DROPOUT, "dropped": dropped})
    return project.model_copy(update={"train": train, "unimodal": 0.0})


def summary(study: Study, counts: dict[str, list[RecordingCounts]]) -> dict[str, Any]:
    """Scores by arm, state and seed, and what the others gain over dropout alone: by state and in the mean of all."""
    metric, project = FusionTask(study.project.io).metric(), study.project
    assert isinstance(metric, AdditiveMetric), "all metrics of fusion tasks count"
    sides = {arm: {s: stacked(found, s) for s in found[0].by_state} for arm, found in counts.items()}
    gains = {}
    for arm in (HIDDEN, OWN):
        pairs = {state: (sides[arm][state], sides[DROPPED][state]) for state in sides[arm]}
        by_state = {state: seeded_interval([pair], metric.points).to_json() for state, pair in pairs.items()}
        gains[arm] = {"mean": seeded_interval(list(pairs.values()), metric.points).to_json(), "states": by_state}
    return {
        "project": project.name,
        "train_samples": len(study.train),
        "test_samples": len(study.test),
        "test_recordings": len(set(study.test.recordings)),
        "epochs": project.train.epochs,
        "seeds": len(counts[OWN]),
        "own": {
            "modality_dropout": project.train.modality_dropout,
            "dropped": project.train.dropped,
            "unimodal": project.unimodal,
        },
        "scores": {
            arm: {state: seed_scores(found, metric.points) for state, found in by_state.items()}
            for arm, by_state in sides.items()
        },
        "gains": gains,
    }


def report(result: dict[str, Any]) -> list[str]:
    """What was measured, and a row a modality state."""
    own = result["own"]
    said = ", ".join(f"`{key}: {value:g}`" if key != "dropped" else f"`{key}: {value}`" for key, value in own.items())
    lines = [
        f"**{result['project']}** ({said}): {result['train_samples']} training samples, {result['epochs']} epochs, "
        f"{result['seeds']} seed(s); score on {result['test_samples']} test samples of {result['test_recordings']} "
        "recordings.",
        "",
    ]
    scores, gains = result["scores"], result["gains"]
    rows = [
        [
            state,
            *(f"{mean(scores[arm][state]):.1f}" for arm in ARMS),
            *(signed_interval(gains[arm]["states"][state]) for arm in (HIDDEN, OWN)),
        ]
        for state in scores[OWN]
    ]
    means = [f"{mean(mean(by_seed) for by_seed in scores[arm].values()):.1f}" for arm in ARMS]
    rows.append(["mean of the states", *means, *(signed_interval(gains[arm]["mean"]) for arm in (HIDDEN, OWN))])
    return lines + table(["state", *ARMS, f"{HIDDEN} - {DROPPED}", f"{OWN} - {DROPPED}"], rows)


if __name__ == "__main__":
    sys.exit(main())
