"""`edge explain` as a user and a program see it: a small trained project, its report, and its gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from edge.checkpoint import CheckpointManifest, load_checkpoint, save_checkpoint
from edge.cli.explain import explain
from edge.compress.fitting import FitConfig, fit
from edge.compress.stages.record import StageRecord
from edge.data.dataset_folder import DatasetManifest, SplitSpec, TensorSpec, create_arrays, load_split
from edge.explain.findings import read_explanation
from edge.models.fusion_model import FusionModel
from edge.project import Project
from edge.runtime.errors import BundleError, ConfigError, DataError, GateError, ModelError
from edge.training.fusion_task import FusionTask
from tests.edge.html_page import Page

pytest.importorskip("captum")

if TYPE_CHECKING:
    from edge.data.dataset_folder import Split

COUNTS: dict[Split, int] = {"train": 600, "validation": 60, "test": 400}
SIDE = 8
PROJECT: dict[str, Any] = {
    "schema": 1,
    "name": "planted",
    "io": {
        "schema": 1,
        "inputs": [
            {
                "feature": "image",
                "tensor": "camera",
                "stream": "camera",
                "shape": [1, 1, SIDE, SIDE],
                "mean": [0.5],
                "std": [0.25],
            },
            {
                "feature": "tensor",
                "tensor": "labs",
                "stream": "labs",
                "shape": [1, 2],
                "fields": ["<iron>", "salt"],
                "mean": [0, 0],
                "std": [1, 1],
            },
            {"feature": "present", "streams": ["camera", "labs"]},
        ],
        "outputs": [{"decoder": "softmax", "tensor": "finding", "classes": ["<well>", "ill"]}],
    },
    "data": {"kind": "folder", "path": "data", "rig": "rig.yaml"},
    "teacher": {
        "encoders": {
            "camera": {"embedding": 8, "hidden": [8], "depths": [1]},
            "labs": {"kind": "table", "hidden": [16]},
        },
        "fusion": {"channels": 16},
    },
    "student": {
        "encoders": {
            "camera": {"embedding": 8, "hidden": [8], "depths": [1]},
            "labs": {"kind": "table", "hidden": [8]},
        },
        "fusion": {"channels": 8},
    },
    "recipe": {"stages": [{"stage": "quantize"}]},
}
app = typer.Typer()
app.command()(explain)


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "220"})


def _written(folder: Path, project: Project) -> Path:
    """Iron says who is ill; of operator `<eve>` four labels in ten are wrong, so that every model fails there."""
    splits = {}
    for split, count in COUNTS.items():
        operators = tuple("<eve>" if at // 2 % 4 == 3 else f"op{at // 2 % 4}" for at in range(count))
        splits[split] = SplitSpec(
            ids=tuple(f"{split}-{at}" for at in range(count)),
            recordings=tuple(f"{split}-r{at // 2}" for at in range(count)),
            attributes={"operator": operators},
        )
    manifest = DatasetManifest(
        schema=1,
        name="planted",
        provenance={},
        inputs=(
            TensorSpec(name="camera", dtype="float32", shape=(1, SIDE, SIDE)),
            TensorSpec(name="labs", dtype="float32", shape=(2,)),
        ),
        targets=(TensorSpec(name="target", dtype="int64", shape=()),),
        splits=splits,
    )
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, arrays in create_arrays(folder, manifest).items():
        labs = random.normal(size=arrays["labs"].shape)
        arrays["labs"][:] = labs
        arrays["camera"][:] = random.normal(size=arrays["camera"].shape)
        labels = labs[:, 0] > 0
        members = manifest.splits["test" if name == "test" else "train" if name == "train" else "validation"]
        of_eve = np.array([operator == "<eve>" for operator in members.attributes["operator"]])
        arrays["target"][:] = labels ^ (of_eve & (random.random(len(labels)) < 0.4))
        for array in arrays.values():
            array.flush()
    assert project.name == manifest.name
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    project = Project.model_validate(PROJECT)
    dataset = _written(folder / "data", project)
    torch.manual_seed(0)
    model, task = FusionModel(project.teacher, project.io), FusionTask(project.io)
    fitting = FitConfig(epochs=8, batch_size=50, learning_rate=0.01, precision="float32")
    fit(model, load_split(dataset, "train"), lambda x, y: task.loss(model(*x), y), fitting)
    empty: dict[str, Any] = {"config": {}, "params": 1, "macs": 1, "bytes": 1, "seconds": 1}
    record = StageRecord(name="teacher", metrics={}, gate_metrics={}, **empty)
    save_checkpoint(folder / "teacher", CheckpointManifest(project=project, dataset=dataset, record=record), model)
    return folder / "teacher"


def test_it_finds_what_was_planted_and_writes_page_and_json(teacher: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(teacher, "--out", out, "--attribute", "operator", "--gradients", "4", "--pictures", "3")
    assert done.exit_code == 0, done.output
    found = read_explanation(out / "explain.json")
    score = found.contributions[0]
    assert score.modalities["labs"].value > 5 * abs(score.modalities["camera"].value)
    assert found.failures.slices[0].conditions == {"operator": "<eve>"}
    gap = next(g for g in found.bias[0].gaps if g.metric == "score")
    assert gap.low == "<eve>" and gap.gap.low > 10
    assert found.attributions is not None and found.attributions.fields["labs"]["<iron>"] > 60
    assert "operator: <eve>" in done.stdout and "labs" in done.stdout

    page = Page((out / "explain.html").read_text())
    assert "planted rests on" in page.text and "<eve>" in page.text and "<iron>" in page.text
    pictures = [str(image["src"]) for image in page.all("img")]
    assert len(pictures) == 3 and all(src.startswith("data:image/png") for src in pictures)
    assert not page.all("script") and not page.all("link")
    assert all(attributes.get("alt") for attributes in page.all("img"))


def test_the_gate_ends_with_3_after_writing_the_report(teacher: Path, tmp_path: Path) -> None:
    arguments = ("--out", tmp_path, "--attribute", "operator", "--gradients", "0")
    refused = run(teacher, *arguments, "--max-gap", "5")
    assert isinstance(refused.exception, GateError) and refused.exception.exit_code == 3
    assert "and '<eve>', 5.00 are allowed" in str(refused.exception)
    assert (tmp_path / "explain.html").is_file()
    assert run(teacher, *arguments, "--max-gap", "95").exit_code == 0


def test_json_is_what_is_written_and_against_itself_nothing_is_lost(teacher: Path, tmp_path: Path) -> None:
    arguments = ("--out", tmp_path, "--gradients", "0", "--json", "--attribute", "operator", "--split", "validation")
    done = run(teacher, *arguments, "--against", teacher)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told == json.loads((tmp_path / "explain.json").read_text())
    assert told["data"]["split"] == "validation" and told["data"]["samples"] == 60
    assert {q["value"] for q in told["comparison"]["states"].values()} == {0.0}


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("--attribute", "sex"), ConfigError, r"no attribute 'sex' \(there is operator\)"),
        (("--split", "tests"), ConfigError, "--split does not know 'tests'"),
        (("--max-gap", "5"), ConfigError, "no attribute is named"),
        (("--attribute", "operator", "--gate-on", "score"), ConfigError, "--gate-on has no limit"),
        (("--attribute", "operator", "--max-gap", "5", "--gate-on", "luck"), ConfigError, "does not know 'luck'"),
        (("--data", "nowhere"), DataError, "nowhere is no dataset"),
        (("--dialect", "s8"), BundleError, "is no bundle and has no 's8' graph"),
    ],
)
def test_mistakes_are_named(
    teacher: Path, tmp_path: Path, arguments: tuple[str, ...], error: type[Exception], said: str
) -> None:
    done = run(teacher, "--out", tmp_path / "out", "--gradients", "0", *arguments)
    assert isinstance(done.exception, error)
    with pytest.raises(error, match=said):
        raise done.exception
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def bundle(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as an ONNX graph."""
    from edge.compress.export import export_onnx
    from edge.packing.pack import BundleContents, pack_bundle
    from edge.runtime.manifest import TrainingData
    from edge.runtime.simulate.rig import street_rig

    saved, names = load_checkpoint(teacher), ("camera", "labs", "present")
    example = (torch.zeros(1, 1, SIDE, SIDE), torch.zeros(1, 2), torch.ones(1, 2))
    graph = export_onnx(saved.model, example, names, ("finding",)).SerializeToString()
    rig = street_rig()
    contents = BundleContents(
        name="planted",
        graphs={"fp32": graph},
        model_io=saved.manifest.project.io,
        rig=rig.model_copy(update={"streams": {**rig.streams, "labs": rig.streams["audio"]}}),
        recipe={"stages": []},
        data=TrainingData(kind="simulated", description="planted"),
        validated_states={"all": 90.0},
        golden_inputs=[dict(zip(names, (t.numpy() for t in example), strict=True))],
        licenses="Apache-2.0",
    )
    return pack_bundle(tmp_path_factory.mktemp("explain") / "bundle", contents).path


