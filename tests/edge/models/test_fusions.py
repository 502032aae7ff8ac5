"""Fusions: what is absent has no influence, states in a batch are independent, and each computes what it says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from edge.models.fusion.choice import FusionConfig, WeighingFusion, build_fusion
from edge.models.fusion.cross_attention import CrossAttention
from edge.models.fusion.gated_residual import GatedResidual
from edge.models.fusion.modality_attention import ModalityAttention
from edge.models.fusion.reading_layer import ReadingLayer
from edge.models.fusion.weighted_sum import WeightedSum
from edge.runtime.errors import ConfigError
from tests.edge.models.fusion_cases import CHANNELS, KINDS, draw_states, enliven, fusion_of, kinds_of_choice, maps_of

if TYPE_CHECKING:
    from edge.models.fusion.branch_maps import BranchMaps

WEIGHING = [kind for kind in KINDS if kind != "channel_mixing"]
GRID = (2, 3)


def fusion(kind: str, maps: BranchMaps, **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    config: FusionConfig = TypeAdapter(FusionConfig).validate_python(fusion_of(kind, **changes))
    built = build_fusion(config, maps)
    enliven(built)
    return built.eval()


def features(maps: BranchMaps, batch: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, width, *size, generator=generator)
        for width, size in zip(maps.widths, maps.sizes, strict=True)
    ]


def test_every_kind_is_tried_here() -> None:
    assert kinds_of_choice() == set(KINDS)


@pytest.mark.parametrize("grid", [None, GRID], ids=["vector", "grid"])
@pytest.mark.parametrize("kind", WEIGHING)
@settings(deadline=None, max_examples=8)
@given(count=st.integers(1, 4), seed=st.integers(0, 999))
def test_what_an_absent_modality_holds_does_not_matter(
    kind: str, grid: tuple[int, int] | None, count: int, seed: int
) -> None:
    maps = maps_of(count, grid)
    fuse, present = fusion(kind, maps), draw_states(3, count, seed)
    first, other = features(maps, 3, seed), features(maps, 3, seed + 1)
    gates = [present[:, i].reshape(-1, 1, 1, 1) for i in range(count)]
    changed = [a * g + 1e3 * b * (1 - g) for a, b, g in zip(first, other, gates, strict=True)]
    with torch.no_grad():
        before, after = fuse(first, present), fuse(changed, present)
        assert isinstance(fuse, WeighingFusion)
        shares = fuse.shares(changed, present)
    assert torch.equal(before, after)
    assert before.shape == (3, CHANNELS, *(grid or (1, 1)))
    assert torch.allclose(shares.sum(1), torch.ones(3), atol=1e-5)
    assert bool((shares >= 0).all()) and torch.equal(shares * (1 - present), torch.zeros(3, count))


@pytest.mark.parametrize("grid", [None, GRID], ids=["vector", "grid"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_present_modality_matters(kind: str, grid: tuple[int, int] | None) -> None:
    maps = maps_of(3, grid)
    fuse, inputs, other = fusion(kind, maps), features(maps, 1), features(maps, 1, seed=1)
    with torch.no_grad():
        whole = fuse(inputs, torch.ones(1, 3))
        for index in range(3):
            changed = [*inputs[:index], other[index], *inputs[index + 1 :]]
            assert not torch.allclose(fuse(changed, torch.ones(1, 3)), whole, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_a_batch_do_not_meet(kind: str) -> None:
    maps = maps_of(3, GRID)
    fuse, inputs, present = fusion(kind, maps), features(maps, 4), draw_states(4, 3, seed=2)
    with torch.no_grad():
        together = fuse(inputs, present)
        for row in range(4):
            alone = fuse([x[row : row + 1] for x in inputs], present[row : row + 1])
            assert torch.allclose(together[row], alone[0], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_with_nothing_present_the_result_is_finite(kind: str) -> None:
    maps = maps_of(2)
    fuse = fusion(kind, maps)
    with torch.no_grad():
        assert fuse(features(maps, 2), torch.zeros(2, 2)).isfinite().all()
        if isinstance(fuse, WeighingFusion):
            assert torch.equal(fuse.shares(features(maps, 2), torch.zeros(2, 2)), torch.zeros(2, 2))


def test_channel_mixing_weighs_nothing() -> None:
    assert not isinstance(fusion("channel_mixing", maps_of(2)), WeighingFusion)


def test_a_weighted_sum_is_its_formula() -> None:
    """`z = a x_t + (1 - a) x_i + b x_a`, and over what is left where one of the first two is missing."""
    maps = maps_of(3)
    fuse = fusion("weighted_sum", maps, additive=("m2",))
    assert isinstance(fuse, WeightedSum)
    with torch.no_grad():
        fuse.logits.copy_(torch.tensor([0.4, -0.6, 9.0]))
        fuse.free.copy_(torch.tensor([9.0, 9.0, -0.7]))
        a, b = 1 / (1 + math.exp(-1.0)), -0.7
        states = {(1, 1, 1): (a, 1 - a, b), (1, 0, 1): (1, 0, b), (0, 1, 0): (0, 1, 0), (0, 0, 1): (0, 0, b)}
        for present, weights in states.items():
            found = fuse.weights(torch.tensor([present], dtype=torch.float32))
            assert torch.allclose(found, torch.tensor([weights], dtype=torch.float32), atol=1e-6)
        inputs = features(maps, 2)
        parts = [project(x) for project, x in zip(fuse.projections, inputs, strict=True)]
        z = a * parts[0] + (1 - a) * parts[1] + b * parts[2]
        assert torch.allclose(fuse(inputs, torch.ones(2, 3)), fuse.spread(z), atol=1e-5)


@pytest.mark.parametrize("query", ["learned", "mean"])
def test_modality_attention_is_scaled_dot_product_attention(query: str) -> None:
    maps = maps_of(3, GRID)
    fuse = fusion("modality_attention", maps, query=query)
    assert isinstance(fuse, ModalityAttention)
    inputs, present = features(maps, 2), torch.tensor([[1.0, 1, 1], [1, 0, 1]])
    with torch.no_grad():
        values = torch.stack([project(x) for project, x in zip(fuse.projections, inputs, strict=True)], 1)
        means = values.mean((3, 4))
        keys = torch.stack([key(means[:, i]) for i, key in enumerate(fuse.keys)], 1).view(2, 3, 2, 8)
        there = present[..., None] / present.sum(1)[:, None, None]
        asked = fuse.query.expand(2, -1) if fuse.ask is None else fuse.ask((means * there).sum(1))
        seen = values.view(2, 3, 2, 8 * 6).transpose(1, 2)
        mask = present.bool()[:, None, None, :]
        total = nn.functional.scaled_dot_product_attention(
            asked.view(2, 1, 2, 8).transpose(1, 2), keys.transpose(1, 2), seen, mask
        )
        assert torch.allclose(fuse(inputs, present), fuse.spread(total.reshape(2, CHANNELS, *GRID)), atol=1e-5)


def test_closed_gates_leave_the_mean_of_what_is_present() -> None:
    maps = maps_of(3, GRID)
    fuse = fusion("gated_residual", maps)
    assert isinstance(fuse, GatedResidual)
    inputs, present = features(maps, 1), torch.tensor([[1.0, 0, 1]])
    with torch.no_grad():
        opened = fuse(inputs, present)
        for gate in fuse.gates:
            assert isinstance(gate, nn.Conv2d) and gate.bias is not None
            gate.bias.fill_(-100.0)
        mean = (fuse.projections[0](inputs[0]) + fuse.projections[2](inputs[2])) / 2
        assert torch.allclose(fuse(inputs, present), fuse.spread(mean), atol=1e-5)
        assert not torch.allclose(opened, fuse(inputs, present), atol=1e-3)


def test_a_reading_layer_is_torchs_attention_behind_norms() -> None:
    torch.manual_seed(0)
    layer, reference = ReadingLayer(16, 4, 32).eval(), nn.MultiheadAttention(16, 4, batch_first=True).eval()
    with torch.no_grad():
        assert reference.in_proj_weight is not None and reference.in_proj_bias is not None
        reference.in_proj_weight.copy_(torch.cat([m.weight for m in (layer.q_proj, layer.k_proj, layer.v_proj)]))
        reference.in_proj_bias.copy_(torch.cat([m.bias for m in (layer.q_proj, layer.k_proj, layer.v_proj)]))
        reference.out_proj.load_state_dict(layer.out_proj.state_dict())
        latents, tokens = torch.randn(2, 1, 3, 16), torch.randn(2, 1, 5, 16)
        hidden = torch.tensor([[False, False, True, True, False], [False] * 5])
        found, weights = layer(latents, tokens, -1e4 * hidden.float()[:, None, None, None, :])
        mixed, expected = reference(
            layer.norm(latents)[:, 0], tokens[:, 0], tokens[:, 0], hidden, average_attn_weights=False
        )
        after = latents + mixed.unsqueeze(1)
        assert torch.allclose(found, after + layer.mlp(layer.mlp_norm(after)), atol=1e-5)
        assert torch.allclose(weights[:, 0], expected, atol=1e-6)


def test_latents_see_every_place_of_every_map() -> None:
    """Without a grid the fusion gets maps that were not pooled, of sizes of their own."""
    maps = maps_of(2, size=(2, 4))
    fuse = fusion("cross_attention", maps, layers=1)
    assert isinstance(fuse, CrossAttention)
    assert fuse.place.shape == (1, 1, 16, CHANNELS)
    inputs = features(maps, 1)
    moved = [inputs[0].flip(3), inputs[1]]
    with torch.no_grad():
        found, other = fuse(inputs, torch.ones(1, 2)), fuse(moved, torch.ones(1, 2))
        assert found.shape == (1, CHANNELS, 1, 1)
        assert not torch.allclose(found, other, atol=1e-5)  # where something lies counts, though the mean is the same


def test_cells_of_a_grid_are_read_one_by_one() -> None:
    maps = maps_of(2, GRID)
    fuse = fusion("cross_attention", maps)
    fuse.spread = nn.Identity()  # which lets neighbours meet
    inputs = features(maps, 1)
    changed = [inputs[0].clone(), inputs[1]]
    changed[0][..., 1, 2] += 1.0
    with torch.no_grad():
        difference = (fuse(inputs, torch.ones(1, 2)) - fuse(changed, torch.ones(1, 2))).abs().amax((0, 1))
    assert difference[1, 2] > 1e-4
    difference[1, 2] = 0
    assert difference.max() < 1e-6


@pytest.mark.parametrize("kind", ["modality_attention", "cross_attention"])
def test_heads_divide_the_channels(kind: str) -> None:
    with pytest.raises(ValidationError, match="3 heads do not divide 16 channels"):
        fusion(kind, maps_of(2), heads=3)


def test_an_additive_modality_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"fusion\.additive names \['sound'\], the model reads \['m0', 'm1'\]"):
        fusion("weighted_sum", maps_of(2), additive=("sound",))


def test_a_fusion_without_a_kind_mixes_channels_and_an_unknown_one_is_named() -> None:
    adapter: TypeAdapter[FusionConfig] = TypeAdapter(FusionConfig)
    assert adapter.validate_python({"channels": 16}).kind == "channel_mixing"
    with pytest.raises(ValidationError, match=r"'averaging'.*'gated_residual'"):
        adapter.validate_python({"kind": "averaging"})
