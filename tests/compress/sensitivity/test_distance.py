"""Distances in nats against closed forms, whatever the batches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Bernoulli, Categorical, kl_divergence

from edge.compress.sensitivity.distance import RUINED, OutputDistance

if TYPE_CHECKING:
    from torch import Tensor

    from edge.compress.scoring.task import OutputKind


def distance(kind: OutputKind, wanted: Tensor, found: Tensor, batch: int = 100) -> tuple[float, float]:
    meter = OutputDistance((kind,))
    for a, b in zip(wanted.split(batch), found.split(batch), strict=True):
        meter.update((a,), (b,))
    return meter.result()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), noise=st.floats(0.01, 2.0), batch=st.integers(1, 9))
def test_logits_are_compared_as_distributions(seed: int, noise: float, batch: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    wanted = torch.randn(8, 5, 3, generator=generator, dtype=torch.float64)
    found = wanted + noise * torch.randn(8, 5, 3, generator=generator, dtype=torch.float64)
    classes = [Categorical(logits=x.movedim(1, -1)) for x in (wanted, found)]
    assert distance("categorical", wanted, found, batch)[0] == pytest.approx(float(kl_divergence(*classes).mean()))
    labels = [Bernoulli(logits=x) for x in (wanted, found)]
    assert distance("multilabel", wanted, found, batch)[0] == pytest.approx(float(kl_divergence(*labels).mean()))


def test_a_regression_is_measured_by_its_own_spread() -> None:
    wanted = torch.tensor([[0.0], [2.0], [4.0]])
    noise = torch.tensor([[0.1], [-0.1], [0.2]])
    assert distance("regression", wanted, wanted + noise)[0] == pytest.approx(0.06 / (2 * 8.0), rel=1e-5)
    assert distance("regression", 1000 * wanted, 1000 * (wanted + noise))[0] == pytest.approx(0.06 / 16, rel=1e-5)


def test_noise_on_a_constant_is_held_against_its_size() -> None:
    ones, zeros = torch.ones(2, 2), torch.zeros(2, 2)
    assert distance("regression", ones, ones + 0.01)[0] == pytest.approx(0.005, rel=1e-4)
    assert distance("regression", zeros, zeros + 0.01)[0] == pytest.approx(0.00005, rel=1e-4)


def test_signal_to_noise_is_of_the_worst_output() -> None:
    meter = OutputDistance(("regression", "regression"))
    meter.update((torch.ones(2, 2), torch.ones(2, 2)), (torch.full((2, 2), 1.1), torch.full((2, 2), 1.01)))
    assert meter.result().sqnr_db == pytest.approx(20.0, abs=1e-3)


@pytest.mark.parametrize("kind", ["categorical", "multilabel", "regression"])
def test_equal_outputs_are_no_distance_apart_and_broken_ones_ruined(kind: OutputKind) -> None:
    wanted = torch.randn(4, 3)
    assert distance(kind, wanted, wanted) == (0.0, 200.0)
    for broken in (torch.nan, torch.inf):
        found = wanted.clone()
        found[1, 1] = broken
        nats, decibels = distance(kind, wanted, found)
        assert (nats, decibels) == (RUINED, -200.0)
        assert math.isfinite(nats)
