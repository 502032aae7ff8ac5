"""Heads of attention: found, cut whole, and the rest computes what it did."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from transformers import ViTConfig, ViTModel

from edge.compress.aten_graph import tensors_of
from edge.compress.mac_count import macs
from edge.compress.prune.attention import SeparateAttention, separate_attention
from edge.compress.prune.slimming import PruneConfig, apply, plan

if TYPE_CHECKING:
    from collections.abc import Callable

HEADS, WIDTH, FEATURES = 4, 8, 32


class Vision(nn.Module):
    """A ViT of transformers, with its own or with torch's attention kernel."""

    def __init__(self, kernel: str) -> None:
        super().__init__()
        config = ViTConfig(
            hidden_size=FEATURES,
            num_hidden_layers=1,
            num_attention_heads=HEADS,
            intermediate_size=48,
            image_size=16,
            patch_size=8,
            attn_implementation=kernel,
        )
        self.vit, self.head = ViTModel(config, add_pooling_layer=False), nn.Linear(FEATURES, 3)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.vit(x).last_hidden_state[:, 0])


class Packed(nn.Module):
    """`nn.MultiheadAttention` whose weights nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(FEATURES, HEADS, batch_first=True), nn.Linear(FEATURES, 3)

    def forward(self, x: Tensor) -> Any:
        return self.head(x + self.attention(x, x, x)[0])


class Fused(nn.Module):
    """Queries, keys and values from one layer, the number of heads an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.head_dim = HEADS, WIDTH
        self.qkv, self.proj = nn.Linear(FEATURES, 3 * FEATURES), nn.Linear(FEATURES, 3)

    def forward(self, x: Tensor) -> Any:
        qkv = self.qkv(x).reshape(*x.shape[:2], 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        mixed = (q @ k.transpose(-2, -1) * self.head_dim**-0.5).softmax(-1) @ v
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Remembering(nn.Module):
    """Three attributes that remember widths."""

    def __init__(self) -> None:
        super().__init__()
        self.num_attention_heads, self.attention_head_size, self.all_head_size = HEADS, WIDTH, FEATURES
        self.query, self.key, self.value = (nn.Linear(FEATURES, FEATURES) for _ in range(3))
        self.out = nn.Linear(FEATURES, 3)

    def forward(self, x: Tensor) -> Any:
        q, k, v = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        mixed = functional.scaled_dot_product_attention(q, k, v).permute(0, 2, 1, 3).contiguous()
        return self.out(mixed.view(*mixed.shape[:2], self.all_head_size))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.num_attention_heads, self.attention_head_size).permute(0, 2, 1, 3)


def tokens(batch: int = 2) -> Tensor:
    return torch.randn(batch, 5, FEATURES, generator=torch.Generator().manual_seed(1))


def layer() -> nn.Module:
    return nn.TransformerEncoderLayer(FEATURES, HEADS, 48, batch_first=True)


# How it is built, its input, and which layer reads the heads.
FORMS: dict[str, tuple[Callable[[], nn.Module], Tensor, str]] = {
    "vit, torch kernel": (lambda: Vision("sdpa"), torch.randn(2, 3, 16, 16), "vit.layers.0.attention.o_proj"),
    "vit, own kernel": (lambda: Vision("eager"), torch.randn(2, 3, 16, 16), "vit.layers.0.attention.o_proj"),
    "packed": (Packed, tokens(), "attention.out_proj"),
    "encoder layer": (layer, tokens(), "self_attn.out_proj"),
    "fused": (Fused, tokens(), "proj"),
    "remembering": (Remembering, tokens(), "out"),
}


