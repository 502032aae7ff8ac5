"""Which channels belong together: one small model per structure, pruned for real and compared with its mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.compress.aten_graph import tensors_of
from edge.compress.prune.graph import ChannelGraph, channel_graph, cuts_of
from edge.compress.prune.surgery import shrink
from edge.compress.prune.trial import without_failures

if TYPE_CHECKING:
    from collections.abc import Callable

Slots = set[tuple[str, int]]


def slots_with(graph: ChannelGraph, path: str, dim: int) -> list[Slots]:
    """The groups that hold a dimension of a tensor."""
    groups = [{(slot.path, slot.dim) for slot in group.slots} for group in graph.groups]
    return [slots for slots in groups if (path, dim) in slots]


def conv_bn(inputs: int, outputs: int, **options: Any) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, **options), nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.first, self.second = conv_bn(3, 16), conv_bn(16, 24), conv_bn(24, 16)
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Any:
        x = functional.relu(self.stem(x))
        y = self.second(functional.relu(self.first(x)))
        y += x
        return self.head(functional.relu(y))


class Concat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = conv_bn(3, 16), conv_bn(3, 24)
        self.mix, self.head = nn.Conv2d(56, 8, 1), nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor, y: Tensor) -> Any:
        left, right = functional.relu(self.left(x)), functional.relu(self.right(y))
        return self.head(self.mix(torch.cat([left, right, left], 1)).relu())


class Flatten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = conv_bn(3, 16)
        self.hidden, self.head = nn.Linear(16 * 12, 24), nn.Linear(24, 2)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.hidden(self.conv(x).relu().flatten(1)).relu())


class Depthwise(nn.Module):
    def __init__(self, multiplier: int) -> None:
        super().__init__()
        wide = 16 * multiplier
        self.expand, self.spread = conv_bn(3, 16), conv_bn(16, wide, groups=16)
        self.project = nn.Conv2d(wide, 2, 1)

    def forward(self, x: Tensor) -> Any:
        return self.project(self.spread(self.expand(x).relu()).relu())


class Gated(nn.Module):
    """Squeeze and excitation, then a placeholder behind a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.squeeze, self.excite = conv_bn(3, 16), nn.Conv2d(16, 8, 1), nn.Conv2d(8, 16, 1)
        self.placeholder = nn.Parameter(torch.randn(1, 16, 1, 1))
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor, present: Tensor) -> Any:
        x = self.conv(x).relu()
        x = x * self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        gate = present.view(-1, 1, 1, 1)
        return self.head(torch.where(gate > 0, x, self.placeholder))


class Shared(nn.Module):
    """One encoder for two cameras, and one weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.again = conv_bn(3, 16), nn.Conv2d(16, 16, 1)
        self.tied = nn.Conv2d(16, 16, 1)
        self.tied.weight = self.again.weight
        self.head = nn.Conv2d(32, 2, 1)

    def forward(self, x: Tensor, y: Tensor) -> Any:
        x, y = (self.encoder(z).relu() for z in (x, y))
        return self.head(torch.cat([self.again(x), self.tied(y)], 1).relu())


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = conv_bn(3, 16, stride=2), nn.ConvTranspose2d(16, 24, 2, stride=2)
        self.prelu, self.norm = nn.PReLU(24), nn.InstanceNorm2d(24, affine=True)
        self.spread, self.head = nn.ConvTranspose2d(24, 24, 3, padding=1, groups=24), nn.Conv2d(24, 2, 1)

    def forward(self, x: Tensor) -> Any:
        x = self.norm(self.prelu(self.up(self.down(x).relu())))
        return self.head(functional.interpolate(self.spread(x), scale_factor=2.0, mode="bilinear"))


class Text(nn.Module):
    """Embedding, positions, a block with a layer norm whose inside may shrink."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.project = nn.Embedding(20, 16), nn.Linear(16, 32)
        self.positions = nn.Parameter(torch.randn(1, 6, 16))
        self.norm, self.first, self.second = nn.LayerNorm(32), nn.Linear(32, 48), nn.Linear(48, 32)
        self.head = nn.Linear(32, 2)

    def forward(self, tokens: Tensor) -> Any:
        x = self.project(self.embedding(tokens) + self.positions)
        x = x + self.second(functional.gelu(self.first(self.norm(x))))
        return self.head(x.mean(1))


