"""What a teacher brings: the same student trained as long with and without one, and the teacher at half its width.

    python benchmarks/distillation.py PROJECT.yaml --samples 12000 [--seeds 0 1 2] [--work DIR] [--out FILE.json]

For a project with one softmax output. Each seed draws initial weights, batches and modality dropout anew; all students
of a seed start from the same weights and see the same batches. Differences are paired, sample by sample and seed by
seed, with the interval of a bootstrap that draws whole recordings. What is trained is kept in --work and taken from
there, so that an interrupted run goes on. Exit code 3 where the student gains nothing from the teacher.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from edge.compress.distill.config import BranchConfig
from edge.compress.distill.teaching import teach
from edge.compress.fitting import fit
from edge.compress.samples import mask_modalities
from edge.compress.stages.stage import DistillStage
from edge.data.dataset_folder import load_split
from edge.models.fusion_model import FusionModel, FusionModelConfig
from edge.project import FolderData, load_project
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import SoftmaxOutput
from edge.runtime.states import all_states
from edge.runtime.statistics.intervals import clustered_interval
from edge.training.fusion_task import FusionTask

sys.path.insert(0, str(Path(__file__).parent))
from distillation_tables import ALONE, BRANCHES, HALF, MEAN, TAUGHT, TEACHER, TITLES, report
from results import write_result

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from edge.compress.fitting import FitConfig
    from edge.compress.samples import SampleSet
    from edge.project import Project

HERE = Path(__file__).resolve().parent
BATCH = 200
PAIRS = ((HALF, TEACHER), (TAUGHT, ALONE), (BRANCHES, ALONE), (BRANCHES, TAUGHT))


@dataclass(frozen=True)
class Study:
    """One project, its data, and where trained weights are kept."""

    project: Project
    train: SampleSet
    test: SampleSet
    work: Path

    def right(self, arm: str, seed: int) -> NDArray[np.bool_]:
        """`[states, samples]`: which test samples the arm's model gets right; trained first where it is not kept."""
        path = self._kept(arm, seed).with_suffix(".npy")
        if not path.is_file():
            answers = right_answers(self.model(arm, seed), self.test)
            with atomic_file(path) as draft, draft.open("wb") as file:
                np.save(file, answers)
        found: NDArray[np.bool_] = np.load(path, allow_pickle=False)
        return found

    def model(self, arm: str, seed: int) -> FusionModel:
        """Trained, and kept."""
        path = self._kept(arm, seed)
        if not path.is_file():
            print(f"seed {seed}: train {TITLES.get(arm, arm)}", flush=True)
            weights = self._train(arm, seed).state_dict()
            with atomic_file(path) as draft:
                save_file({name: tensor.contiguous() for name, tensor in weights.items()}, draft)
        model = FusionModel(self.widths(arm), self.project.io)
        model.load_state_dict(load_file(path))
        return model.eval()

    def widths(self, arm: str) -> FusionModelConfig:
        """The project's, or half of them."""
        if arm == TEACHER:
            return self.project.teacher
        return half_width(self.project.teacher) if arm == HALF else self.project.student

    def _kept(self, arm: str, seed: int) -> Path:
        return self.work / f"{arm.replace(' ', '_')}-{seed}.safetensors"

    def _train(self, arm: str, seed: int) -> FusionModel:
        torch.manual_seed(seed)
        model, task = FusionModel(self.widths(arm), self.project.io), FusionTask(self.project.io)
        stage = distill_stage(self.project)
        length = with_seed(self.project.train if arm in (TEACHER, HALF) else stage.fit, seed)
        if arm in (TAUGHT, BRANCHES):
            branches = BranchConfig() if arm == BRANCHES else None
            how = stage.distill.model_copy(update={"branches": branches})
            history = teach(model, self.model(TEACHER, seed), self.train, task, how, length)
            print(json.dumps(history.notes()), flush=True)
        else:
            fit(model, self.train, lambda inputs, targets: task.loss(model(*inputs), targets), length)
        return model