@pytest.mark.parametrize(("build", "x", "reader"), FORMS.values(), ids=FORMS)
def test_whole_heads_go(build: Callable[[], nn.Module], x: Tensor, reader: str) -> None:
    """Two of four heads; the outputs are those of the whole model that ignores the other two."""
    torch.manual_seed(0)
    model = build().eval()
    chosen = plan(model, (x,), PruneConfig(ratio=0.5, importance="norm", keep=("*mlp*", "linear*")))
    heads = [g for g in chosen.groups if g.channels == HEADS and g.unit in (WIDTH, 3 * WIDTH)]
    assert [(g.kept, g.unit % WIDTH) for g in heads] == [(2, 0)]
    columns = chosen.kept[f"{reader}.weight"][1]
    assert len(columns) == 2 * WIDTH
    assert {index // WIDTH for index in columns} == {index // WIDTH for index in columns[::WIDTH]}  # whole heads

    whole, _ = separate_attention(copy.deepcopy(model))
    weight = tensors_of(whole)[f"{reader}.weight"]
    gone = [index for index in range(FEATURES) if index not in columns]
    weight.data[:, gone] = 0
    slim = apply(model, chosen)
    with torch.no_grad():
        torch.testing.assert_close(slim(x), whole(x), rtol=1e-4, atol=1e-5)
    assert macs(slim, (x,)) == chosen.macs_after < chosen.macs_before


def test_heads_count_with_their_width_where_widths_are_aligned() -> None:
    """Multiples of 16 of heads that are 8 wide: an even number of them, and never fewer than `minimum`."""
    model = Fused().eval()
    one = PruneConfig(ratio=0.7, importance="norm", align=16, minimum=8)
    assert plan(model, (tokens(),), one).groups[0].kept == 2  # 4 -> 1.2 heads; 2 are the fewest even ones
    chosen = plan(model, (tokens(),), one.model_copy(update={"align": 8}))
    assert chosen.groups[0].kept == 1


def test_products_count_in_a_target_of_macs() -> None:
    """The search counts the products of the heads that stay, as the pruned model does."""
    x = torch.randn(1, 64, FEATURES)  # long: products are half of the work
    chosen = plan(Remembering().eval(), (x,), PruneConfig(macs_ratio=0.5, importance="norm"))
    assert [(group.kept, group.channels) for group in chosen.groups] == [(2, 4)]
    assert chosen.macs_ratio <= 0.5


def test_heads_that_an_output_shows_stay() -> None:
    class Showing(Packed):
        def forward(self, x: Tensor) -> Any:
            mixed, weights = self.attention(x, x, x, average_attn_weights=False)
            return self.head(x + mixed), weights

    config = PruneConfig(ratio=0.5, importance="norm")
    from edge.runtime.errors import ConfigError

    with pytest.raises(ConfigError, match="no channel of this model can be pruned"):
        plan(Showing().eval(), (tokens(),), config)


@settings(deadline=None, max_examples=40)
@given(
    batch_first=st.booleans(),
    bias=st.booleans(),
    weights=st.booleans(),
    average=st.booleans(),
    batched=st.booleans(),
    mask=st.sampled_from(["none", "boolean", "added", "by head"]),
    padded=st.booleans(),
    other_widths=st.booleans(),
)
def test_taken_apart_it_computes_the_same(
    batch_first: bool,
    bias: bool,
    weights: bool,
    average: bool,
    batched: bool,
    mask: str,
    padded: bool,
    other_widths: bool,
) -> None:
    torch.manual_seed(0)
    widths = {"kdim": 12, "vdim": 20} if other_widths else {}
    packed = nn.MultiheadAttention(FEATURES, HEADS, bias=bias, batch_first=batch_first, **widths).eval()
    sizes = [(2, 5, FEATURES), (2, 7, widths.get("kdim", FEATURES)), (2, 7, widths.get("vdim", FEATURES))]
    inputs = [torch.randn(size) for size in sizes]
    if not batched:
        inputs = [x[0] for x in inputs]
    elif not batch_first:
        inputs = [x.transpose(0, 1) for x in inputs]
    rows = HEADS * (2 if batched else 1)
    drawn = torch.rand(5, 7) > 0.6
    drawn[:, 0] = False
    masks = {"none": None, "boolean": drawn, "added": torch.randn(5, 7), "by head": torch.randn(rows, 5, 7)}
    padding = torch.zeros(*((2, 7) if batched else (7,)), dtype=torch.bool)
    padding[..., 5:] = True
    options: dict[str, Any] = {
        "attn_mask": masks[mask],
        "key_padding_mask": padding if padded else None,
        "need_weights": weights,
        "average_attn_weights": average,
    }
    with torch.no_grad():
        expected, found = packed(*inputs, **options), SeparateAttention(packed)(*inputs, **options)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-4, atol=1e-5)
    assert (found[1] is None) == (expected[1] is None)
    if expected[1] is not None:
        torch.testing.assert_close(found[1], expected[1], rtol=1e-4, atol=1e-5)


def test_what_cannot_be_taken_apart_stays() -> None:
    model = nn.ModuleDict({"a": nn.MultiheadAttention(8, 2, add_bias_kv=True), "b": nn.MultiheadAttention(8, 2)})
    separated, paths = separate_attention(model)
    assert paths == ("b",)
    assert isinstance(model["b"], nn.MultiheadAttention)  # the model itself is left alone
    assert type(separated.get_submodule("a")) is nn.MultiheadAttention
    assert separate_attention(separated) == (separated, ())
