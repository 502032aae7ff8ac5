"""Augmentation: what stays, what changes by how much, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from edge.runtime.errors import ConfigError
from edge.runtime.model_io import ModelIO
from edge.training.augmentation.config import AugmentConfig
from edge.training.augmentation.streams import StreamAugment, stream_augment

SOFTMAX = {"decoder": "softmax", "tensor": "class", "classes": ["a", "b"]}
GRID = {"decoder": "grid", "tensor": "cells", "distance_tensor": "far", "camera": "camera", "classes": ["car"]}
INPUTS: dict[str, dict[str, Any]] = {
    "camera": {"feature": "image", "shape": [1, 3, 12, 16]},
    "lidar": {"feature": "lidar_view", "camera": "camera", "shape": [1, 4, 12, 16]},
    "sound": {"feature": "logmel", "shape": [1, 1, 20, 15], "mean": 0.0, "std": 3.0},
    "labs": {"feature": "tensor", "shape": [1, 5], "fields": list("abcde"), "mean": [0.0] * 5, "std": [1.0] * 5},
    "shaft": {"feature": "series", "shape": [1, 2, 18], "fields": ["x", "y"], "mean": [0.0] * 2, "std": [1.0] * 2},
    "report": {"feature": "tokens", "shape": [1, 9], "tokenizer": "tokenizer.json", "vocabulary": 30},
}
STRONG: dict[str, dict[str, Any]] = {
    "camera": {
        "kind": "image",
        "shift": 0.2,
        "flip": 0.5,
        "brightness": 1.0,
        "contrast": 0.5,
        "noise": 0.5,
        "cutout": 0.5,
        "noisy": 0.3,
    },
    "lidar": {"kind": "lidar_view", "dropout": 0.5, "depth_noise": 0.1, "reflectance": 0.3},
    "sound": {
        "kind": "logmel",
        "gain_db": 6,
        "colour_db": 4,
        "warp": 0.15,
        "time_shift": 0.2,
        "floor_db": -10,
        "time_mask": 0.3,
        "frequency_mask": 0.3,
        "masks": 2,
        "noisy": 0.3,
    },
    "labs": {"kind": "tensor", "jitter": 0.3, "scale": 0.2, "drop": 0.3},
    "shaft": {"kind": "series", "jitter": 0.3, "scale": 0.2, "drop": 0.3, "time_mask": 0.5},
    "report": {"kind": "tokens", "drop": 0.3, "replace": 0.3, "kept_ids": [2, 3], "noisy": 0.3},
}
BATCH = 24


def model_io(*streams: str, output: dict[str, Any] = SOFTMAX) -> ModelIO:
    inputs = [{**INPUTS[s], "stream": s, "tensor": s} for s in streams]
    return ModelIO.model_validate({"schema": 1, "inputs": inputs, "outputs": [output]})


def configs(chosen: dict[str, dict[str, Any]]) -> dict[str, AugmentConfig]:
    return {s: TypeAdapter[AugmentConfig](AugmentConfig).validate_python(c) for s, c in chosen.items()}


def augment_of(chosen: dict[str, dict[str, Any]], *streams: str) -> StreamAugment:
    found = stream_augment(configs(chosen), model_io(*(streams or tuple(INPUTS))))
    assert isinstance(found, StreamAugment)
    return found


def batch(seed: int = 0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    camera = torch.randn(BATCH, 3, 12, 16, generator=generator)
    seen = (torch.rand(BATCH, 1, 12, 16, generator=generator) < 0.5).float()
    lidar = torch.cat([(torch.rand(BATCH, 3, 12, 16, generator=generator) * 2 - 1) * seen, seen], 1)
    sound = torch.randn(BATCH, 1, 20, 15, generator=generator)
    labs, shaft = torch.randn(BATCH, 5, generator=generator), torch.randn(BATCH, 2, 18, generator=generator)
    report = torch.randint(1, 30, (BATCH, 9), generator=generator)
    lengths = torch.randint(1, 10, (BATCH, 1), generator=generator)
    return camera, lidar, sound, labs, shaft, report * (torch.arange(9)[None] < lengths)


def all_there(tensors: tuple[Tensor, ...]) -> Tensor:
    return torch.ones(len(tensors[0]), len(tensors))


def vary(augment: StreamAugment, tensors: tuple[Tensor, ...], seed: int) -> tuple[Tensor, ...]:
    return augment(tensors, all_there(tensors), seeded(seed))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_shapes_dtypes_and_the_given_tensors_stay(seed: int) -> None:
    given_batch, before = batch(seed), [x.clone() for x in batch(seed)]
    varied = vary(augment_of(STRONG), given_batch, seed)
    assert [(x.shape, x.dtype) for x in varied] == [(x.shape, x.dtype) for x in given_batch]
    assert all(torch.equal(x, y) for x, y in zip(given_batch, before, strict=True)), "nothing is done in place"
    assert all(torch.isfinite(x).all() for x in varied)
    assert all(not torch.equal(x, y) for x, y in zip(varied, given_batch, strict=True)), "every stream is varied"


def test_a_seed_repeats_it_and_another_does_not() -> None:
    augment = augment_of(STRONG)
    first, again, other = (vary(augment, batch(), seed) for seed in (5, 5, 6))
    assert all(torch.equal(x, y) for x, y in zip(first, again, strict=True))
    assert all(not torch.equal(x, y) for x, y in zip(first, other, strict=True))


@pytest.mark.parametrize("stream", list(STRONG))
def test_probability_zero_and_amounts_of_zero_are_the_identity(stream: str) -> None:
    for config in ({**STRONG[stream], "probability": 0.0, "noisy": 0.0}, {"kind": STRONG[stream]["kind"]}):
        varied = vary(augment_of({stream: config}), batch(), 1)
        assert all(torch.equal(x, y) for x, y in zip(varied, batch(), strict=True))


@pytest.mark.parametrize("stream", list(STRONG))
def test_a_share_of_the_samples_is_varied_and_the_others_stay(stream: str) -> None:
    large = tuple(x.repeat(20, *[1] * (x.dim() - 1)) for x in batch())
    varied = vary(augment_of({stream: {**STRONG[stream], "probability": 0.25, "noisy": 0.0}}), large, 2)
    place = list(STRONG).index(stream)
    changed = (varied[place] != large[place]).flatten(1).any(1).float().mean()
    assert 0.1 < float(changed) <= 0.33, "a varied sample may come out as it was, a kept one may not change"


def test_streams_without_a_config_pass() -> None:
    varied = vary(augment_of({"labs": STRONG["labs"]}), batch(), 0)
    assert all(torch.equal(varied[i], batch()[i]) for i in (0, 1, 2, 4, 5))
    assert stream_augment({}, model_io("camera")) is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_padding_and_kept_ids_of_a_text_stay(seed: int) -> None:
    ids = batch(seed)[5]
    varied = vary(augment_of({"report": {**STRONG["report"], "noisy": 0.0}}), batch(seed), seed)[5]
    for before, after in zip(ids, varied, strict=True):
        length, left = int((before != 0).sum()), int((after != 0).sum())
        assert 1 <= left <= length, "a text never becomes a missing one"
        assert bool((after[:left] != 0).all()) and not bool(after[left:].any()), "padding stands at the end"
        for kept in (2, 3):
            assert int((after == kept).sum()) >= int((before == kept).sum())
    assert int(varied.max()) < 30


def test_dropped_tokens_close_up_in_order() -> None:
    ids = torch.arange(1, 10).repeat(BATCH, 1)
    varied = vary(augment_of({"report": {"kind": "tokens", "drop": 0.4}}), (*batch()[:5], ids), 3)[5]
    for row in varied:
        kept = row[row != 0]
        assert bool((kept[1:] > kept[:-1]).all())
    assert 0.25 < float((varied == 0).float().mean()) < 0.45


def test_lidar_views_keep_their_range_and_empty_cells_stay_empty() -> None:
    before = batch()[1]
    after = vary(augment_of({"lidar": STRONG["lidar"]}), batch(), 4)[1]
    assert float(after.abs().max()) <= 1.0
    empty = before[:, 3] == 0
    assert not bool(after.permute(0, 2, 3, 1)[empty].any())
    lost = (before[:, 3] == 1) & (after[:, 3] == 0)
    assert not bool(after.permute(0, 2, 3, 1)[lost].any()), "a lost return is lost in every channel"
    assert 0.1 < float(lost.sum() / (before[:, 3] == 1).sum()) < 0.4


@settings(max_examples=20, deadline=None)
@given(st.floats(0.1, 12), st.integers(0, 100))
def test_gain_is_bounded_in_decibels_and_alike_in_all_cells(gain_db: float, seed: int) -> None:
    before, after = batch()[2], vary(augment_of({"sound": {"kind": "logmel", "gain_db": gain_db}}), batch(), seed)[2]
    change = (after - before) * 3.0 * 10 / torch.log(torch.tensor(10.0))  # std of the input is 3 nepers of power
    assert float(change.abs().max()) <= gain_db + 1e-3
    assert float(change.flatten(1).std(1).max()) < 1e-3


def test_a_noise_floor_fills_silence_and_leaves_what_is_loud() -> None:
    sound = torch.full((BATCH, 1, 20, 15), -6.0)
    sound[:, :, 5] = 3.0
    varied = vary(augment_of({"sound": {"kind": "logmel", "floor_db": -20}}), (*batch()[:2], sound, *batch()[3:]), 0)
    rise = varied[2] - sound
    assert float(rise.min()) >= -1e-5
    assert float(rise[:, :, 5].max()) < 0.01
    assert float(rise[:, :, 0].mean()) > 1.0


def test_a_warp_moves_a_tone_to_the_neighbouring_bands_only() -> None:
    sound = torch.zeros(BATCH, 1, 20, 15)
    sound[:, :, 10] = 1.0
    varied = vary(augment_of({"sound": {"kind": "logmel", "warp": 0.2}}), (*batch()[:2], sound, *batch()[3:]), 0)[2]
    centre = (varied.mean(3)[:, 0] * torch.arange(20)).sum(1) / varied.mean(3)[:, 0].sum(1)
    assert float(centre.min()) > 7 and float(centre.max()) < 13
    assert float(centre.std()) > 0.4
    flat = torch.ones_like(sound)
    same = vary(augment_of({"sound": {"kind": "logmel", "warp": 0.2}}), (*batch()[:2], flat, *batch()[3:]), 0)[2]
    assert torch.allclose(same, flat), "what is the same everywhere stays"


def test_masks_blank_stretches_no_longer_than_asked() -> None:
    varied = vary(augment_of({"sound": {"kind": "logmel", "time_mask": 0.4}}), batch(), 1)[2]
    blank = (varied == batch()[2].mean((1, 2, 3), keepdim=True)).all(2).squeeze(1).sum(1)
    assert int(blank.max()) <= 6 and int(blank.max()) > 3


def test_pictures_move_by_whole_pixels_and_are_cut_within_bounds() -> None:
    ramp = torch.arange(16.0).expand(BATCH, 3, 12, 16)
    moved = vary(augment_of({"camera": {"kind": "image", "shift": 0.25}}), (ramp, *batch()[1:]), 0)[0]
    middle = moved[:, 0, 6, 8] - 8
    assert set(middle.tolist()) <= set(range(-4, 5)) and len(set(middle.tolist())) > 3
    cut = vary(
        augment_of({"camera": {"kind": "image", "cutout": 0.5}}), (torch.ones(BATCH, 3, 12, 16), *batch()[1:]), 0
    )
    assert int((cut[0] == 0).flatten(1).sum(1).max()) <= 3 * 6 * 8


def test_noisy_replaces_the_asked_share_and_never_everything() -> None:
    chosen = {s: {"kind": STRONG[s]["kind"], "noisy": 0.9} for s in ("camera", "labs")}
    augment = augment_of(chosen, "camera", "labs")
    given_batch = (torch.ones(4000, 3, 2, 2), torch.ones(4000, 5))
    camera, labs = vary(augment, given_batch, 0)
    noisy = torch.stack([(camera != 1).flatten(1).any(1), (labs != 1).any(1)], 1)
    assert not bool(noisy.all(1).any())
    # Both are drawn with 0.81, and then one of the two is spared.
    assert float(noisy[:, 0].float().mean()) == pytest.approx(0.9 - 0.81 / 2, abs=0.03)
    rare = vary(augment_of({"camera": {"kind": "image", "noisy": 0.2}}, "camera", "labs"), given_batch, 1)[0]
    assert float((rare != 1).flatten(1).any(1).float().mean()) == pytest.approx(0.2, abs=0.03)


def test_what_is_seen_alone_is_not_spoiled() -> None:
    chosen = {s: {"kind": STRONG[s]["kind"], "noisy": 0.5, "mismatched": 0.5} for s in ("camera", "labs")}
    given_batch = (torch.randn(400, 3, 2, 2), torch.randn(400, 5))
    alone = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(200, 1)
    varied = augment_of(chosen, "camera", "labs")(given_batch, alone, seeded(0))
    assert all(torch.equal(x, y) for x, y in zip(varied, given_batch, strict=True))


def test_mismatched_takes_it_from_another_sample_that_has_it() -> None:
    rows = torch.arange(2000.0)
    given_batch = (rows.reshape(-1, 1, 1, 1).expand(-1, 3, 2, 2), rows[:, None].expand(-1, 5))
    present = torch.ones(2000, 2)
    present[::4, 0] = 0  # a quarter has no picture
    chosen = {"camera": {"kind": "image", "mismatched": 0.3}}
    camera, labs = augment_of(chosen, "camera", "labs")(given_batch, present, seeded(3))
    came_from = camera[:, 0, 0, 0]
    exchanged = came_from != rows
    assert torch.equal(labs, given_batch[1])
    assert float(exchanged[present[:, 0] > 0].float().mean()) == pytest.approx(0.3, abs=0.04)
    assert not bool(exchanged[::4].any()), "what is absent is not exchanged"
    assert not bool((came_from[exchanged] % 4 == 0).any()), "nor does anyone get it"
    assert torch.equal(camera, came_from.reshape(-1, 1, 1, 1).expand(-1, 3, 2, 2)), "it is exchanged whole"


def test_a_batch_of_one_has_nobody_to_exchange_with() -> None:
    one = (torch.ones(1, 3, 2, 2), torch.ones(1, 5))
    varied = vary(augment_of({"camera": {"kind": "image", "mismatched": 1.0}}, "camera", "labs"), one, 0)
    assert all(torch.equal(x, y) for x, y in zip(varied, one, strict=True))


def test_noise_in_a_text_is_made_of_tokens() -> None:
    varied = vary(augment_of({"report": {"kind": "tokens", "noisy": 1.0}}), batch(), 0)[5]
    assert torch.equal(varied != 0, batch()[5] != 0)
    assert int(varied.max()) < 30


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"radar": {"kind": "image"}}, "augment names 'radar'"),
        ({"camera": {"kind": "logmel"}}, "augment.camera is of kind logmel, its tensor is a image; write kind: image"),
    ],
)
def test_a_config_that_fits_no_tensor_is_refused(chosen: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        stream_augment(configs(chosen), model_io("camera", "sound"))


@pytest.mark.parametrize("key", ["shift", "flip"])
def test_pictures_do_not_move_over_a_grid_of_labels(key: str) -> None:
    moving = configs({"camera": {"kind": "image", key: 0.2}})
    with pytest.raises(ConfigError, match="the labels of the grid would stay where they are"):
        stream_augment(moving, model_io("camera", "sound", output=GRID))
    assert stream_augment(moving, model_io("camera", "sound")) is not None


@pytest.mark.parametrize("share", ["noisy", "mismatched"])
def test_the_only_modality_is_not_spoiled(share: str) -> None:
    with pytest.raises(ConfigError, match=rf"augment\.camera\.{share} .*there is one modality"):
        stream_augment(configs({"camera": {"kind": "image", share: 0.1}}), model_io("camera"))


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"kind": "image", "shift": 0.6}, "shift"),
        ({"kind": "logmel", "warp": 0.5}, "warp"),
        ({"kind": "tokens", "drop": 1.0}, "drop"),
        ({"kind": "series", "noisy": 1.2}, "noisy"),
        ({"kind": "tensor", "flip": 0.5}, "flip"),
    ],
)
def test_keys_out_of_range_or_of_another_kind_are_named(config: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        configs({"camera": config})
