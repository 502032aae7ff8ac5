"""Checkpoints: a folder that `from_pretrained` loads as well, with a card made of the record."""

from __future__ import annotations

import json
import logging
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
import torch

from edge.checkpoint import CheckpointManifest, load_checkpoint, save_checkpoint
from edge.compress.stages.record import StageRecord
from edge.data.dataset_folder import DatasetManifest
from edge.models.fusion_model import FusionModel
from edge.project import Project
from edge.runtime.errors import ModelError
from tests.edge.models.small_transformers import all_io, fusion_config, fusion_model, tensors, write_bert

if TYPE_CHECKING:
    from pathlib import Path

METRICS = {"all": {"score": 75.0}, "only_report": {"score": 50.0}}


def manifest(dataset: Path, **encoders: Any) -> CheckpointManifest:
    record = StageRecord(
        name="teacher",
        config={"epochs": 2},
        params=10,
        macs=20,
        bytes=30,
        seconds=4.0,
        metrics=METRICS,
        gate_metrics={"all": {"score": 80.0}},
    )
    config = fusion_config(**encoders)
    project = Project(
        schema=1,
        name="ward",
        io=all_io(),
        data={"kind": "folder", "path": dataset, "rig": dataset / "rig.yaml"},  # type: ignore[arg-type]
        teacher=config,
        student=config,
        recipe={"stages": [{"stage": "distill"}]},  # type: ignore[arg-type]
    )
    return CheckpointManifest(project=project, dataset=dataset, record=record)


def write_dataset(folder: Path) -> None:
    members = {"ids": ["1", "2"], "recordings": ["a", "b"]}
    content = {"schema": 1, "name": "made up", "provenance": {}, "inputs": [], "targets": []}
    found = DatasetManifest.model_validate({**content, "splits": {"train": members}})
    (folder / "dataset.json").write_text(found.model_dump_json(by_alias=True))


def test_a_checkpoint_is_a_folder_that_from_pretrained_loads(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    model = fusion_model()
    save_checkpoint(tmp_path / "teacher", manifest(tmp_path), model, {"metrics.json": "{}"})
    assert (tmp_path / "teacher" / "metrics.json").read_text() == "{}"
    checkpoint = load_checkpoint(tmp_path / "teacher")
    assert checkpoint.manifest == manifest(tmp_path)
    for loaded in (checkpoint.model, FusionModel.from_pretrained(tmp_path / "teacher")):
        assert torch.equal(loaded(*tensors(2))[0], model(*tensors(2))[0])
        assert loaded.provenance is not None
        assert loaded.provenance.metrics == METRICS
        assert loaded.provenance.samples == {"train": 2}
        assert len(loaded.provenance.project_sha256) == 64
        assert loaded.provenance.versions["torch"] == version("torch")
    text = (tmp_path / "teacher" / "README.md").read_text()
    assert "made up. Samples: train 2." in text
    assert "| only_report | 50.00 |" in text


def test_where_the_dataset_is_gone_the_card_does_not_guess(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        save_checkpoint(tmp_path / "teacher", manifest(tmp_path / "nowhere"), fusion_model())
    assert "how many samples" in caplog.text
    assert "Samples: not recorded." in (tmp_path / "teacher" / "README.md").read_text()


def test_an_older_checkpoint_loads(tmp_path: Path) -> None:
    """Of before there was a config and a card."""
    model = fusion_model()
    save_checkpoint(tmp_path / "teacher", manifest(tmp_path), model)
    (tmp_path / "teacher" / "config.json").unlink()
    (tmp_path / "teacher" / "README.md").unlink()
    loaded = load_checkpoint(tmp_path / "teacher").model
    assert loaded.provenance is None
    assert torch.equal(loaded(*tensors(2))[0], model(*tensors(2))[0])


def test_a_checkpoint_needs_its_pretrained_folder_no_more(tmp_path: Path) -> None:
    write_bert(tmp_path / "bert")
    named = {"pretrained": str(tmp_path / "bert"), "hidden": None, "layers": None, "heads": None}
    model = fusion_model(report=named)
    save_checkpoint(tmp_path / "teacher", manifest(tmp_path, report=named), model)
    (tmp_path / "bert").rename(tmp_path / "gone")
    loaded = load_checkpoint(tmp_path / "teacher").model
    assert torch.equal(loaded(*tensors(2))[0], model(*tensors(2))[0])
    assert loaded.provenance is not None
    assert set(loaded.provenance.pretrained) == {"report"}
    assert "`report` started from" in (tmp_path / "teacher" / "README.md").read_text()


def test_a_project_of_another_architecture_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "teacher", manifest(tmp_path), fusion_model())
    path = tmp_path / "teacher" / "checkpoint.json"
    content = json.loads(path.read_text())
    content["project"]["teacher"]["fusion"]["channels"] = 24
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"another architecture: 'fusion\.mix\.0\.weight'"):
        load_checkpoint(tmp_path / "teacher")


def test_a_folder_without_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no readable checkpoint"):
        load_checkpoint(tmp_path)
