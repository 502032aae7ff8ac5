"""A project's `pretrain`, `labels` and `augment` at work: what a teacher and a student start from, and what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from rich.progress import Progress

from edge.cli.build_steps import _started
from edge.cli.progress import Steps
from edge.data.dataset_folder import DatasetManifest, Split, SplitSpec, TensorSpec, create_arrays
from edge.model_start import start_model
from edge.models.fusion_model import FusionModel
from edge.project import load_project, with_seed
from edge.runtime.errors import ConfigError
from edge.training.pretraining.kept import encoder_weights
from edge.workbench import Workbench, open_workbench
from tests.edge.training.pretraining.cases import FIT, INPUTS, small_io, small_samples, small_widths

if TYPE_CHECKING:
    from edge.project import Project

RIG = Path(__file__).resolve().parents[2] / "examples" / "av_digits" / "rig.yaml"
SIZES: dict[Split, int] = {"train": 120, "validation": 12, "test": 12}
SHORT = {**FIT.model_dump(mode="json"), "epochs": 1}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small samples as a prepared folder; every recording has two samples, and so two classes."""
    folder = tmp_path_factory.mktemp("data")
    splits = {split: small_samples(count, i, split) for i, (split, count) in enumerate(SIZES.items())}
    manifest = DatasetManifest(
        schema=1,
        name="small",
        provenance={},
        inputs=tuple(TensorSpec(name=s, dtype="float32", shape=item["shape"][1:]) for s, item in INPUTS.items()),
        targets=(TensorSpec(name="target", dtype="int64", shape=()),),
        splits={split: SplitSpec(ids=data.ids, recordings=data.recordings) for split, data in splits.items()},
    )
    arrays = create_arrays(folder, manifest)
    for split, data in splits.items():
        for name, tensor in zip((*INPUTS, "target"), (*data.inputs, *data.targets), strict=True):
            arrays[split][name][:] = tensor.numpy()
            arrays[split][name].flush()
    return folder


def project_of(dataset: Path, folder: Path, **keys: Any) -> Project:
    content = {
        "schema": 1,
        "name": "small",
        "io": small_io().model_dump(mode="json", by_alias=True),
        "data": {"kind": "folder", "path": str(dataset), "rig": str(RIG)},
        "teacher": small_widths().model_dump(mode="json"),
        "student": small_widths().model_dump(mode="json"),
        "train": SHORT,
        "recipe": {"stages": [{"stage": "quantize"}]},
        **keys,
    }
    path = folder / "project.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_project(path)


PRETRAIN = {"fit": SHORT, "alignment": {"kind": "info_nce"}}


def started(bench: Workbench, folder: Path | None = None) -> tuple[FusionModel, list[int]]:
    steps: list[int] = []
    model, _ = bench.start_teacher(folder, on_step=lambda done, _steps, _loss: steps.append(done))
    return model, steps


def test_without_pretraining_the_model_is_as_drawn(dataset: Path, tmp_path: Path) -> None:
    project = project_of(dataset, tmp_path)
    torch.manual_seed(3)
    drawn = FusionModel(project.teacher, project.io)
    after = torch.rand(1)
    torch.manual_seed(3)
    model, record = start_model(project, project.teacher, small_samples)
    assert record is None and torch.equal(torch.rand(1), after)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in drawn.state_dict().items())


def test_pretraining_sees_all_samples_and_training_a_share_of_them(dataset: Path, tmp_path: Path) -> None:
    bench = open_workbench(project_of(dataset, tmp_path, labels=0.2, pretrain=PRETRAIN), dataset)
    assert len(set(bench.train.recordings)) == 12 and len(bench.train) == 24
    _, record = bench.start_teacher()
    assert record is not None and (record.samples, record.recordings) == (120, 60)


def test_a_teachers_record_tells_of_its_pretraining_however_often_it_is_begun(dataset: Path, tmp_path: Path) -> None:
    bench = open_workbench(project_of(dataset, tmp_path, pretrain=PRETRAIN), dataset)
    steps = Steps(Progress())
    _, notes = _started(bench, steps, tmp_path / "teacher-training", fresh=False)
    assert notes["pretraining"]["loss_parts"]["last_epoch"].keys() == {"camera", "sound", "camera ~ sound"}
    assert (tmp_path / "teacher-training-pretrained").is_dir()
    assert _started(bench, steps, tmp_path / "teacher-training", fresh=False)[1] == notes
    plain = open_workbench(project_of(dataset, tmp_path), dataset)
    assert _started(plain, steps, tmp_path / "other", fresh=False)[1] == {}
    assert not (tmp_path / "other-pretrained").exists()


