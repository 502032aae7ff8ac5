"""Random small nets of branches that meet by concat and add, with heads, groups and gates: pruned, they compute on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from edge.compress.mac_count import macs
from edge.compress.prune.graph import channel_graph, cuts_of
from edge.compress.prune.surgery import shrink
from edge.compress.prune.trial import masked, without_failures

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCKS = ("conv", "residual", "grouped", "depthwise", "gate", "chunk", "heads", "squeeze", "shuffle")
WIDTHS = (8, 16, 24)


class Block(nn.Module):
    """Keeps the number of channels, whatever it does inside."""

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.kind, self.width = kind, width
        wide = 2 * width if kind in ("gate", "chunk") else width
        groups = {"grouped": 4, "depthwise": width}.get(kind, 1)
        self.first = nn.Conv2d(width, wide, 3, padding=1, groups=groups)
        self.second = nn.Conv2d(width, width, 1)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x: Tensor) -> Any:
        run: Callable[[Tensor], Tensor] = getattr(self, f"_{self.kind}", self._plain)
        return run(x)

    def _plain(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu())  # type: ignore[no-any-return]

    def _residual(self, x: Tensor) -> Tensor:
        return x + self._plain(x)

    def _gate(self, x: Tensor) -> Tensor:
        return self.second(functional.glu(self.first(x), 1))  # type: ignore[no-any-return]

    def _chunk(self, x: Tensor) -> Tensor:
        left, right = self.first(x).chunk(2, 1)
        return self.second(left.relu() * right)  # type: ignore[no-any-return]

    def _squeeze(self, x: Tensor) -> Tensor:
        return x * self.second(self.first(x).mean((2, 3), keepdim=True)).sigmoid()  # type: ignore[no-any-return]

    def _shuffle(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(x.view(len(x), 2, self.width // 2, *x.shape[2:]).transpose(1, 2).reshape(x.shape))  # type: ignore[no-any-return]

    def _heads(self, x: Tensor) -> Tensor:
        places = x.flatten(2).transpose(1, 2)
        q, k, v = (f(places).unflatten(-1, (-1, 4)).transpose(1, 2) for f in (self.query, self.key, self.value))
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.second(mixed.transpose(1, 2).reshape(len(x), -1, *x.shape[2:]))  # type: ignore[no-any-return]


class Branches(nn.Module):
    """Two inputs; each branch its blocks; they meet by concat, or by add where they are equally wide."""

    def __init__(self, kinds: tuple[tuple[str, ...], tuple[str, ...]], widths: tuple[int, int], add: bool) -> None:
        super().__init__()
        self.add = add and widths[0] == widths[1]
        self.stems = nn.ModuleList(nn.Conv2d(3, width, 3, padding=1) for width in widths)
        pairs = zip(kinds, widths, strict=True)
        self.blocks = nn.ModuleList(nn.Sequential(*(Block(kind, w) for kind in chain)) for chain, w in pairs)
        self.mix = nn.Conv2d(widths[0] if self.add else sum(widths), 16, 1)
        self.head = nn.Linear(16, 3)

    def forward(self, x: Tensor, y: Tensor) -> Any:
        parts = zip(self.stems, self.blocks, (x, y), strict=True)
        first, second = (blocks(stem(z).relu()) for stem, blocks, z in parts)
        met = first + second if self.add else torch.cat([first, second], 1)
        return self.head(self.mix(met).relu().mean((2, 3)))


chains = st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=3).map(tuple)


@settings(deadline=None, max_examples=25)
@given(
    kinds=st.tuples(chains, chains),
    widths=st.tuples(st.sampled_from(WIDTHS), st.sampled_from(WIDTHS)),
    add=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_any_channels_may_go(
    kinds: tuple[tuple[str, ...], tuple[str, ...]], widths: tuple[int, int], add: bool, seed: int
) -> None:
    """Kept channels are drawn, other than the trial's; pruned it equals the model whose readers ignore the rest."""
    torch.manual_seed(seed)
    model = Branches(kinds, widths, add).eval()
    inputs = (torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4))
    graph = without_failures(model, inputs, channel_graph(model, inputs))
    assert graph.groups  # the two stems or what follows them
    if "shuffle" not in kinds[0] + kinds[1]:
        assert not any("fails" in reason for reason in graph.blocked.values())
    rng = np.random.default_rng(seed)
    kept = {g.name: np.sort(rng.permutation(g.size)[: rng.integers(1, g.size + 1)]) for g in graph.groups}
    slim = shrink(model, cuts_of(graph, kept))
    with torch.no_grad():
        expected = masked(model, graph, kept)(*inputs)
        torch.testing.assert_close(slim(*inputs), expected, rtol=1e-3, atol=1e-4)
    assert macs(slim, inputs) <= macs(model, inputs)
