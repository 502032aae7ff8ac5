"""Pretraining: no label is read, encoders change and nothing else, a seed repeats it, and what was kept is recalled."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from pydantic import ValidationError

from edge.runtime.errors import ConfigError, DataError
from edge.training.augmentation.config import ImageAugmentConfig
from edge.training.augmentation.streams import stream_augment
from edge.training.pretraining.config import PretrainConfig
from edge.training.pretraining.kept import encoder_weights, keep_pretrained, recall_pretrained
from edge.training.pretraining.running import PretrainingRecord, pretrain
from tests.edge.training.pretraining.cases import small_config, small_io, small_model, small_samples

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from edge.models.fusion_model import FusionModel


def pretrained(seed: int = 0, **changes: Any) -> tuple[FusionModel, PretrainingRecord]:
    model = small_model(seed)
    return model, pretrain(model, small_io(), small_samples(), small_config(**changes))


def states_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_encoders_change_and_nothing_else_does() -> None:
    before, (model, _) = small_model().state_dict(), pretrained()
    after = model.state_dict()
    encoders = encoder_weights(model)
    assert not model.training
    assert all(name.startswith(("branches.camera.encoder.", "branches.sound.encoder.")) for name in encoders)
    assert not any(torch.equal(before[n], after[n]) for n in encoders if n.endswith("convolution.weight"))
    assert states_equal({n: v for n, v in before.items() if n not in encoders}, after)
    assert list(after) == list(before), "no decoder or head is left in the model"


def test_the_record_says_what_was_seen_and_how_the_losses_fell() -> None:
    _, record = pretrained(fit={"epochs": 6, "batch_size": 16, "modality_dropout": 0, "precision": "float32"})
    assert (record.samples, record.recordings) == (64, 32)
    assert list(record.history.first) == ["camera", "sound", "camera ~ sound"]
    assert all(record.history.last[part] < record.history.first[part] for part in record.history.first)
    notes = record.notes()
    assert notes["loss_parts"] == {"first_epoch": record.history.first, "last_epoch": record.history.last}
    assert record.seconds > 0
    assert PretrainingRecord.model_validate_json(record.model_dump_json()) == record


def test_no_label_is_read() -> None:
    wrong = replace(small_samples(), targets=(torch.full((64,), 77), torch.full((64, 2), float("nan"))))
    model = small_model()
    pretrain(model, small_io(), wrong, small_config())
    assert states_equal(pretrained()[0].state_dict(), model.state_dict())


def test_a_seed_repeats_it() -> None:
    first, again, other = (
        pretrained()[0],
        pretrained()[0],
        pretrained(fit={**small_config().fit.model_dump(), "seed": 1})[0],
    )
    assert states_equal(first.state_dict(), again.state_dict())
    assert not states_equal(encoder_weights(first), encoder_weights(other))


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"alignment": None}, ["camera", "sound"]),
        ({"reconstruction": 0}, ["camera ~ sound"]),
        ({"alignment": {"kind": "info_nce", "weight": 0.5}}, ["camera", "sound", "camera ~ sound"]),
    ],
)
def test_either_loss_can_be_left_out(changes: dict[str, Any], parts: list[str]) -> None:
    assert list(pretrained(**changes)[1].history.first) == parts


def test_reconstruction_weighs() -> None:
    _, whole = pretrained(alignment=None)
    _, half = pretrained(alignment=None, reconstruction=0.5)
    assert half.history.first["camera"] < 0.6 * whole.history.first["camera"]


def test_alignment_of_pairs_makes_a_modality_tell_the_class_without_labels() -> None:
    """What both modalities share is the class; after alignment alone it can be read off the nearest neighbour."""
    fit = {"epochs": 25, "batch_size": 32, "modality_dropout": 0, "precision": "float32", "learning_rate": 0.005}
    model, record = pretrained(fit=fit, reconstruction=0, alignment={"kind": "info_nce"})
    assert record.history.last["camera ~ sound"] < record.history.first["camera ~ sound"]
    seen, fresh = small_samples(60, seed=1), small_samples(60, seed=2)
    with torch.no_grad():
        points, queries = (
            torch.nn.functional.normalize(encoder_map(model, data.inputs[1]).mean((2, 3)), dim=1)
            for data in (seen, fresh)
        )
    nearest = seen.targets[0][(queries @ points.T).argmax(1)]
    assert float((nearest == fresh.targets[0]).float().mean()) > 0.9


def encoder_map(model: FusionModel, x: Tensor) -> Tensor:
    found: Tensor = model.get_submodule("branches.sound.encoder")(x)
    return found


def test_samples_are_varied_where_the_config_says_so() -> None:
    augment = stream_augment({"camera": ImageAugmentConfig(noise=2.0)}, small_io())
    plain = pretrained()[0]
    for asked in (True, False):
        model = small_model()
        pretrain(model, small_io(), small_samples(), small_config(augment=asked), augment)
        assert states_equal(encoder_weights(plain), encoder_weights(model)) is not asked


def test_modalities_that_samples_lack_are_left_out() -> None:
    available = torch.ones(64, 2)
    available[::2, 1] = 0
    data = replace(small_samples(), available=available)
    broken = replace(data, inputs=(data.inputs[0], data.inputs[1].clone()))
    broken.inputs[1][::2] = 50.0
    models = []
    for samples in (data, broken):
        models.append(small_model())
        pretrain(models[-1], small_io(), samples, small_config())
    assert states_equal(models[0].state_dict(), models[1].state_dict())


def test_kept_encoders_come_back_and_the_rest_of_the_model_stays(tmp_path: Path) -> None:
    model, record = pretrained()
    keep_pretrained(tmp_path / "kept", model, {"epochs": 2}, record)
    fresh = small_model(seed=7)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    assert recall_pretrained(tmp_path / "kept", fresh, {"epochs": 2}) == record
    assert states_equal(encoder_weights(model), fresh.state_dict())
    assert states_equal({n: v for n, v in before.items() if "encoder" not in n}, fresh.state_dict())


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda folder: None, "epochs was 2, is 3"),
        (lambda folder: (folder / "encoders.safetensors").write_bytes(b"short"), "was altered or cut short"),
        (lambda folder: (folder / "encoders.safetensors").unlink(), "holds no pretrained encoders"),
        (lambda folder: (folder / "pretraining.json").write_text("{}"), "holds no pretrained encoders"),
    ],
)
def test_what_does_not_fit_is_pretrained_again_and_the_reason_told(
    tmp_path: Path, harm: object, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    model, record = pretrained()
    keep_pretrained(tmp_path / "kept", model, {"epochs": 2}, record)
    assert callable(harm)
    harm(tmp_path / "kept")
    fresh = small_model(seed=7)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    with caplog.at_level(logging.WARNING):
        assert recall_pretrained(tmp_path / "kept", fresh, {"epochs": 3 if "epochs" in reason else 2}) is None
    assert reason in caplog.text
    assert states_equal(before, fresh.state_dict())
    assert recall_pretrained(tmp_path / "none", fresh, {}) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"masks": {"radar": {"kind": "patches"}}},
            r"pretrain.masks names 'radar', the model has \['camera', 'sound'\]",
        ),
        ({"alignment": {"pairs": [{"streams": ["camera", "radar"]}]}}, "alignment names 'radar'"),
        ({"masks": {"sound": {"kind": "fields"}}}, "the mask of 'sound' hides fields"),
    ],
)
def test_a_config_that_does_not_fit_the_model_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pretrained(**changes)


def test_frozen_encoders_and_other_splits_are_refused() -> None:
    model = small_model()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("encoder" not in name)
    with pytest.raises(ConfigError, match="all encoders are frozen"):
        pretrain(model, small_io(), small_samples(), small_config())
    with pytest.raises(DataError, match="train on the 'test' split"):
        pretrain(small_model(), small_io(), small_samples(split="test"), small_config())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reconstruction": 0, "alignment": None}, "nothing would be learned"),
        ({"fit": {"early_stopping": {"patience": 2}}}, "pretrain.fit has no labels"),
        ({"fit": {"class_weights": "balanced"}}, "pretrain.fit has no labels"),
        ({"masks": {"camera": {"kind": "patches", "share": 1.0}}}, "share"),
        ({"masks": {"camera": {"kind": "patches", "patch": [0, 3]}}}, "give cells of at least 1"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_a_config_that_makes_no_sense_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PretrainConfig.model_validate(changes)