def test_kept_encoders_are_taken_and_end_where_pretraining_ends(dataset: Path, tmp_path: Path) -> None:
    bench = open_workbench(project_of(dataset, tmp_path, pretrain=PRETRAIN), dataset)
    first, steps = started(bench, tmp_path / "kept")
    random = torch.rand(1)
    again, none = started(bench, tmp_path / "kept")
    assert steps == list(range(1, 8)) and none == []
    assert torch.equal(torch.rand(1), random), "what is drawn next does not depend on what was kept"
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in first.state_dict().items())
    torch.manual_seed(bench.project.train.seed)
    drawn = FusionModel(bench.project.teacher, bench.project.io).state_dict()
    encoders = encoder_weights(first)
    assert all(torch.equal(v, drawn[n]) for n, v in first.state_dict().items() if n not in encoders)


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({}, True),
        ({"labels": 0.5}, True),  # pretraining reads none
        ({"train": {**SHORT, "epochs": 2}}, True),
        ({"pretrain": {**PRETRAIN, "reconstruction": 0.5}}, False),
        ({"train": {**SHORT, "seed": 1}}, False),
        ({"augment": {"camera": {"kind": "image", "noise": 0.1}}}, False),
    ],
)
def test_what_pretraining_follows_from_decides_whether_it_is_done_again(
    dataset: Path, tmp_path: Path, changes: dict[str, Any], taken: bool
) -> None:
    started(open_workbench(project_of(dataset, tmp_path, pretrain=PRETRAIN), dataset), tmp_path / "kept")
    changed = project_of(dataset, tmp_path, **{"pretrain": PRETRAIN, **changes})
    _, steps = started(open_workbench(changed, dataset), tmp_path / "kept")
    assert (steps == []) is taken


@pytest.mark.parametrize("student", [False, True])
def test_a_student_is_pretrained_where_the_project_says_so(dataset: Path, tmp_path: Path, student: bool) -> None:
    project = project_of(dataset, tmp_path, pretrain={**PRETRAIN, "student": student})
    bench = open_workbench(project, dataset)
    store = bench.stage_store(tmp_path / "work", bench.start_teacher()[0])
    torch.manual_seed(0)
    built = bench._start_student(store)
    torch.manual_seed(0)
    drawn = FusionModel(project.student, project.io).state_dict()
    same = all(torch.equal(value, drawn[name]) for name, value in encoder_weights(built).items())
    assert same is not student
    assert (tmp_path / "work" / "student-pretrained").is_dir() is student


def test_alignment_beside_the_labels_pulls_pairs_together_and_leaves_no_trace(dataset: Path, tmp_path: Path) -> None:
    longer = {**SHORT, "epochs": 8}
    states, gaps = [], []
    for alignment in (None, {"kind": "info_nce", "weight": 1.0}):
        bench = open_workbench(project_of(dataset, tmp_path, train=longer, alignment=alignment), dataset)
        model, _ = bench.train_teacher()
        states.append(model.state_dict())
        gaps.append(_class_gap(model))
    assert states[0].keys() == states[1].keys() and not any("alignment" in name for name in states[1])
    assert not torch.equal(*(state["heads.0.logits.weight"] for state in states))
    assert gaps[1] > gaps[0] > 0, "maps of one class are nearer to each other than to the others', with alignment more"


def _class_gap(model: FusionModel) -> float:
    """How much more alike sound maps are within a class than between classes, in cosines."""
    data = small_samples(60, seed=5)
    with torch.no_grad():
        maps = model.get_submodule("branches.sound.encoder")(data.inputs[1]).mean((2, 3))
    points = torch.nn.functional.normalize(maps - maps.mean(0), dim=1)
    same = data.targets[0][:, None] == data.targets[0]
    alike = points @ points.T
    return float(alike[same].mean() - alike[~same].mean())


def test_other_seeds_pretrain_otherwise(dataset: Path, tmp_path: Path) -> None:
    project = project_of(dataset, tmp_path, pretrain=PRETRAIN)
    other = with_seed(project, 4)
    assert other.pretrain is not None and other.pretrain.fit.seed == 4
    assert with_seed(project_of(dataset, tmp_path), 4).pretrain is None


def test_a_log_lies_where_the_project_says(dataset: Path, tmp_path: Path) -> None:
    project = project_of(dataset, tmp_path, pretrain={"fit": {**SHORT, "log_dir": "logs"}})
    assert project.pretrain is not None and project.pretrain.fit.log_dir == tmp_path / "logs"


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"labels": 0}, "labels"),
        ({"labels": 1.2}, "labels"),
        ({"pretrain": {"epochs": 3}}, "pretrain.epochs"),
        ({"augment": {"camera": {"noise": 0.1}}}, "augment.camera"),
        ({"augment": {"camera": {"kind": "image", "blur": 2}}}, "blur"),
    ],
)
def test_a_wrong_key_is_named(dataset: Path, tmp_path: Path, keys: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        project_of(dataset, tmp_path, **keys)
