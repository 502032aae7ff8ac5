"""A teacher that starts from a folder of pretrained weights: through the workbench, kept, recalled, and saved."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from edge.checkpoint import CheckpointManifest, load_checkpoint, save_checkpoint
from edge.data.dataset_folder import DatasetManifest, SplitSpec, TensorSpec, create_arrays, modality_specs
from edge.models.fusion_model import FusionModel
from edge.project import load_project
from edge.workbench import PRETRAINED_NOTE, Workbench, open_workbench
from tests.edge.models.small_transformers import write_bert
from tests.integration.text_and_table import FIELDS, LENGTH, WORDS, ward_io, ward_samples

if TYPE_CHECKING:
    from pathlib import Path

    from edge.models.fusion_model import FusionModelConfig
    from edge.project import Project

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A file with its dataset, rig and weights beside it."""
    folder = tmp_path_factory.mktemp("ward")
    write_bert(folder / "bert", vocab_size=WORDS, max_position_embeddings=LENGTH)
    write_dataset(folder / "data")
    streams = {
        "report": {"kind": "text", "rate_hz": 1.0},
        "labs": {"kind": "table", "rate_hz": 1.0, "fields": [f"f{i}" for i in range(FIELDS)]},
    }
    (folder / "rig.yaml").write_text(yaml.safe_dump({"schema": 1, "anchor": "labs", "streams": streams}))
    text: dict[str, Any] = {"kind": "text", "pretrained": "bert", "tuning": "lora", "lora": {"rank": 2}}
    model = {"encoders": {"report": text, "labs": {"kind": "table", "hidden": [16]}}, "fusion": {"channels": 16}}
    content = {
        "schema": 1,
        "name": "ward",
        "io": ward_io().model_dump(mode="json", by_alias=True),
        "data": {"kind": "folder", "path": "data", "rig": "rig.yaml"},
        "teacher": model,
        "student": model,
        "train": {"epochs": 1, "batch_size": 16, "precision": "float32"},
        "recipe": {"stages": [{"stage": "distill"}]},
    }
    (folder / "project.yaml").write_text(yaml.safe_dump(content))
    return load_project(folder / "project.yaml")


def write_dataset(folder: Path) -> None:
    folder.mkdir()
    sizes = {"train": 64, "validation": 16, "test": 16}
    splits = {name: ward_samples(name, count, seed) for seed, (name, count) in enumerate(sizes.items())}
    manifest = DatasetManifest(
        schema=1,
        name="made up",
        provenance={},
        inputs=modality_specs(ward_io()),
        targets=(TensorSpec(name="ward", dtype="int64", shape=()),),
        splits={name: SplitSpec(ids=s.ids, recordings=s.recordings) for name, s in splits.items()},  # type: ignore[misc]
    )
    for name, arrays in create_arrays(folder, manifest).items():
        samples = splits[name]
        for spec, tensor in zip(
            (*manifest.inputs, *manifest.targets), (*samples.inputs, *samples.targets), strict=True
        ):
            arrays[spec.name][...] = tensor.numpy()


@pytest.fixture(scope="module")
def bench(project: Project) -> Workbench:
    return open_workbench(project, project.data.path)  # type: ignore[union-attr]


def pretrained_folder(config: FusionModelConfig) -> Path:
    found: Path = config.encoders["report"].pretrained  # type: ignore[union-attr,assignment]
    return found


def test_a_pretrained_teacher_is_trained_recorded_kept_and_saved(
    project: Project, bench: Workbench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = pretrained_folder(project.teacher)
    start = FusionModel(project.teacher, project.io).state_dict()
    model, seconds = bench.train_teacher()
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, start[name])}
    adapted = {name for name in moved if name.startswith("branches.report.encoder.net.encoder")}
    assert {name.rpartition(".self.")[2] for name in adapted} == {"query.weight", "value.weight"}
    assert not any(name.startswith("branches.report.encoder.net.embeddings") for name in moved)

    teacher = bench.measure_teacher(model, seconds)
    origin = teacher.record.notes[PRETRAINED_NOTE]["report"]
    assert origin["folder"] == str(folder)
    assert any(name.startswith("cls.") for name in origin["left_out"])

    bench.keep_teacher(tmp_path / "kept", model, seconds)
    recalled = bench.recall_teacher(tmp_path / "kept")
    assert recalled is not None
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in recalled[0].state_dict().items())

    manifest = CheckpointManifest(project=project, dataset=bench.dataset, record=teacher.record)
    save_checkpoint(tmp_path / "teacher", manifest, model)
    assert "made up. Samples: train 64, validation 16, test 16." in (tmp_path / "teacher" / "README.md").read_text()

    weights = load_file(folder / "model.safetensors")
    save_file({name: t + 0.1 for name, t in weights.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    with caplog.at_level(logging.WARNING):
        assert bench.recall_teacher(tmp_path / "kept") is None
    assert "pretrained weights.report changed" in caplog.text

    folder.rename(folder.with_name("gone"))
    loaded = load_checkpoint(tmp_path / "teacher").model
    assert torch.equal(loaded.get_parameter("heads.0.logits.weight"), model.get_parameter("heads.0.logits.weight"))
