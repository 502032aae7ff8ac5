"""The log: what TensorBoard reads of it, and that a training which goes on goes on in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.compress.fitting import FitConfig, ResumePoint, Validation
from edge.runtime.errors import MissingDependencyError
from tests.compress.learning.small_models import QUICK, ThreeClasses, fitted, fresh_model, pictures

if TYPE_CHECKING:
    from pathlib import Path

    from edge.compress.fitting import OnStep


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of every scalar."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def train(config: FitConfig, state: Path, on_step: OnStep | None = None) -> None:
    model = fresh_model()
    validation = Validation(model, pictures("validation", seed=5), ThreeClasses())
    fitted(config, model, on_step=on_step, validation=validation, resume=ResumePoint(state, {"data": 1}))


def test_loss_rate_and_scores_are_logged(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    told: list[float] = []
    config = QUICK.model_copy(update={"log_dir": tmp_path / "log", "schedule": "constant", "warmup": 0.5})
    train(config, tmp_path / "state", lambda _done, _steps, loss: told.append(loss))
    scalars = logged(tmp_path / "log")
    assert set(scalars) == {"loss", "learning_rate", "score/all", "score/only_a", "score/only_b"}
    assert [step for step, _ in scalars["loss"]] == list(range(1, 13))
    assert [loss for _, loss in scalars["loss"]] == pytest.approx(told)
    assert [rate for _, rate in scalars["learning_rate"]] == pytest.approx([0.02 * min(i / 6, 1) for i in range(1, 13)])
    assert [step for step, _ in scalars["score/all"]] == [4, 8, 12]


def test_a_training_that_goes_on_takes_back_what_it_does_again(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    config = QUICK.model_copy(update={"log_dir": tmp_path / "log"})

    def stop(done: int, _steps: int, _loss: float) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "state", stop)
    train(config, tmp_path / "state")
    assert [step for step, _ in logged(tmp_path / "log")["loss"]] == list(range(1, 13))


def test_without_tensorboard_it_is_said_what_brings_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.runtime.capabilities.has_module", lambda name: False)
    with pytest.raises(MissingDependencyError, match=r"needs the Python package tensorboard.*edge-fusion\[train\]"):
        train(QUICK.model_copy(update={"log_dir": tmp_path}), tmp_path / "state")
