"""Imitation of outputs: least at equality, up to a shift of logits, of one size at all temperatures."""

from __future__ import annotations

from typing import Literal, get_args

import pytest
import torch

from edge.compress.distill.outputs import imitation_loss
from edge.compress.scoring.task import OutputKind

SHAPES: dict[OutputKind, tuple[int, ...]] = {"categorical": (4, 3), "multilabel": (4, 2), "regression": (4, 1)}


@pytest.mark.parametrize("kind", get_args(OutputKind))
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_imitation_is_least_where_outputs_are_equal(
    kind: Literal["categorical", "multilabel", "regression"], temperature: float
) -> None:
    wanted = torch.randn(SHAPES[kind], generator=torch.Generator().manual_seed(1))
    equal = wanted.clone().requires_grad_()
    loss = imitation_loss([equal], [wanted], [kind], temperature)
    loss.backward()
    assert equal.grad is not None
    assert equal.grad.abs().max() < 1e-6
    assert imitation_loss([wanted + 0.5 * wanted.sign()], [wanted], [kind], temperature) > loss
    if kind != "multilabel":  # whose least value is the teacher's own entropy
        assert float(loss.detach()) == pytest.approx(0, abs=1e-6)


def test_classes_are_compared_up_to_a_shift_of_all_logits() -> None:
    wanted = torch.randn(5, 3)
    assert float(imitation_loss([wanted + 7], [wanted], ["categorical"], 2.0)) == pytest.approx(0, abs=1e-5)


def test_temperature_keeps_the_size_of_gradients() -> None:
    wanted, sizes = torch.tensor([[0.2, -0.1, 0.0]]), []
    for temperature in (1.0, 8.0):
        output = torch.zeros(1, 3, requires_grad=True)
        imitation_loss([output], [wanted], ["categorical"], temperature).backward()
        assert output.grad is not None
        sizes.append(float(output.grad.norm()))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_an_error_on_an_object_weighs_more_than_one_on_background() -> None:
    wanted = torch.zeros(1, 3, 1, 2)
    wanted[0, 0, 0, 0], wanted[0, 1, 0, 1] = 6.0, 6.0  # left cell: background, right cell: an object
    losses = []
    for cell in (0, 1):
        output = wanted.clone()
        output[0, 2, 0, cell] += 6.0
        losses.append(float(imitation_loss([output], [wanted], ["categorical"], 1.0)))
    assert losses[1] > 5 * losses[0]


def test_outputs_are_averaged() -> None:
    wanted, output = torch.zeros(1, 1), torch.full((1, 1), 0.5)
    both = imitation_loss([output, wanted], [wanted, wanted], ["regression", "regression"], 1.0)
    assert float(both) == pytest.approx(float(imitation_loss([output], [wanted], ["regression"], 1.0)) / 2)
