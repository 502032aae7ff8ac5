"""Training losses against hand-computed values."""

from __future__ import annotations

import math

import pytest
import torch

from edge.training.losses import (
    DISTANCE_SCALE,
    DISTANCE_WEIGHT,
    FOREGROUND_WEIGHT,
    event_loss,
    grid_loss,
    softmax_loss,
)


def confident(classes: torch.Tensor, count: int) -> torch.Tensor:
    """Logits that are all but certain of `classes`."""
    return 50.0 * torch.nn.functional.one_hot(classes, count).movedim(-1, 1).float()


def test_a_perfect_grid_costs_nothing() -> None:
    classes = torch.tensor([[[0, 1], [2, 0]]])
    distance = torch.tensor([[[0.0, 12.0], [30.0, 0.0]]])
    log_distance = distance.clamp(min=0.1).log()[:, None]
    assert float(grid_loss(confident(classes, 3), log_distance, classes, distance)) == pytest.approx(0, abs=1e-5)


def test_distance_counts_only_where_an_object_is() -> None:
    classes = torch.tensor([[[0, 1]]])
    distance = torch.tensor([[[5.0, 10.0]]])
    logits = confident(classes, 2)
    wrong_on_background = torch.tensor([[[[9.9, math.log(10)]]]])
    assert float(grid_loss(logits, wrong_on_background, classes, distance)) == pytest.approx(0, abs=1e-5)
    error = 0.5
    wrong_on_object = torch.tensor([[[[0.0, math.log(10) + error]]]])
    expected = DISTANCE_WEIGHT * (error - DISTANCE_SCALE / 2)
    assert float(grid_loss(logits, wrong_on_object, classes, distance)) == pytest.approx(expected, rel=1e-4)


def test_a_missed_object_costs_more_than_a_false_one() -> None:
    classes = torch.tensor([[[0, 1]]])
    undecided = torch.zeros(1, 2, 1, 2)
    missed, false = undecided.clone(), undecided.clone()
    missed[0, 0, 0, 1] = false[0, 1, 0, 0] = 3.0  # each pulls one cell to the wrong side by as much
    lost = [
        float(grid_loss(x, torch.full((1, 1, 1, 2), math.log(8)), classes, torch.full((1, 1, 2), 8.0)))
        - float(grid_loss(undecided, torch.full((1, 1, 1, 2), math.log(8)), classes, torch.full((1, 1, 2), 8.0)))
        for x in (missed, false)
    ]
    assert lost[0] == pytest.approx(FOREGROUND_WEIGHT * lost[1], rel=1e-4)


def test_an_empty_street_gives_a_finite_loss_and_gradient() -> None:
    logits = torch.zeros(2, 3, 2, 2, requires_grad=True)
    loss = grid_loss(logits, torch.zeros(2, 1, 2, 2), torch.zeros(2, 2, 2).long(), torch.zeros(2, 2, 2))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(math.log(3), rel=1e-5)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_half_precision_logits_lose_no_precision_in_the_loss() -> None:
    logits = torch.tensor([[60.0, 0.0]]).bfloat16()
    assert float(softmax_loss(logits, torch.tensor([1]))) == pytest.approx(60, rel=1e-3)
    assert softmax_loss(logits, torch.tensor([1])).dtype == torch.float32


def test_undecided_events_and_classes_cost_their_entropy() -> None:
    assert float(event_loss(torch.zeros(3, 2), torch.tensor([[0.0, 1], [1, 0], [0, 0]]))) == pytest.approx(
        math.log(2), rel=1e-5
    )
    assert float(softmax_loss(torch.zeros(3, 10), torch.tensor([0, 5, 9]))) == pytest.approx(math.log(10), rel=1e-5)