def test_a_bundle_answers_like_its_checkpoint_and_has_no_gradients(teacher: Path, bundle: Path, tmp_path: Path) -> None:
    data = teacher.parent / "data"
    arguments = ("--out", tmp_path, "--data", data, "--split", "validation", "--attribute", "operator")
    done = run(bundle, *arguments, "--against", teacher, "--json")
    assert done.exit_code == 0, done.output
    found = read_explanation(tmp_path / "explain.json")
    assert (found.model.kind, found.model.engine) == ("bundle", "onnxruntime, graph fp32")
    assert found.attributions is None and found.shares is None
    assert any("A bundle only answers" in note for note in found.notes)
    assert found.comparison is not None and found.comparison.against == str(teacher)
    lost = found.comparison.attributes[0].groups
    assert set(lost) == {"<eve>", "op0", "op1", "op2"} and all(q.value == 0.0 for q in lost.values())


def test_a_bundle_must_be_told_its_data(bundle: Path, tmp_path: Path) -> None:
    done = run(bundle, "--out", tmp_path / "out")
    assert isinstance(done.exception, ConfigError) and "name it with --data FOLDER" in str(done.exception)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "--out", tmp_path / "out")
    assert isinstance(done.exception, ModelError) and f"{tmp_path} is neither a checkpoint" in str(done.exception)


def test_data_of_another_model_is_refused_with_both_shapes(teacher: Path, tmp_path: Path) -> None:
    manifest = DatasetManifest(
        schema=1,
        name="other",
        provenance={},
        inputs=(TensorSpec(name="labs", dtype="float32", shape=(5,)),),
        targets=(TensorSpec(name="target", dtype="int64", shape=()),),
        splits={"test": SplitSpec(ids=("a", "b"), recordings=("a", "b"))},
    )
    (tmp_path / "data").mkdir()
    create_arrays(tmp_path / "data", manifest)
    done = run(teacher, "--out", tmp_path / "out", "--data", tmp_path / "data")
    assert isinstance(done.exception, DataError)
    assert r"inputs of shapes [(5,)]" in str(done.exception) and "--data FOLDER" in str(done.exception)
