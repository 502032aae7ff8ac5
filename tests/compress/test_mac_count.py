"""Multiply-accumulates against counts worked out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.compress.aten_graph import export
from edge.compress.mac_count import LayerMacs, layer_macs, macs
from edge.runtime.errors import ModelError


class Product(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a @ b


class Attention(nn.Module):
    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(q, k, v)


class Einsum(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("bij,bjk->bik", a, b)


class Fused(nn.Module):
    def forward(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return torch.addmm(c, a, b)


class Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(6, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.rnn(x)[0]
        return output


CASES: dict[str, tuple[nn.Module, tuple[Tensor, ...], int]] = {
    "conv": (nn.Conv2d(3, 8, 3, padding=1), (torch.zeros(1, 3, 5, 7),), 5 * 7 * 8 * 3 * 9),
    "strided": (nn.Conv2d(3, 8, 3, stride=2), (torch.zeros(2, 3, 9, 9),), 2 * 16 * 8 * 3 * 9),
    "depthwise": (nn.Conv2d(8, 8, 3, padding=1, groups=8), (torch.zeros(1, 8, 4, 4),), 16 * 8 * 9),
    "same": (nn.Conv2d(3, 8, 3, padding="same"), (torch.zeros(1, 3, 5, 7),), 5 * 7 * 8 * 3 * 9),
    "conv1d": (nn.Conv1d(4, 6, 5), (torch.zeros(1, 4, 12),), 8 * 6 * 4 * 5),
    "transposed": (nn.ConvTranspose2d(4, 6, 2, stride=2), (torch.zeros(1, 4, 3, 3),), 9 * 4 * 6 * 4),
    "linear": (nn.Linear(5, 7), (torch.zeros(2, 3, 5),), 2 * 3 * 5 * 7),
    "matmul": (Product(), (torch.zeros(2, 3, 4), torch.zeros(2, 4, 5)), 2 * 3 * 4 * 5),
    "addmm": (Fused(), (torch.zeros(3, 4), torch.zeros(4, 5), torch.zeros(5)), 3 * 4 * 5),
    "einsum": (Einsum(), (torch.zeros(2, 3, 4), torch.zeros(2, 4, 5)), 2 * 3 * 4 * 5),
    "attention": (
        Attention(),
        (torch.zeros(1, 2, 6, 8), torch.zeros(1, 2, 5, 8), torch.zeros(1, 2, 5, 8)),
        2 * (6 * 5 * 8 + 6 * 5 * 8),
    ),
    "lstm": (Sequence(), (torch.zeros(1, 10, 6),), 10 * (4 * 8 * 6 + 4 * 8 * 8)),
    "nothing": (nn.Sequential(nn.ReLU(), nn.AvgPool2d(2)), (torch.zeros(1, 3, 4, 4),), 0),
}


@pytest.mark.parametrize(("model", "inputs", "expected"), CASES.values(), ids=CASES.keys())
def test_counts(model: nn.Module, inputs: tuple[Tensor, ...], expected: int) -> None:
    assert macs(model, inputs) == expected


def test_shared_layers_count_each_time() -> None:
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    layers = layer_macs(export(model, (torch.zeros(1, 4),)))
    assert [layer.macs for layer in layers] == [16, 16]
    assert layers[0] == LayerMacs("linear", layers[1].weight, 16)


def test_model_that_does_not_export_is_one_clear_error() -> None:
    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelError, match=r"cannot trace Branches.*data-dependent"):
        macs(Branches(), (torch.ones(2),))
