"""A trained model is taken again where what it follows from is the same, and trained anew with the reason otherwise."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from edge.compress.provenance import tensors_digest
from edge.compress.samples import SampleSet
from edge.compress.stages.origin import training_origin
from edge.compress.stages.trained import keep_trained, recall_trained

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SETTINGS = {"teacher": {"width": 4}, "train": {"seed": 0, "epochs": 2}}


def net(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width))


def data(value: float = 0.0) -> SampleSet:
    return SampleSet("train", ("a", "b"), ("r", "s"), (torch.full((2, 1, 2, 2), value),), (torch.tensor([0, 1]),))


def origin(value: float = 0.0, **changes: Any) -> dict[str, Any]:
    return training_origin(data(value), {**SETTINGS, **changes})


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, nn.Module]:
    folder, model = tmp_path / "work" / "teacher", net()
    keep_trained(folder, model, origin(), 12.5)
    return folder, model


def test_weights_and_time_come_back(kept: tuple[Path, nn.Module]) -> None:
    folder, model = kept
    again = net().train()
    assert recall_trained(folder, again, origin()) == 12.5
    assert tensors_digest(again.state_dict()) == tensors_digest(model.state_dict())
    assert not again.training
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "trained.json"]


def test_nothing_was_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert recall_trained(tmp_path / "absent", net(), origin()) is None
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (origin(value=1.0), "the train split changed"),
        (origin(train={"seed": 1, "epochs": 2}), "train.seed was 0, is 1"),
        (origin(teacher={"width": 8}), "teacher.width was 4, is 8"),
    ],
)
def test_what_changed_is_trained_again(
    kept: tuple[Path, nn.Module], wanted: dict[str, Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert recall_trained(kept[0], net(), wanted) is None
    assert f"the teacher is trained again: {reason}" in caplog.text


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])


def lose_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def garble_manifest(folder: Path) -> None:
    (folder / "trained.json").write_text("{")


@pytest.mark.parametrize("damage", [cut_weights, lose_weights, garble_manifest])
def test_damage_is_noticed_and_leaves_the_model_as_it_was(
    kept: tuple[Path, nn.Module], damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(kept[0])
    model = net()
    before = tensors_digest(model.state_dict())
    assert recall_trained(kept[0], model, origin()) is None
    assert "the teacher is trained again" in caplog.text
    assert tensors_digest(model.state_dict()) == before


def test_weights_of_another_architecture_are_refused(
    kept: tuple[Path, nn.Module], caplog: pytest.LogCaptureFixture
) -> None:
    assert recall_trained(kept[0], net(8), origin()) is None
    assert "holds no such model" in caplog.text
