"""Alignment losses: by hand, masked where a modality is missing, and such that training brings pairs together."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from edge.runtime.errors import ConfigError
from edge.training.alignment import AlignedPair, AlignmentConfig, AlignmentLoss, info_nce_loss, sigmoid_loss

CHANNELS = {"camera": 6, "sound": 4, "labs": 3}


def unit(rows: list[list[float]]) -> Tensor:
    return functional.normalize(torch.tensor(rows).float(), dim=1)


def maps(count: int, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {s: torch.randn(count, c, 2, 3, generator=generator) for s, c in CHANNELS.items()}


def everything(count: int) -> dict[str, Tensor]:
    return {stream: torch.ones(count) for stream in CHANNELS}


def test_the_sigmoid_loss_is_that_of_each_pair_by_hand() -> None:
    first, second = unit([[1, 0], [0, 1]]), unit([[1, 0], [1, 1]])
    similar = [[1.0, math.sqrt(0.5)], [0.0, math.sqrt(0.5)]]
    scale, bias = 3.0, -1.5
    expected = 0.0
    for i in range(2):
        for j in range(2):
            sign = 1 if i == j else -1
            expected += math.log(1 + math.exp(-sign * (scale * similar[i][j] + bias)))
    found = sigmoid_loss(first, second, torch.tensor(scale), torch.tensor(bias))
    assert float(found) == pytest.approx(expected / 2, abs=1e-6)


def test_the_contrastive_loss_is_that_of_both_directions_by_hand() -> None:
    first, second = unit([[1, 0], [0, 1]]), unit([[1, 0], [1, 1]])
    half, scale = math.sqrt(0.5), 2.0
    rows = (
        -math.log(math.exp(2) / (math.exp(2) + math.exp(2 * half))),
        -math.log(math.exp(2 * half) / (1 + math.exp(2 * half))),
    )
    columns = -math.log(math.exp(2) / (math.exp(2) + 1)), -math.log(0.5)
    found = info_nce_loss(first, second, torch.tensor(scale))
    assert float(found) == pytest.approx((sum(rows) / 2 + sum(columns) / 2) / 2, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 8), st.integers(0, 100))
def test_pairs_that_agree_cost_less_than_pairs_that_are_swapped(count: int, seed: int) -> None:
    points = functional.normalize(torch.randn(count, 16, generator=torch.Generator().manual_seed(seed)), dim=1)
    swapped, scale, bias = points.roll(1, 0), torch.tensor(10.0), torch.tensor(-5.0)
    assert sigmoid_loss(points, points, scale, bias) < sigmoid_loss(points, swapped, scale, bias)
    assert info_nce_loss(points, points, scale) < info_nce_loss(points, swapped, scale)


@pytest.mark.parametrize("kind", ["sigmoid", "info_nce"])
def test_every_two_modalities_are_aligned_unless_pairs_are_named(kind: str) -> None:
    torch.manual_seed(0)
    every = AlignmentLoss(AlignmentConfig.model_validate({"kind": kind}), CHANNELS)
    assert list(every(maps(4), everything(4))) == ["camera ~ sound", "camera ~ labs", "sound ~ labs"]
    pair = AlignedPair(streams=("labs", "camera"), weight=2.0)
    named = AlignmentLoss(AlignmentConfig.model_validate({"kind": kind, "pairs": [pair], "weight": 0.5}), CHANNELS)
    assert list(named(maps(4), everything(4))) == ["labs ~ camera"]
    assert set(named.heads) == {"camera", "labs"}, "what is aligned with nothing has no head"


def test_weights_multiply() -> None:
    def loss(weight: float, of_pair: float) -> float:
        torch.manual_seed(0)
        pair = AlignedPair(streams=("camera", "sound"), weight=of_pair)
        module = AlignmentLoss(AlignmentConfig(pairs=(pair,), weight=weight), CHANNELS)
        return float(module(maps(5), everything(5))["camera ~ sound"].detach())

    assert loss(0.5, 3.0) == pytest.approx(1.5 * loss(1.0, 1.0), rel=1e-6)


@pytest.mark.parametrize("kind", ["sigmoid", "info_nce"])
def test_a_sample_that_lacks_a_modality_counts_for_nothing(kind: str) -> None:
    torch.manual_seed(0)
    loss = AlignmentLoss(AlignmentConfig.model_validate({"kind": kind}), CHANNELS)
    whole, there = maps(6), everything(6)
    there["sound"] = torch.tensor([1.0, 1, 0, 1, 0, 1])
    found = loss(whole, there)
    kept = torch.tensor([0, 1, 3, 5])
    alone = loss({stream: x[kept] for stream, x in whole.items()}, everything(4))
    assert torch.allclose(found["camera ~ sound"], alone["camera ~ sound"])
    assert not torch.allclose(found["camera ~ labs"], alone["camera ~ labs"])
    whole["sound"][2] = 1e3
    assert torch.equal(loss(whole, there)["camera ~ sound"], found["camera ~ sound"])


@pytest.mark.parametrize("kind", ["sigmoid", "info_nce"])
@pytest.mark.parametrize("both", [0, 1])
def test_too_few_samples_with_both_give_zero_and_a_gradient_of_zero(kind: str, both: int) -> None:
    loss = AlignmentLoss(AlignmentConfig.model_validate({"kind": kind}), {"camera": 6, "sound": 4})
    there = {"camera": torch.ones(3), "sound": torch.tensor([1.0, 0, 0]) * both}
    found = loss(maps(3), there)["camera ~ sound"]
    found.backward()
    assert float(found.detach()) == 0.0
    assert all(p.grad is None or not p.grad.any() for p in loss.parameters())


@pytest.mark.parametrize("kind", ["sigmoid", "info_nce"])
def test_training_finds_the_partner_by_what_the_two_share(kind: str) -> None:
    """Two modalities that share a hidden direction: after training a sample's partner is the nearest of 64."""
    torch.manual_seed(0)
    loss = AlignmentLoss(AlignmentConfig.model_validate({"kind": kind, "hidden": 32, "width": 8}), {"a": 6, "b": 5})
    mixing = {"a": torch.randn(4, 6), "b": torch.randn(4, 5)}
    optimizer = torch.optim.Adam(loss.parameters(), lr=5e-3)

    def drawn(count: int) -> dict[str, Tensor]:
        shared = torch.randn(count, 4)
        return {
            s: (shared @ m)[:, :, None, None] + 0.05 * torch.randn(count, m.shape[1], 1, 1) for s, m in mixing.items()
        }

    for _ in range(200):
        optimizer.zero_grad()
        torch.stack(list(loss(drawn(64), {"a": torch.ones(64), "b": torch.ones(64)}).values())).sum().backward()
        optimizer.step()
    fresh = drawn(64)
    nearest = (loss.project("a", fresh["a"]) @ loss.project("b", fresh["b"]).T).argmax(1)
    assert float((nearest == torch.arange(64)).float().mean()) > 0.8