class Grouped(nn.Module):
    """Groups of several channels, forward and transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.spread = conv_bn(3, 16), conv_bn(16, 24, groups=4)
        self.up, self.head = nn.ConvTranspose2d(24, 16, 2, stride=2, groups=2), nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.up(self.spread(self.stem(x).relu()).relu()).relu())


class GatedUnits(nn.Module):
    """Halves that gate each other, and halves that part and meet again."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.inner = conv_bn(3, 32), nn.Conv2d(16, 16, 1)
        self.mix, self.head = nn.Conv2d(48, 24, 1), nn.Conv2d(12, 2, 1)

    def forward(self, x: Tensor) -> Any:
        left, right = self.conv(x).relu().chunk(2, 1)
        return self.head(functional.glu(self.mix(torch.cat([left, right, self.inner(right).relu()], 1)), 1))


def image(seed: int = 0) -> Tensor:
    return torch.randn(1, 3, 3, 4, generator=torch.Generator().manual_seed(seed))


STRUCTURES: dict[str, tuple[Callable[[], nn.Module], tuple[Tensor, ...], list[tuple[Slots, int]]]] = {
    "residual": (
        Residual,
        (image(),),
        [
            ({("stem.0.weight", 0), ("second.0.weight", 0), ("first.0.weight", 1), ("head.weight", 1)}, 16),
            ({("first.0.weight", 0), ("first.1.running_var", 0), ("second.0.weight", 1)}, 24),
        ],
    ),
    "concat": (
        Concat,
        (image(0), image(1)),
        [({("left.0.weight", 0), ("mix.weight", 1)}, 16), ({("right.0.weight", 0), ("mix.weight", 1)}, 24)],
    ),
    "flatten": (
        Flatten,
        (image(),),
        [({("conv.0.weight", 0), ("hidden.weight", 1)}, 16), ({("hidden.bias", 0), ("head.weight", 1)}, 24)],
    ),
    "depthwise": (
        lambda: Depthwise(1),
        (image(),),
        [({("expand.0.weight", 0), ("spread.0.weight", 0), ("spread.1.bias", 0), ("project.weight", 1)}, 16)],
    ),
    "depthwise with a multiplier": (
        lambda: Depthwise(3),
        (image(),),
        [({("expand.0.weight", 0), ("spread.0.weight", 0), ("project.weight", 1)}, 16)],
    ),
    "gated": (
        Gated,
        (image(), torch.ones(1)),
        [
            ({("conv.0.weight", 0), ("placeholder", 1), ("excite.weight", 0), ("squeeze.weight", 1)}, 16),
            ({("squeeze.weight", 0), ("excite.weight", 1)}, 8),
        ],
    ),
    "shared": (Shared, (image(0), image(1)), [({("encoder.0.weight", 0)}, 16), ({("head.weight", 1)}, 16)]),
    "decoder": (
        Decoder,
        (image(),),
        [
            ({("down.0.weight", 0), ("up.weight", 0)}, 16),
            ({("up.weight", 1), ("prelu.weight", 0), ("norm.weight", 0), ("spread.weight", 0)}, 24),
        ],
    ),
    "grouped": (
        Grouped,
        (image(),),
        [
            ({("stem.0.weight", 0), ("stem.1.bias", 0), ("spread.0.weight", 1)}, 4),
            ({("spread.0.weight", 0), ("up.weight", 0)}, 6),
            ({("up.weight", 1), ("head.weight", 1)}, 8),
        ],
    ),
    "gated units": (
        GatedUnits,
        (image(),),
        [
            ({("conv.0.weight", 0), ("inner.weight", 1), ("mix.weight", 1)}, 16),
            ({("inner.weight", 0), ("mix.weight", 1)}, 16),
            ({("mix.weight", 0), ("head.weight", 1)}, 12),
        ],
    ),
    "text": (
        Text,
        (torch.arange(6)[None],),
        [
            ({("embedding.weight", 1), ("positions", 2), ("project.weight", 1)}, 16),
            ({("first.weight", 0), ("second.weight", 1)}, 48),
        ],
    ),
}


