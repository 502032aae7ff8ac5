"""An interrupted training goes on to exactly what an uninterrupted one comes to, or starts anew and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from edge.compress.fitting import EarlyStoppingConfig, EpochReport, FitConfig, ResumePoint, Validation
from edge.compress.learning.training_state import STATE_FILE, forget_state, read_state
from tests.compress.learning.small_models import (
    QUICK,
    ThreeClasses,
    TwoBranches,
    differing,
    fitted,
    fresh_model,
    pictures,
)

if TYPE_CHECKING:
    from pathlib import Path

LONG = QUICK.model_copy(update={"epochs": 5})
WATCHED = LONG.model_copy(update={"early_stopping": EarlyStoppingConfig(patience=2, state="only_b")})
SETTINGS = {"data": "digest:1", "train": {"epochs": 5}}


class InterruptedTrainingError(Exception):
    """What Ctrl-C would raise."""


def noisy(inputs: tuple[torch.Tensor, ...], _: torch.Tensor, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    return tuple(x + torch.randn(x.shape, generator=generator) for x in inputs)


def run(config: FitConfig, folder: Path | None, stop_at: int | None = None, **point: Any) -> tuple[TwoBranches, Any]:
    """Trains, perhaps until a step; gives the model, and the steps and the reports that were told."""
    model, steps = fresh_model(), list[tuple[int, float]]()
    reports: list[EpochReport] = []
    torch.manual_seed(7)  # what dropout draws

    def on_step(done: int, _steps: int, loss: float) -> None:
        steps.append((done, loss))
        if done == stop_at:
            raise InterruptedTrainingError

    fitted(
        config,
        model,
        on_step=on_step,
        augment=noisy,
        validation=Validation(model, pictures("validation", seed=5), ThreeClasses()),
        resume=None if folder is None else ResumePoint(folder, **{"origin": SETTINGS, **point}),
        on_epoch=reports.append,
    )
    return model, (steps, reports)


@pytest.mark.parametrize(
    "config",
    [
        LONG,
        LONG.model_copy(update={"optimizer": "sgd", "schedule": "step", "accumulate": 2}),
        LONG.model_copy(update={"sampling": "uniform", "precision": "bfloat16"}),
        WATCHED,
    ],
    ids=["adamw", "sgd", "bfloat16", "early stopping"],
)
@pytest.mark.parametrize("stop_at", [5, 8, 11])
def test_it_comes_to_the_same_to_the_bit(config: FitConfig, stop_at: int, tmp_path: Path) -> None:
    """Four steps an epoch: interrupted right after an epoch's first step, its last, and in its middle."""
    whole, (steps, reports) = run(config, None)
    assert len(steps) > stop_at, "or nothing would be interrupted"
    with pytest.raises(InterruptedTrainingError):
        run(config, tmp_path, stop_at)
    torch.manual_seed(99)  # the second process draws otherwise until it goes on
    again, (steps_again, reports_again) = run(config, tmp_path)
    assert differing(again, whole) == []
    done = (stop_at - 1) // 4
    assert steps_again == steps[4 * done :], "epochs that were done are not done again"
    assert [told(r) for r in reports_again] == [told(r) for r in reports], "and are told all the same"


def told(report: EpochReport) -> dict[str, Any]:
    return report.model_dump(exclude={"seconds"})


def test_interrupted_twice_is_once_more(tmp_path: Path) -> None:
    whole, _ = run(LONG, None)
    for stop_at in (6, 15):
        with pytest.raises(InterruptedTrainingError):
            run(LONG, tmp_path, stop_at)
    assert differing(run(LONG, tmp_path)[0], whole) == []


def test_a_training_that_is_over_is_not_done_again(tmp_path: Path) -> None:
    for config, folder in ((LONG, tmp_path / "whole"), (WATCHED, tmp_path / "watched")):
        whole, (steps, reports) = run(config, folder)
        again, (no_steps, reports_again) = run(config, folder)
        assert differing(again, whole) == []
        assert steps and no_steps == [] and reports_again == reports


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({"origin": {**SETTINGS, "train": {"epochs": 6}}}, "train.epochs was 5, is 6"),
        ({"origin": {**SETTINGS, "data": "digest:2"}}, "data changed"),
    ],
)
def test_other_settings_or_data_start_anew(
    point: dict[str, Any], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InterruptedTrainingError):
        run(LONG, tmp_path, 9)
    again, (steps, _) = run(LONG, tmp_path, **point)
    assert f"training starts anew: {said}" in caplog.text
    assert len(steps) == 20 and differing(again, run(LONG, None)[0]) == []


def test_fresh_takes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InterruptedTrainingError):
        run(LONG, tmp_path, 9)
    assert len(run(LONG, tmp_path, fresh=True)[1][0]) == 20


def test_another_number_of_processes_starts_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(QUICK, tmp_path)
    point = ResumePoint(tmp_path, SETTINGS)
    assert read_state(point, 1) is not None
    assert read_state(point, 2) is None and "processes was 1, is 2" in caplog.text


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def altered(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def of_another_kind(file: Path) -> None:
    save_file(load_file(file), file, {"training": "{}"})


@pytest.mark.parametrize("harm", [cut, empty, altered, of_another_kind])
def test_a_file_that_was_harmed_is_told_and_not_used(
    harm: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(QUICK, tmp_path)
    harm(tmp_path / STATE_FILE)
    again, (steps, _) = run(QUICK, tmp_path)
    assert f"training starts anew: {tmp_path / STATE_FILE}" in caplog.text
    assert len(steps) == 12 and differing(again, run(QUICK, None)[0]) == []


def test_keeping_a_state_changes_nothing_and_leaves_one_file(tmp_path: Path) -> None:
    assert differing(run(LONG, tmp_path / "state")[0], run(LONG, None)[0]) == []
    assert [p.name for p in (tmp_path / "state").iterdir()] == [STATE_FILE]
    forget_state(tmp_path / "state")
    assert list(tmp_path.iterdir()) == []
    forget_state(tmp_path / "state")


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    run(QUICK, tmp_path)
    forget_state(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
