"""Rounding that can be trained: the values of Q/DQ pairs, and the gradients of LSQ."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e  # noqa: F401  (registers quantized_decomposed)

from edge.compress.quantize.observers import ActivationObserver, PerChannelWeightObserver
from edge.compress.tuning.learned_levels import LearnedLevels, round_to_levels

decomposed = torch.ops.quantized_decomposed
INT8 = (-128, 127)
finite = st.floats(-300, 300, width=32)


@settings(max_examples=200, deadline=None)
@given(st.lists(finite, min_size=1, max_size=40), st.floats(2**-20, 8, width=32), st.sampled_from([INT8, (-63, 63)]))
def test_values_are_those_of_the_converted_graph_to_the_bit(
    values: list[float], scale: float, levels: tuple[int, int]
) -> None:
    tensor = torch.tensor(values)
    found = round_to_levels(tensor, torch.tensor([scale]), levels)
    quantized = decomposed.quantize_per_tensor(tensor, scale, 0, *levels, torch.int8)
    assert torch.equal(found, decomposed.dequantize_per_tensor(quantized, scale, 0, *levels, torch.int8))


@settings(max_examples=100, deadline=None)
@given(st.lists(finite, min_size=2, max_size=20), st.floats(0.015625, 4, width=32))
def test_gradients_are_those_of_learned_step_size_quantization(values: list[float], scale: float) -> None:
    tensor, step = torch.tensor(values, requires_grad=True), torch.tensor([scale], requires_grad=True)
    weights = torch.arange(1.0, len(values) + 1)
    (round_to_levels(tensor, step, INT8, gain=0.5) * weights).sum().backward()
    steps = tensor.detach() * (1.0 / torch.tensor(scale))
    inside = (steps >= -128) & (steps <= 127)
    expected = torch.where(inside, steps.round() - steps, steps.clamp(*INT8)) @ weights * 0.5
    assert tensor.grad is not None and step.grad is not None
    assert torch.equal(tensor.grad, weights * inside)
    torch.testing.assert_close(step.grad, expected[None], rtol=1e-4, atol=1e-3)


def watched(observer: ActivationObserver | PerChannelWeightObserver, values: Tensor) -> LearnedLevels:
    observer(values)
    return LearnedLevels(observer, learn=True)


def weight_observer() -> PerChannelWeightObserver:
    return PerChannelWeightObserver(
        dtype=torch.int8, qscheme=torch.per_channel_symmetric, quant_min=-127, quant_max=127, ch_axis=0
    )


def activation_observer() -> ActivationObserver:
    return ActivationObserver(dtype=torch.int8, qscheme=torch.per_tensor_symmetric, quant_min=-128, quant_max=127)


def test_it_starts_at_the_calibrated_scales() -> None:
    torch.manual_seed(0)
    weight, values = torch.randn(6, 4, 3, 3), torch.randn(8, 4, 5, 5)
    for observer, tensor in ((weight_observer(), weight), (activation_observer(), values)):
        learned = watched(observer, tensor)
        assert torch.equal(learned.calculate_qparams()[0], observer.calculate_qparams()[0])
        assert not learned.calculate_qparams()[1].any()


@pytest.mark.parametrize("rate", [-1.0, 1.0])
def test_a_scale_stays_above_zero_however_it_is_driven(rate: float) -> None:
    """A step whose gradient always points one way, fifty times, at a rate that a plain scale would not survive."""
    torch.manual_seed(0)
    learned = watched(weight_observer(), torch.randn(6, 4))
    optimizer = torch.optim.Adam([learned.growth], 0.02)
    for _ in range(50):
        optimizer.zero_grad()
        (rate * learned.scale().sum()).backward()
        optimizer.step()
    scales, start = learned.calculate_qparams()[0], learned.start
    assert bool((scales > 0).all())
    assert bool((scales < start).all() if rate > 0 else (scales > start).all())


def test_each_channel_learns_its_own_scale() -> None:
    weight = torch.tensor([[0.9, -1.0], [0.04, 0.1]])
    learned = watched(weight_observer(), weight)
    (learned(weight) * torch.tensor([[1.0, 1.0], [0.0, 0.0]])).sum().backward()
    assert learned.growth.grad is not None
    assert learned.growth.grad[0] != 0 and learned.growth.grad[1] == 0


def test_a_scale_that_is_not_learned_has_no_gradient() -> None:
    values = torch.randn(4, 3, requires_grad=True)
    observer = activation_observer()
    observer(values)
    learned = LearnedLevels(observer, learn=False)
    learned(values).sum().backward()
    assert learned.growth.grad is None and values.grad is not None
