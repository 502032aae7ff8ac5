"""`torch.nn.MultiheadAttention` with its packed projections taken apart, so that it can lose heads.

The original computes the width of a head from its embedding's width and number of heads, so it has no form with fewer
heads than that. This one computes the number of heads from the projections that it has.
"""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Collection


class SeparateAttention(nn.Module):
    """Attention with a linear layer each for queries, keys, values and the output; as many heads as those are wide.

    Takes what `nn.MultiheadAttention` takes, and computes the same.

    Args:
        packed: What it replaces: without `bias_k`, `bias_v` and `add_zero_attn`. Its tensors are copied.
    """

    in_proj_bias = None  # keeps nn.TransformerEncoderLayer off its fused kernel, which reads the packed tensors
    _qkv_same_embed_dim = False

    def __init__(self, packed: nn.MultiheadAttention) -> None:
        super().__init__()
        self.head_dim: int = packed.head_dim
        self.batch_first, self.dropout = packed.batch_first, packed.dropout
        weights, biases = _projections(packed)
        self.q_proj, self.k_proj, self.v_proj = map(_linear, weights, biases)
        self.out_proj = _linear(packed.out_proj.weight, packed.out_proj.bias)
        self.train(packed.training)

    @property
    def num_heads(self) -> int:
        """How many heads are left."""
        width: int = self.q_proj.out_features
        return width // self.head_dim

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As `nn.MultiheadAttention`: `[B, L, E]` where `batch_first`, else `[L, B, E]`, or `[L, E]`.

        `is_causal` is a hint about `attn_mask`, which is what counts.
        """
        swap = query.dim() == 3 and not self.batch_first
        query, key, value = (x.transpose(0, 1) if swap else x for x in (query, key, value))
        q, k, v = self._heads(self.q_proj(query)), self._heads(self.k_proj(key)), self._heads(self.v_proj(value))
        mask = _joined_mask(attn_mask, key_padding_mask, q)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = q @ k.transpose(-2, -1) / math.sqrt(self.head_dim)
            weights = (scores if mask is None else scores + mask).softmax(-1)
            mixed = functional.dropout(weights, dropout) @ v
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v, mask, dropout)
        out = self.out_proj(mixed.transpose(-3, -2).flatten(-2))
        if weights is not None and average_attn_weights:
            weights = weights.mean(-3)
        return (out.transpose(0, 1) if swap else out), weights

    def _heads(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (-1, self.head_dim))
        return heads.transpose(-3, -2)


def separate_attention(model: nn.Module, paths: Collection[str] | None = None) -> tuple[nn.Module, tuple[str, ...]]:
    """A deep copy of a model whose attention modules can lose heads; the model itself where there are none.

    Args:
        model: Not changed.
        paths: Which modules to replace; all that can be where it is not given.

    Returns:
        The model, and the paths of the modules that were replaced.
    """
    found = tuple(path for path, module in model.named_modules() if _can_separate(module))
    chosen = tuple(path for path in found if paths is None or path in paths)
    if not chosen:
        return model, ()
    separated = copy.deepcopy(model)
    done: dict[nn.Module, SeparateAttention] = {}
    for path in chosen:
        packed = separated.get_submodule(path)
        assert isinstance(packed, nn.MultiheadAttention)
        owner, _, name = path.rpartition(".")
        module = done.setdefault(packed, SeparateAttention(packed))
        if not path:
            return module, chosen
        setattr(separated.get_submodule(owner), name, module)
    return separated, chosen


def _can_separate(module: nn.Module) -> bool:
    return type(module) is nn.MultiheadAttention and module.bias_k is None and not module.add_zero_attn


def _projections(packed: nn.MultiheadAttention) -> tuple[tuple[Tensor, ...], tuple[Tensor | None, ...]]:
    """Weights and biases of queries, keys and values."""
    bias = packed.in_proj_bias
    biases = (None, None, None) if bias is None else bias.chunk(3)
    if packed.in_proj_weight is not None:
        return packed.in_proj_weight.chunk(3), biases
    return (packed.q_proj_weight, packed.k_proj_weight, packed.v_proj_weight), biases


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    linear.weight = nn.Parameter(weight.detach().clone(), weight.requires_grad)
    if bias is not None:
        linear.bias = nn.Parameter(bias.detach().clone(), bias.requires_grad)
    return linear


def _joined_mask(attention: Tensor | None, padding: Tensor | None, query: Tensor) -> Tensor | None:
    """Both masks as what is added to the scores `[..., heads, queries, keys]`; True in a boolean one hides."""
    joined = None
    if attention is not None:  # one for all heads, or `[B * heads, queries, keys]`
        joined = _added(attention, query.dtype)
        joined = joined.view(query.shape[:-2] + joined.shape[-2:]) if attention.dim() == 3 else joined
    if padding is not None:  # `[B, keys]`
        hidden = _added(padding, query.dtype).unsqueeze(-2).unsqueeze(-2)
        joined = hidden if joined is None else joined + hidden
    return joined


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype is not torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, -math.inf)
