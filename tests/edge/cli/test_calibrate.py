"""`edge calibrate` on a small untrained project, as a user and a program see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
import typer
import yaml
from typer.testing import CliRunner

from edge.calibration.dataset import CalibrationSet
from edge.checkpoint import CheckpointManifest, save_checkpoint
from edge.cli.calibrate import calibrate
from edge.compress.stages.record import StageRecord
from edge.data.dataset_folder import load_split
from edge.data.prepared import prepare_dataset
from edge.models.fusion_model import FusionModel
from edge.project import load_project, preset_path
from edge.runtime.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

NARROW = {"embedding": 8, "hidden": [8, 16], "depths": [1, 1]}
SMALL = {
    "data": {"train": 24, "validation": 2, "test": 2, "workers": 1},
    "teacher": {"encoders": dict.fromkeys(("camera", "lidar", "audio"), NARROW), "fusion": {"channels": 16}},
}
app = typer.Typer()
app.command()(calibrate)


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrate")
    (folder / "small.yaml").write_text(yaml.safe_dump({"base": str(preset_path("street_demo")), **SMALL}))
    project = load_project(folder / "small.yaml")
    dataset = prepare_dataset(project, folder / "data")
    torch.manual_seed(0)
    empty: dict[str, Any] = {"config": {}, "params": 1, "macs": 1, "bytes": 1, "seconds": 1}
    record = StageRecord(name="teacher", metrics={}, gate_metrics={}, **empty)
    manifest = CheckpointManifest(project=project, dataset=dataset, record=record)
    save_checkpoint(folder / "teacher", manifest, FusionModel(project.teacher, project.io))
    return folder / "teacher"


def test_it_writes_set_ranges_and_report_and_finds_the_ranges_again(teacher: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(teacher, "--out", out, "--samples", "8", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told == json.loads((out / "coverage.json").read_text())
    assert told["samples"] == sum(told["states"].values()) == 8
    assert told["agreement"]["samples"] == 24 and told["agreement"]["median"] <= 0.02
    drawn = CalibrationSet.load(out / "set")
    assert drawn.digest == told["key"]["data"]
    assert set(drawn.ids) <= set(load_split(teacher.parent / "data", "train").ids)
    assert {"camera", "lidar", "audio"} <= set(told["tensors"])
    page, before = (out / "coverage.html").read_text(), (out / "ranges" / "ranges.npz").stat().st_mtime_ns
    assert page.count("<svg") == len(told["tensors"])
    again = run(teacher, "--out", out, "--samples", "8", "--json")
    assert json.loads(again.stdout) == told
    assert (out / "ranges" / "ranges.npz").stat().st_mtime_ns == before
    other = run(teacher, "--out", out, "--samples", "8", "--observer", "mse")
    assert isinstance(other.exception, DataError)
    assert "stale" in str(other.exception) and "another method" in str(other.exception)
    done = run(teacher, "--out", out, "--samples", "8", "--observer", "mse", "--selection", "random", "--fresh")
    assert done.exit_code == 0, done.output
    assert "8 samples (all 2, " in done.output and "coverage.html" in done.output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--observer", "median"), "moving_average"),
        (("--selection", "best"), "ranges, random"),
        (("--samples", "25"), "the train split has 24"),
    ],
)
def test_what_cannot_be_is_one_line(teacher: Path, tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    done = run(teacher, "--out", tmp_path / "out", *arguments)
    assert isinstance(done.exception, ConfigError) and named in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_the_help_says_first_that_this_is_about_scales_and_not_about_the_rig() -> None:
    text = run("--help").output
    first = next(line for line in text.splitlines() if "INT8" in line or "rig" in line)
    assert "INT8 scales" in first and "rig" in first
