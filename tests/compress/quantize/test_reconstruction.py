"""Adaptive rounding: what is learned, what is kept, and the hard case that all tools together must save."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

from edge.compress.quantize.adaptive_rounding import Reconstruction, learn_rounding
from edge.compress.quantize.config import AdaptiveRounding, QuantizeConfig
from edge.compress.quantize.observation import observe
from edge.compress.quantize.placement import PlacementQuantizer
from edge.compress.quantize.prepared_graph import PreparedLayer, prepared_layers
from edge.compress.quantize.pt2e import export_float, quantize_static
from edge.compress.quantize.reconstruction import reconstruct_layers
from edge.compress.quantize.rounding_record import rounded_layers
from edge.compress.stages.stage import QuantizeStage
from edge.runtime.errors import DataError
from tests.compress.quantize.hard_cases import accuracy, badly_scaled, patterns, trained

QUICK = AdaptiveRounding(iterations=150)


def coarse_layer() -> Reconstruction:
    """A linear layer on seven levels a side, whose inputs go together, so that errors of weights can cancel."""
    torch.manual_seed(0)
    layer = nn.Linear(24, 8)
    inputs = torch.randn(256, 4) @ torch.randn(4, 24) + 0.1 * torch.randn(256, 24)
    graph = prepare_pt2e(export_float(layer, (inputs,)), PlacementQuantizer())
    observe(graph, [(inputs,)])
    [found] = prepared_layers(graph).values()
    weight, bias = layer.weight.detach(), layer.bias.detach()
    scale = weight.abs().amax(1, keepdim=True) / 7
    coarse = PreparedLayer(found.node, found.weight, found.bias, found.activation_scale, scale, 7)

    def compute(values: Tensor, levels: Tensor) -> Tensor:
        return nn.functional.linear(values, levels, bias)

    return Reconstruction(coarse, weight, compute, found.round_input(inputs), compute(inputs, weight))


def test_learned_levels_are_neighbours_of_the_weight_and_err_less() -> None:
    task = coarse_layer()
    learned = learn_rounding(task, AdaptiveRounding(iterations=400))
    steps = learned / task.layer.weight_scale
    torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)
    assert float((learned - task.weight).abs().max()) <= float(task.layer.weight_scale.max()) * 1.001
    assert float(steps.abs().max()) <= 7.001
    assert task.error(learned) < 0.5 * task.error(task.layer.round_weight(task.weight))


def test_the_same_seed_learns_the_same() -> None:
    task = coarse_layer()
    assert torch.equal(learn_rounding(task, QUICK), learn_rounding(task, QUICK))


def small() -> tuple[nn.Module, list[tuple[Tensor, ...]]]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 4, 2, 2), nn.ReLU6())
    model.append(nn.Conv2d(4, 2, 1, bias=False))
    return model.eval(), [(torch.randn(8, 3, 8, 8).exp(),) for _ in range(4)]


def test_no_layer_is_made_worse_on_what_was_held_back() -> None:
    model, batches = small()
    config = QuantizeConfig(rounding="adaptive", adaptive=QUICK, weight_bits=7)
    records = rounded_layers(quantize_static(model, batches[0], batches, config))
    assert [r.layer for r in records] == ["0", "3", "5"]
    assert all(r.error_after <= r.error_before for r in records)
    assert any(r.error_after < r.error_before for r in records)
    assert not records[-1].kept.endswith("bias")  # it has none


def test_where_weights_make_the_error_it_is_lower() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 8)).eval()
    directions = torch.randn(3, 24)
    batches = [(torch.randn(64, 3) @ directions + 0.05 * torch.randn(64, 24),) for _ in range(4)]
    config = QuantizeConfig(rounding="adaptive", adaptive=QUICK, weight_bits=7)
    last = rounded_layers(quantize_static(model, batches[0], batches, config))[-1]
    assert last.kept == "learned+bias"
    assert last.error_after < 0.9 * last.error_before


def test_what_is_learned_badly_is_not_kept() -> None:
    """Two samples to learn from by steps that are far too long: nothing that helps others comes of it."""
    model, batches = small()
    wild = AdaptiveRounding(iterations=3, learning_rate=50.0, samples=20, held_back=0.9)
    config = QuantizeConfig(rounding="adaptive", adaptive=wild, bias_correction=False)
    records = rounded_layers(quantize_static(model, batches[0], batches, config))
    assert all(r.error_after <= r.error_before for r in records)
    assert [r.kept for r in records].count("nearest") >= 2


def test_it_is_deterministic_and_leaves_the_model_alone() -> None:
    model, batches = small()
    before = copy.deepcopy(model.state_dict())
    config = QuantizeConfig(rounding="adaptive", adaptive=QUICK, equalize="activations")
    with torch.no_grad():
        results = [quantize_static(model, batches[0], batches, config)(*batches[1]) for _ in range(2)]
    assert torch.equal(*results)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_without_it_there_is_no_record() -> None:
    model, batches = small()
    assert rounded_layers(quantize_static(model, batches[0], batches)) == ()


def test_a_layer_that_runs_twice_keeps_its_weights() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.layer(self.layer(x).relu())
            return result

    torch.manual_seed(0)
    batches = [(torch.randn(8, 3, 6, 6),)]
    graph = prepare_pt2e(export_float(Twice(), batches[0]), PlacementQuantizer())
    observe(graph, batches)
    before = {name: value.clone() for name, value in graph.state_dict().items()}
    assert reconstruct_layers(graph, batches, QUICK, shift_biases=True) == ()
    assert all(torch.equal(value, before[name]) for name, value in graph.state_dict().items())


def test_one_sample_is_too_few() -> None:
    model, batches = small()
    with pytest.raises(DataError, match="adaptive rounding has one calibration sample"):
        quantize_static(model, batches[0], [(batches[0][0][:1],)], QuantizeConfig(rounding="adaptive"))


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"rounding": "up"}, "quantize.rounding"),
        ({"equalize": True}, "quantize.equalize"),
        ({"weight_bits": 6}, "quantize.weight_bits"),
        ({"adaptive": {"iterations": 0}}, "quantize.adaptive.iterations"),
        ({"adaptive": {"held_back": 1.0}}, "quantize.adaptive.held_back"),
        ({"adaptive": {"steps": 9}}, "quantize.adaptive.steps"),
    ],
)
def test_a_recipe_with_a_wrong_option_names_the_key(wrong: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        QuantizeStage.model_validate({"stage": "quantize", "quantize": wrong})
    assert ".".join(str(part) for part in refused.value.errors()[0]["loc"]) == key


def test_badly_scaled_channels_are_saved() -> None:
    generator = torch.Generator().manual_seed(1)
    images, labels = patterns(3000, generator)
    calibration: list[tuple[Tensor, ...]] = [(patterns(32, generator)[0],) for _ in range(6)]
    model = trained()
    expected = accuracy(model, images, labels)
    badly_scaled(model, 30)
    assert accuracy(model, images, labels) == pytest.approx(expected, abs=0.1)
    plain = quantize_static(model, calibration[0], calibration, QuantizeConfig(bias_correction=False))
    assert accuracy(plain, images, labels) < expected - 20
    tools = QuantizeConfig(equalize="activations", rounding="adaptive", adaptive=QUICK)
    saved = quantize_static(model, calibration[0], calibration, tools)
    assert accuracy(saved, images, labels) >= expected - 0.5
    assert all(r.error_after <= r.error_before for r in rounded_layers(saved))


class Attending(nn.Module):
    """Its packed projection sees `[L, B, E]`: samples are not in front."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(16, 2, batch_first=True), nn.Linear(16, 4)

    def forward(self, tokens: torch.Tensor) -> Any:
        return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1))


@pytest.mark.parametrize("samples", [24, 23])  # chunks of one size, and a last one that is smaller
def test_attention_is_rounded_whatever_the_number_of_samples(samples: int) -> None:
    torch.manual_seed(0)
    batches = [(torch.randn(samples, 5, 16),)]
    config = QuantizeConfig(rounding="adaptive", adaptive=AdaptiveRounding(iterations=20, batch=8))
    rounded = rounded_layers(quantize_static(Attending().eval(), batches[0], batches, config))
    assert {layer.layer for layer in rounded} >= {"head"}
    assert all(layer.error_after <= layer.error_before for layer in rounded)
