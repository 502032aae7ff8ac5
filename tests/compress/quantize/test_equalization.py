"""Equalisation: the function stays, whatever stands between two layers, and what it may not touch it leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from edge.compress.quantize.channel_axes import input_ranges, output_ranges
from edge.compress.quantize.equalization import equalize_layers
from edge.compress.quantize.pairing import layer_pairs
from edge.compress.quantize.parameters import parameter_of
from edge.compress.quantize.pt2e import export_float

if TYPE_CHECKING:
    from torch.fx import GraphModule

By = Literal["weights", "activations"]
WIDTH = 6
BETWEEN: dict[str, Any] = {
    "relu": nn.ReLU,
    "leaky": lambda: nn.LeakyReLU(0.2),
    "nothing": nn.Identity,
    "pool": lambda: nn.MaxPool2d(2, 1),
    "average": lambda: nn.AvgPool2d(2, 1),
    "dropout": nn.Dropout,
}
SECOND: dict[str, Any] = {
    "convolution": lambda: nn.Conv2d(WIDTH, 4, 3, padding=1),
    "depthwise": lambda: nn.Conv2d(WIDTH, 2 * WIDTH, 3, padding=1, groups=WIDTH),
    "grouped": lambda: nn.Conv2d(WIDTH, 4, 1, groups=2, bias=False),
    "transposed": lambda: nn.ConvTranspose2d(WIDTH, 4, 2, 2, groups=2),
    "flat linear": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * WIDTH, 3)),
}
FIRST: dict[str, Any] = {
    "convolution": lambda: nn.Conv2d(2, WIDTH, 3),
    "transposed": lambda: nn.ConvTranspose2d(2, WIDTH, 3, groups=2),
    "normed": lambda: nn.Sequential(nn.Conv2d(2, WIDTH, 3, bias=False), nn.BatchNorm2d(WIDTH)),
}


def unbalanced(model: nn.Module, seed: int) -> nn.Module:
    """Weights of channels far apart."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            shape = (len(parameter), *[1] * (parameter.ndim - 1))
            parameter.mul_(10 ** (2 * torch.rand(shape, generator=generator) - 1))
    return model.eval()


def equalized(model: nn.Module, inputs: Tensor, by: By) -> tuple[GraphModule, int]:
    graph = export_float(model, (inputs,))
    return graph, equalize_layers(graph, [(inputs,)], by)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(sorted(FIRST)),
    st.sampled_from(sorted(BETWEEN)),
    st.sampled_from(sorted(SECOND)),
    st.integers(0, 1000),
    st.sampled_from(["weights", "activations"]),
)
def test_the_function_stays(first: str, between: str, second: str, seed: int, by: By) -> None:
    torch.manual_seed(seed)
    model = unbalanced(nn.Sequential(FIRST[first](), BETWEEN[between](), SECOND[second]()), seed)
    inputs = torch.randn(4, 2, 8, 8)
    graph, pairs = equalized(model, inputs, by)
    assert pairs == 1
    unseen = torch.randn(4, 2, 8, 8) * 3
    with torch.no_grad():
        expected = model(unseen)
        torch.testing.assert_close(graph(unseen), expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-4)


def test_linears_on_sequences_are_equalised_along_their_last_axis() -> None:
    torch.manual_seed(0)
    model = unbalanced(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), 1)
    inputs = torch.randn(4, 5, 4)
    for by in ("weights", "activations"):
        graph, pairs = equalized(model, inputs, by)
        assert pairs == 1
        with torch.no_grad():
            torch.testing.assert_close(graph(inputs), model(inputs))


def test_by_weights_both_layers_have_the_same_ranges() -> None:
    torch.manual_seed(0)
    model = unbalanced(nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 1)), 3)
    graph, _ = equalized(model, torch.randn(4, 2, 8, 8), "weights")
    [pair] = layer_pairs(graph)
    made = output_ranges(pair.first, parameter_of(graph, pair.first.all_input_nodes[1]), 6)
    read = input_ranges(pair.second, parameter_of(graph, pair.second.all_input_nodes[1]), 6)
    torch.testing.assert_close(made, read, rtol=1e-3, atol=1e-6)


def test_by_activations_a_depthwise_layer_reads_channels_of_one_range() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 6, 3)
    inputs = torch.randn(8, 2, 8, 8)
    graph, _ = equalized(unbalanced(nn.Sequential(layer, nn.Conv2d(6, 6, 3, groups=6)), 3), inputs, "activations")
    first = next(n for n in graph.graph.nodes if n.target is torch.ops.aten.conv2d.default)
    weight, bias = (parameter_of(graph, n) for n in first.all_input_nodes[1:3])
    with torch.no_grad():
        peaks = nn.functional.conv2d(inputs, weight, bias).abs().amax((0, 2, 3))
        before = layer(inputs).abs().amax((0, 2, 3))
    assert float(peaks.max() / peaks.min()) < 1.01
    assert float(before.max() / before.min()) > 5


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.other = (nn.Conv2d(i, 4, 1) for i in (2, 4, 4))

    def forward(self, x: Tensor) -> Tensor:
        both = self.first(x).relu()
        result: Tensor = self.second(both) * self.other(both)
        return result


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layer(self.layer(x).relu())
        return result


@pytest.mark.parametrize(
    "model",
    [
        Branching(),
        Twice(),
        nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU6(), nn.Conv2d(4, 2, 1)),
        nn.Sequential(nn.Conv2d(2, 4, 1), nn.GELU(), nn.Conv2d(4, 2, 1)),
        nn.Sequential(nn.Conv2d(2, 4, 1), nn.PixelShuffle(2), nn.Conv2d(1, 2, 1)),
        nn.Sequential(nn.Conv2d(2, 4, 1), nn.Flatten(2), nn.Linear(16, 4)),
    ],
    ids=["two readers", "a shared layer", "a clip", "a curve", "channels that move", "a linear across positions"],
)
def test_what_is_no_pair_is_left(model: nn.Module) -> None:
    inputs = torch.randn(2, 2, 4, 4)
    graph = export_float(model.eval(), (inputs,))
    before = {name: value.clone() for name, value in graph.state_dict().items()}
    assert equalize_layers(graph, [(inputs,)], "activations") == 0
    assert all(torch.equal(value, before[name]) for name, value in graph.state_dict().items())


def test_dead_channels_are_no_division_by_zero() -> None:
    torch.manual_seed(0)
    first, second = nn.Conv2d(2, 4, 1), nn.Conv2d(4, 2, 1)
    with torch.no_grad():
        first.weight[1] = 0
        first.get_parameter("bias")[1] = 0
        second.weight[:, 2] = 0
    model = nn.Sequential(first, nn.ReLU(), second).eval()
    inputs = torch.randn(2, 2, 4, 4)
    for by in ("weights", "activations"):
        graph, _ = equalized(model, inputs, by)
        with torch.no_grad():
            torch.testing.assert_close(graph(inputs), model(inputs), atol=1e-5, rtol=1e-4)
