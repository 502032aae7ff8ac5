"""`edge train`, interrupted after an epoch and started again: the same checkpoint, and what it prints of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import yaml
from safetensors.torch import load_file
from typer.testing import CliRunner

from edge.checkpoint import load_checkpoint
from edge.cli import app
from edge.cli.progress import Steps
from edge.data.dataset_folder import load_split
from edge.project import load_project
from edge.training.detailed_metrics import METRICS_FILE, DetailedMetrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@pytest.fixture
def project(small_project: Path, tmp_path: Path) -> Path:
    """Three epochs, balanced, and watched."""
    path = tmp_path / "watched.yaml"
    stopping = {"patience": 3, "state": "only_camera"}
    train = {"epochs": 3, "class_weights": "balanced", "sampling": "balanced", "early_stopping": stopping}
    path.write_text(yaml.safe_dump({"base": str(small_project), "train": {**train, "log_dir": "log"}}))
    return path


def train(project: Path, out: Path, *options: str) -> Result:
    data = str(out.parent / "data")
    return CliRunner().invoke(app, ["train", str(project), "--out", str(out), "--data", data, *options])


def stopping_at(step: int) -> Callable[[Steps, str], Callable[[int, int, float], None]]:
    def fitting(_steps: Steps, _description: str) -> Callable[[int, int, float], None]:
        def update(done: int, _total: int, _loss: float) -> None:
            if done == step:
                raise KeyboardInterrupt

        return update

    return fitting


def test_it_goes_on_to_the_same_checkpoint(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(project, tmp_path / "whole")
    assert whole.exit_code == 0, whole.output
    steps = len(load_split(tmp_path / "data", "train")) // load_project(project).train.batch_size
    with monkeypatch.context() as patched:
        patched.setattr(Steps, "fitting", stopping_at(steps + 1))
        assert train(project, tmp_path / "again").exit_code != 0
    state = tmp_path / "again-training"
    assert state.is_dir() and not (tmp_path / "again").exists()
    trained: list[int] = []
    monkeypatch.setattr(Steps, "fitting", lambda *_: lambda done, _total, _loss: trained.append(done))
    again = train(project, tmp_path / "again")
    assert again.exit_code == 0, again.output
    assert trained == list(range(steps + 1, 3 * steps + 1)), "the first epoch is not done again"
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "again"))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert not state.exists()
    notes = [load_checkpoint(tmp_path / name).manifest.record.notes["training"] for name in ("whole", "again")]
    assert notes[0] == notes[1] and notes[0]["epochs"] == 3
    assert (project.parent / "log").is_dir(), "relative to the project file"


def test_classes_are_told_and_kept(project: Path, tmp_path: Path) -> None:
    result = train(project, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "by class, everything present" in result.output and "Expected calibration error" in result.output
    text = (tmp_path / "out" / METRICS_FILE).read_text()
    metrics = DetailedMetrics.model_validate_json(text)
    record = load_checkpoint(tmp_path / "out").manifest.record
    assert set(metrics.states) == set(record.metrics) and metrics.samples > 0
    for state, outputs in metrics.states.items():
        for tensor, metric in (("events", "event_f1"), ("objects", "detection_f1")):
            assert is_mean_f1(record.metrics[state][metric], [c.f1 for c in outputs[tensor].classes]), (state, tensor)


def is_mean_f1(points: float, classes: list[float]) -> bool:
    """A score is a mean over classes that occur or were predicted; those that are neither have an F1 of 0."""
    total = sum(classes)
    return any(points == pytest.approx(total / count) for count in range(1, len(classes) + 1))


def test_a_state_that_does_not_exist_is_refused_before_training(small_project: Path, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    stopping = {"early_stopping": {"state": "no_radar"}}
    path.write_text(yaml.safe_dump({"base": str(small_project), "train": stopping}))
    result = train(path, tmp_path / "out")
    assert result.exit_code != 0
    assert "early_stopping.state 'no_radar' is no modality state" in str(result.exception or result.output)