@pytest.mark.parametrize("kind", ["sigmoid", "info_nce"])
def test_similarities_are_compared_in_float32_whatever_the_encoders_compute_in(kind: str) -> None:
    torch.manual_seed(0)
    loss = AlignmentLoss(AlignmentConfig.model_validate({"kind": kind}), CHANNELS)
    points = functional.normalize(torch.randn(2, 16, 64), dim=2)
    plain = loss._loss(0, points[0], points[1])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss._loss(0, points[0], points[1]), plain)
        assert all(value.dtype == torch.float32 for value in loss(maps(4), everything(4)).values())


def test_points_lie_on_the_unit_sphere_and_gradients_reach_maps_and_temperature() -> None:
    torch.manual_seed(0)
    loss = AlignmentLoss(AlignmentConfig(), CHANNELS)
    given_maps = {stream: x.requires_grad_() for stream, x in maps(4).items()}
    assert torch.allclose(loss.project("labs", given_maps["labs"]).norm(dim=1), torch.ones(4))
    torch.stack(list(loss(given_maps, everything(4)).values())).sum().backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in given_maps.values())
    assert loss.log_scales.grad is not None and loss.log_scales.grad.abs().min() > 0


def test_what_cannot_be_aligned_is_refused_by_name() -> None:
    pair = AlignedPair(streams=("camera", "radar"))
    with pytest.raises(ConfigError, match=r"alignment names 'radar', the model has \['camera', 'sound', 'labs'\]"):
        AlignmentLoss(AlignmentConfig(pairs=(pair,)), CHANNELS)
    with pytest.raises(ConfigError, match="leave alignment out for a single modality"):
        AlignmentLoss(AlignmentConfig(), {"camera": 6})
    with pytest.raises(ValidationError, match="'camera' is aligned with itself"):
        AlignedPair(streams=("camera", "camera"))
