from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import export_float, quantize_static
from edge.runtime.errors import DataError, ModelError

if TYPE_CHECKING:
    from edge.calibration.observers import Observer
    from tests.compress.conftest import Quantized


def test_known_scales_give_known_numbers() -> None:
    layer = nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.27, -0.635]).reshape(2, 1, 1, 1))
        layer.get_parameter("bias").copy_(torch.tensor([0.25, -1.0]))
    full = torch.tensor([-12.7, 0.04, 0.06, 12.7]).reshape(1, 1, 2, 2)
    module = quantize_static(layer, (full,), [(full,)], QuantizeConfig(bias_correction=False))
    # Input step 0.1, weight steps 0.01 and 0.005: 0.04 rounds to 0, 0.06 to 0.1, and 20 saturates at 12.7.
    seen = torch.tensor([0.04, 0.06, 1.0, 20.0]).reshape(1, 1, 2, 2)
    levels = torch.tensor([0.0, 0.1, 1.0, 12.7])
    expected = torch.stack([levels * 1.27 + 0.25, levels * -0.635 - 1.0]).reshape(1, 2, 2, 2)
    torch.testing.assert_close(module(seen), expected, atol=1e-5, rtol=1e-5)


def test_any_batch_works_and_samples_do_not_mix(three_branch: Quantized) -> None:
    one_by_one = [three_branch.module(*(t[i : i + 1] for t in three_branch.unseen)) for i in range(5)]
    together = three_branch.module(*(t[:5] for t in three_branch.unseen))
    for index, outputs in enumerate(zip(*one_by_one, strict=True)):
        torch.testing.assert_close(torch.cat(outputs), together[index], atol=1e-4, rtol=1e-4)


def test_folding_batch_norms_changes_nothing(three_branch: Quantized) -> None:
    exported = export_float(three_branch.model, three_branch.unseen)
    from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e

    from edge.compress.quantize.placement import PlacementQuantizer

    prepared = prepare_pt2e(exported, PlacementQuantizer())
    assert not any(n.target is torch.ops.aten.batch_norm.default for n in prepared.graph.nodes)
    with torch.no_grad():
        for folded, original in zip(
            prepared(*three_branch.unseen), three_branch.model(*three_branch.unseen), strict=True
        ):
            torch.testing.assert_close(folded, original, atol=1e-4, rtol=1e-4)


def test_the_model_itself_is_left_alone(two_branch: Quantized) -> None:
    model = copy.deepcopy(two_branch.model).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    quantize_static(model, two_branch.calibration[0], two_branch.calibration)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_decisions_survive(three_branch: Quantized) -> None:
    with torch.no_grad():
        expected = three_branch.model(*three_branch.unseen)
        found = three_branch.module(*three_branch.unseen)
    for a, b in zip(expected, found, strict=True):
        assert (a.argmax(1) == b.argmax(1)).float().mean() >= 0.99


@pytest.mark.parametrize("observer", ["minmax", "percentile", "mse"])
def test_every_observer_is_near_the_float_model(three_branch: Quantized, observer: Observer) -> None:
    module = quantize_static(
        three_branch.model, three_branch.unseen, three_branch.calibration, QuantizeConfig(observer=observer)
    )
    with torch.no_grad():
        expected, found = three_branch.model(*three_branch.unseen), module(*three_branch.unseen)
    for a, b in zip(expected, found, strict=True):
        assert (a - b).square().mean() < 0.01 * a.var()


def test_percentile_clips_an_outlier_and_minmax_does_not() -> None:
    values = torch.randn(4, 3, 16, 16).clamp(-3, 3)
    values[0, 0, 0, 0] = 300.0
    layer = nn.Conv2d(3, 8, 1)
    errors = {}
    for observer in ("minmax", "percentile"):
        module = quantize_static(layer, (values,), [(values,)], QuantizeConfig(observer=observer, percentile=99.9))
        typical = values[1:]
        errors[observer] = (module(typical) - layer(typical)).square().mean().item()
    assert errors["percentile"] < errors["minmax"] / 10


def test_bias_correction_takes_back_a_shift() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 16, 3)
    values = torch.randn(8, 4, 12, 12).exp()  # far from zero mean, so that rounded weights shift the result
    shifts = {}
    for corrected in (False, True):
        module = quantize_static(layer, (values,), [(values,)], QuantizeConfig(bias_correction=corrected))
        shifts[corrected] = (module(values) - layer(values)).mean((0, 2, 3)).abs().max().item()
    assert shifts[True] < shifts[False] / 50


def test_calibration_in_parts_gives_the_scales_of_the_whole(two_branch: Quantized) -> None:
    whole = [tuple(torch.cat(parts) for parts in zip(*two_branch.calibration, strict=True))]
    modules = [
        quantize_static(two_branch.model, whole[0], batches, QuantizeConfig(observer="mse", bias_correction=False))
        for batches in (whole, two_branch.calibration)
    ]
    scales = [
        [n.args[1] for n in m.graph.nodes if n.target is torch.ops.quantized_decomposed.quantize_per_tensor.default]
        for m in modules
    ]
    assert scales[0] == pytest.approx(scales[1], rel=1e-6)


def test_an_empty_calibration_set_is_refused(two_branch: Quantized) -> None:
    with pytest.raises(DataError, match="empty"):
        quantize_static(two_branch.model, two_branch.unseen, [])


def test_activations_that_are_not_finite_are_refused(two_branch: Quantized) -> None:
    broken = tuple(torch.full_like(t, float("nan")) for t in two_branch.calibration[0])
    with pytest.raises(DataError, match="NaN or infinite"):
        quantize_static(two_branch.model, two_branch.unseen, [broken])


def test_a_model_that_branches_on_values_names_the_layer() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * 2 if x.sum() > 0 else x

    model = nn.Sequential(nn.Conv2d(3, 4, 3), Branching())
    inputs = (torch.randn(1, 3, 8, 8),)
    with pytest.raises(ModelError, match="layer '1' does not export"):
        quantize_static(model, inputs, [inputs])


@pytest.mark.parametrize("wrong", [{"observer": "median"}, {"percentile": 101}, {"bits": 4}])
def test_unknown_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QuantizeConfig(**wrong)
