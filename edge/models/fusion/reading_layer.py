"""A transformer layer in which latents read tokens that they do not change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class ReadingLayer(nn.Module):
    """Cross-attention and a perceptron, each behind a layer norm and beside a residual (pre-norm).

    The number of heads follows from the layers' widths: pruning takes whole heads.

    Args:
        channels: Width of latents and tokens.
        heads: Of the attention; they divide `channels`.
        hidden: Width inside the perceptron.
    """

    def __init__(self, channels: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.head_width = channels // heads
        self.norm, self.mlp_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.q_proj, self.k_proj = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.v_proj, self.out_proj = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, latents: Tensor, tokens: Tensor, hiding: Tensor) -> tuple[Tensor, Tensor]:
        """One reading.

        Args:
            latents: `[B, cells, T, channels]`.
            tokens: Normalised, `[B, cells, L, channels]`.
            hiding: Added to the scores, `[B, 1, 1, 1, L]`.

        Returns:
            The latents, and the attention `[B, cells, heads, T, L]`.
        """
        query, key = self._heads(self.q_proj(self.norm(latents))), self._heads(self.k_proj(tokens))
        scores = query @ key.transpose(-2, -1) / math.sqrt(self.head_width)
        attention = (scores + hiding).softmax(-1)
        mixed = (attention @ self._heads(self.v_proj(tokens))).transpose(-3, -2)
        latents = latents + self.out_proj(mixed.flatten(-2))
        latents = latents + self.mlp(self.mlp_norm(latents))
        return latents, attention

    def _heads(self, x: Tensor) -> Tensor:
        """`[B, cells, N, C]` to `[B, cells, heads, N, width]`."""
        return x.reshape(*x.shape[:-1], -1, self.head_width).transpose(-3, -2)