def main() -> int:
    """Trains what is missing, writes the JSON, prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("--samples", type=int, default=12000, help="of the training split, the first ones")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=[TEACHER, HALF, ALONE, TAUGHT, BRANCHES])
    parser.add_argument("--work", type=Path, default=HERE.parent / "runs" / "distillation")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    study = open_study(load_project(arguments.project), arguments.samples, arguments.work)
    right = {arm: np.stack([study.right(arm, seed) for seed in arguments.seeds]) for arm in arguments.arms}
    result = summary(study, right)
    if arguments.out:
        write_result(arguments.out, result)
    print("\n".join(report(result)))
    gained = result["differences"].get(f"{TAUGHT} - {ALONE}")
    return 3 if gained and gained["all"]["estimate"] <= 0 else 0


def open_study(project: Project, samples: int, work: Path) -> Study:
    """Loads the splits; trained weights of other settings lie in another folder of `work`.

    Raises:
        ConfigError: The project has no folder of samples, or its output is no softmax.
    """
    if not isinstance(project.data, FolderData) or not isinstance(project.io.outputs[0], SoftmaxOutput):
        raise ConfigError(f"'{project.name}' has no prepared folder or no softmax output", "try examples/av_digits")
    stage = distill_stage(project)
    parts = (project.io, project.teacher, project.student, project.train, stage.distill, stage.fit)
    settings = "".join(part.model_dump_json(by_alias=True) for part in parts) + str(samples)
    folder = work / f"{project.name}-{hashlib.sha256(settings.encode()).hexdigest()[:12]}"
    train = load_split(project.data.path, "train")
    return Study(project, train.subset(range(min(samples, len(train)))), load_split(project.data.path, "test"), folder)


def distill_stage(project: Project) -> DistillStage:
    """The recipe's own, which says how long a student is trained."""
    return next((s for s in project.recipe.stages if isinstance(s, DistillStage)), DistillStage())


def with_seed(length: FitConfig, seed: int) -> FitConfig:
    """The same training in another order."""
    return length.model_copy(update={"seed": length.seed + seed})


def half_width(config: FusionModelConfig) -> FusionModelConfig:
    """Every number of channels halved, down to 8."""
    content = config.model_dump()
    for encoder in content["encoders"].values():
        encoder |= {
            "embedding": max(8, encoder["embedding"] // 2),
            "hidden": [max(8, n // 2) for n in encoder["hidden"]],
        }
    content["fusion"]["channels"] = max(8, content["fusion"]["channels"] // 2)
    return FusionModelConfig.model_validate(content)


def right_answers(model: Callable[..., tuple[Tensor, ...]], data: SampleSet) -> NDArray[np.bool_]:
    """`[states, samples]`, states as `all_states` orders them by the model's modalities."""
    modalities = model.modalities  # type: ignore[attr-defined]
    rows = []
    with torch.inference_mode():
        for there in all_states(modalities).values():
            present = torch.tensor([float(m in there) for m in modalities])
            batches = data.batches(BATCH)
            rows.append(
                torch.cat(
                    [
                        model(*mask_modalities(inputs, present.expand(len(targets[0]), -1)))[0].argmax(1) == targets[0]
                        for inputs, targets in batches
                    ]
                ).numpy()
            )
    return np.stack(rows)


def summary(study: Study, right: dict[str, NDArray[np.bool_]]) -> dict[str, Any]:
    """Accuracy in points by arm, state and seed; paired differences with their intervals."""
    states = list(all_states(study.project.io.modalities))
    scores = {
        arm: {state: [100.0 * float(r) for r in values[:, i].mean(1)] for i, state in enumerate(states)}
        for arm, values in right.items()
    }
    differences: dict[str, Any] = {}
    for less, more in ((a, b) for a, b in PAIRS if a in right and b in right):
        first, second = (TEACHER, HALF) if less == HALF else (less, more)
        gain = 100.0 * (right[first].astype(float) - right[second].astype(float))  # [seeds, states, samples]
        by_sample = dict(zip(states, gain.mean(0), strict=True)) | {MEAN: gain.mean((0, 1))}
        differences[f"{first} - {second}"] = {
            state: clustered_interval(values, study.test.recordings, seed=0).to_json()
            for state, values in by_sample.items()
        }
    return {
        "project": study.project.name,
        "train_samples": len(study.train),
        "test_samples": len(study.test),
        "test_recordings": len(set(study.test.recordings)),
        "teacher_epochs": study.project.train.epochs,
        "student_epochs": distill_stage(study.project).fit.epochs,
        "seeds": len(next(iter(right.values()))),
        "parameters": {arm: parameters(study.widths(arm), study.project) for arm in right},
        "scores": scores,
        "differences": differences,
    }


def parameters(widths: FusionModelConfig, project: Project) -> int:
    """Trainable values of a model of these widths."""
    return sum(p.numel() for p in FusionModel(widths, project.io).parameters())


if __name__ == "__main__":
    sys.exit(main())