@pytest.fixture(params=list(STRUCTURES.values()), ids=list(STRUCTURES))
def structure(
    request: pytest.FixtureRequest, liven: Callable[[nn.Module], nn.Module]
) -> tuple[nn.Module, tuple[Tensor, ...], list[tuple[Slots, int]]]:
    build, inputs, expected = request.param
    torch.manual_seed(0)
    return liven(build()), inputs, expected


def test_groups_hold_what_must_shrink_together(
    structure: tuple[nn.Module, tuple[Tensor, ...], list[tuple[Slots, int]]],
) -> None:
    model, inputs, expected = structure
    graph = channel_graph(model, inputs)
    for slots, size in expected:
        path, dim = sorted(slots)[0]
        holding = [g for g in graph.groups if slots <= {(s.path, s.dim) for s in g.slots}]
        assert [g.size for g in holding] == [size], f"{path} {dim}"
    assert without_failures(model, inputs, graph).groups == graph.groups  # the trial has nothing to object


def test_pruned_equals_zeroed_readers(
    structure: tuple[nn.Module, tuple[Tensor, ...], list[tuple[Slots, int]]],
) -> None:
    """Each group alone and all together; the mask is drawn on the weights that read the channels."""
    model, inputs, _ = structure
    graph = channel_graph(model, inputs)
    rng = np.random.default_rng(0)
    kept = {g.name: np.sort(rng.permutation(g.size)[: g.size // 2 + 1]) for g in graph.groups}
    for choice in [{name: kept[name]} for name in kept] + [kept]:
        cuts = cuts_of(graph, choice)
        slim = shrink(model, cuts)
        with torch.no_grad():
            expected = _zero_readers(model, cuts)(*inputs)
            found = slim(*inputs)
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        assert sum(p.numel() for p in slim.parameters()) < sum(p.numel() for p in model.parameters())


def _zero_readers(model: nn.Module, cuts: dict[str, dict[int, list[int]]]) -> nn.Module:
    """Zeroes what reads a channel, by the kind of module, independently of the graph.

    Depthwise layers read none; of other groups each loses the same.
    """
    masked = shrink(model, {})
    for path, dims in cuts.items():
        owner, _, leaf = path.rpartition(".")
        module = masked.get_submodule(owner)
        reader = 0 if isinstance(module, nn.ConvTranspose2d) else 1
        depthwise = 1 < getattr(module, "groups", 1) == getattr(module, "in_channels", 0)
        if leaf == "weight" and isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d) and not depthwise:
            gone = sorted(set(range(module.weight.shape[reader])) - set(dims.get(reader, range(10_000))))
            module.weight.data.index_fill_(reader, torch.tensor(gone, dtype=torch.long), 0)
    return masked


class OneOperator(nn.Module):
    """A convolution whose output meets an operator before the head."""

    def __init__(self, operator: Callable[[Tensor], Tensor], wide: int = 16) -> None:
        super().__init__()
        self.conv, self.head = conv_bn(3, 16), nn.Conv2d(wide, 2, 1)
        self.operator = operator

    def forward(self, x: Tensor) -> Any:
        return self.head(self.operator(self.conv(x).relu()))


BLOCKING: dict[str, tuple[Callable[[Tensor], Tensor], int, str]] = {
    "flip": (lambda x: x.flip(1), 16, "flip is unknown"),
    "pixel shuffle": (lambda x: functional.pixel_shuffle(x, 2), 4, "pixel_shuffle is unknown"),
    "softmax": (lambda x: x.softmax(1), 16, "'softmax' runs along it"),
    "mean over channels": (lambda x: x - x.mean(1, keepdim=True), 16, "'mean' reduces over it"),
    "group norm": (lambda x: functional.group_norm(x, 4), 16, "group norm"),
    "layer norm": (lambda x: functional.layer_norm(x, x.shape[1:]), 16, "layer norm"),
    "slice": (lambda x: x[:, 2:10], 8, "sliced by position"),
    "unequal parts": (lambda x: x.split([10, 6], 1)[0], 10, "cuts it by position"),
    "fixed parts": (lambda x: x.split(8, 1)[0] + x.split(8, 1)[1], 8, "fails without these channels"),
    "one channel": (lambda x: x * x[:, :1], 16, "sliced by position"),
    "select": (lambda x: x + x[:, 3].unsqueeze(1), 16, "selected by position"),
    "padding": (lambda x: functional.pad(x, (0, 0, 0, 0, 1, 1)), 18, "padded"),
    "shuffle": (lambda x: x.view(1, 4, 4, 3, 4).transpose(1, 2).reshape(1, 16, 3, 4), 16, "fails without these"),
    "positions": (lambda x: x * torch.arange(16.0).view(1, 16, 1, 1), 16, "no channel"),
    "fixed width": (lambda x: x.view(x.shape[0], 16, 12).view(x.shape), 16, "fails without these channels"),
    "fixed expand": (
        lambda x: x + x.new_ones(1, 1, 1, 1).expand(-1, 16, 3, 4),
        16,
        "fails without these channels",
    ),
    "width in a factor": (lambda x: x * float(x.shape[1]), 16, "the outputs change"),
    "attention": (lambda x: (x.flatten(2) @ x.flatten(2).transpose(1, 2) @ x.flatten(2)).view_as(x), 16, "sums"),
}


@pytest.mark.parametrize(("operator", "wide", "reason"), BLOCKING.values(), ids=BLOCKING.keys())
def test_what_is_not_understood_stays(
    operator: Callable[[Tensor], Tensor],
    wide: int,
    reason: str,
    liven: Callable[[nn.Module], nn.Module],
) -> None:
    model = liven(OneOperator(operator, wide))
    inputs = (torch.randn(1, 3, 4, 4),) if "pixel" in reason else (image(),)
    graph = without_failures(model, inputs, channel_graph(model, inputs))
    assert slots_with(graph, "conv.0.weight", 0) == []
    assert reason in graph.blocked["conv.0.weight"]


def test_inputs_outputs_and_unused_tensors_are_no_groups() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.auxiliary = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 32, 1)

        def forward(self, x: Tensor) -> Any:
            return self.conv(x)

    graph = channel_graph(Unused(), (image(),))
    assert graph.groups == ()
    assert graph.blocked["conv.weight"] == "it reaches an output of the model"


def test_offsets_behind_a_concatenation() -> None:
    """The second branch lies at 16..39, and the first appears twice."""
    graph = channel_graph(Concat().eval(), (image(0), image(1)))
    by_maker = {group.name: group for group in graph.groups}
    right = next(s for s in by_maker["right.0.weight[0,0]"].slots if s.path == "mix.weight")
    left = next(s for s in by_maker["left.0.weight[0,0]"].slots if s.path == "mix.weight")
    np.testing.assert_array_equal(right.indices[:, 0], np.arange(16, 40))
    np.testing.assert_array_equal(left.indices, np.stack([np.arange(16), np.arange(40, 56)], 1))


def test_shared_tensors_stay_shared() -> None:
    model, inputs = Shared().eval(), (image(0), image(1))
    graph = channel_graph(model, inputs)
    kept = {group.name: np.arange(0, group.size, 2) for group in graph.groups}
    slim = shrink(model, cuts_of(graph, kept))
    tensors = tensors_of(slim)
    assert tensors["tied.weight"] is tensors["again.weight"]
    assert slim.get_submodule("tied").in_channels == 8
