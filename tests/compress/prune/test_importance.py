"""Importance of channels, against values worked out by hand and by removing a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.compress.prune.graph import channel_graph
from edge.compress.prune.importance import norm_importance, taylor_importance

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pair() -> nn.Sequential:
    """Two linear layers with three hidden channels of known weights."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1, bias=False))
    model[0].weight.data = torch.tensor([[3.0, 0.0], [1.0, 1.0], [0.0, 0.5]])
    model[0].bias.data = torch.tensor([0.0, 1.0, 0.0])
    model[2].weight.data = torch.tensor([[4.0, 1.0, 0.0]])
    return model.eval()


def test_norm_sums_over_the_group(pair: nn.Sequential) -> None:
    (scores,) = norm_importance(pair, channel_graph(pair, (torch.ones(1, 2),))).values()
    norms = torch.tensor([5.0, 2.0, 0.5], dtype=torch.float64)  # sqrt(9+0+16), sqrt(2+1+1), sqrt(0.25)
    torch.testing.assert_close(scores, norms / norms.mean())


def test_taylor_accumulates_over_batches(pair: nn.Sequential) -> None:
    first, second = torch.tensor([[1.0, 2.0]]), torch.tensor([[-1.0, 3.0]])

    def losses(model: nn.Module) -> Iterator[Tensor]:
        yield model(first).sum()
        yield 2 * model(second).sum()

    (scores,) = taylor_importance(pair, channel_graph(pair, (first,)), losses).values()
    # |w dL/dw| of the hidden weights, bias and reading weight. First batch: h = (3, 4, 1), dL/dh = (4, 1, 0).
    batch_1 = torch.tensor([12.0 + 0 + 12, 1 + 2 + 1 + 4, 0.0])
    # Second, loss doubled: h = (0, 3, 1.5), the first is behind the ReLU, dL/dh = (0, 2, 0).
    batch_2 = torch.tensor([0.0, 2 + 6 + 2 + 6, 0.0])
    expected = (batch_1 + batch_2).double()
    torch.testing.assert_close(scores, expected / expected.mean())


def test_taylor_ranks_as_removal_does() -> None:
    """On a trained-like regression the cheapest channel by Taylor is among the cheapest by trial."""
    torch.manual_seed(0)
    readout = nn.Linear(32, 4)
    readout.weight.data *= torch.logspace(-3, 0, 32)[torch.randperm(32)]
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), readout).eval()
    x, target = torch.randn(256, 8), torch.randn(256, 4)

    def loss(candidate: nn.Module) -> Tensor:
        return functional.mse_loss(candidate(x), target)

    graph = channel_graph(model, (x[:1],))
    (scores,) = taylor_importance(model, graph, lambda m: [loss(m)]).values()
    changes = []
    with torch.no_grad():
        whole = loss(model)
        for channel in range(32):
            column = readout.weight[:, channel].clone()
            readout.weight[:, channel] = 0
            changes.append(float((loss(model) - whole).abs()))
            readout.weight[:, channel] = column
    by_trial = torch.tensor(changes).argsort()[:16].tolist()
    by_taylor = scores.argsort()[:16].tolist()
    assert len(set(by_trial) & set(by_taylor)) >= 12  # 8 would be chance


def test_all_zero_groups_are_all_alike() -> None:
    model = nn.Sequential(nn.Linear(2, 4, bias=False), nn.ReLU(), nn.Linear(4, 1))
    for parameter in model.parameters():
        parameter.data.zero_()
    (scores,) = norm_importance(model, channel_graph(model, (torch.ones(1, 2),))).values()
    assert scores.tolist() == [1.0] * 4
