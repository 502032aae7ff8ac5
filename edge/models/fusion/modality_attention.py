"""Modality attention: per sample and head, how much each modality counts; absent ones do not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from edge.models.fusion.absences import factor_of, shares_of
from edge.models.fusion.convolutions import projections, spreading_block
from edge.models.hidden_scores import hiding_scores

if TYPE_CHECKING:
    from torch import Tensor

    from edge.models.fusion.branch_maps import BranchMaps


class ModalityAttentionConfig(BaseModel):
    """Scaled dot-product attention (Vaswani et al. 2017, arXiv:1706.03762) whose keys are the modalities.

    Attributes:
        channels: Width of values, keys and result.
        heads: Parts of the channels that weigh the modalities each on their own.
        query: `learned`, the same for all samples, as attention pooling has it (Ilse et al. 2018, arXiv:1802.04712); or
            made of the `mean` of what is present.

    Raises:
        ValueError: The heads do not divide the channels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    reads_placeholders: ClassVar[bool] = False
    reads_places: ClassVar[bool] = False

    kind: Literal["modality_attention"]
    channels: int = Field(64, ge=8)
    heads: int = Field(4, ge=1)
    query: Literal["learned", "mean"] = "learned"

    @model_validator(mode="after")
    def _heads_divide_channels(self) -> ModalityAttentionConfig:
        if self.channels % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {self.channels} channels")
        return self


class ModalityAttention(nn.Module):
    """Maps `[B, C_m, h, w]` of each modality m to `[B, channels, h, w]`.

    Keys are of the maps' means, so that a sample's weights hold for its whole grid. The number of heads follows from
    the layers' widths: pruning takes whole heads.
    """

    def __init__(self, maps: BranchMaps, config: ModalityAttentionConfig) -> None:
        super().__init__()
        channels, self.head_width = config.channels, config.channels // config.heads
        self.out_channels = channels
        self.projections = projections(maps, channels)
        self.keys = nn.ModuleList(nn.Linear(channels, channels) for _ in maps.modalities)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.ask = nn.Linear(channels, channels) if config.query == "mean" else None
        if self.ask is None:
            self.query = nn.Parameter(torch.randn(1, channels) / math.sqrt(self.head_width))
        self.spread = spreading_block(maps, channels)

    def forward(self, features: list[Tensor], present: Tensor) -> Tensor:
        """Fuses maps that already share one size; what an absent one holds does not count."""
        values = self._values(features)
        weights = self._weights(values, present)
        total = self._weighed(values[0], weights[..., 0])
        for index, value in enumerate(values[1:], start=1):
            total = total + self._weighed(value, weights[..., index])
        fused: Tensor = self.spread(total)
        return fused

    def shares(self, features: list[Tensor], present: Tensor) -> Tensor:
        """Mean weights over the heads, float32 `[B, modalities]`; rows sum to 1 over what is present."""
        return shares_of(self._weights(self._values(features), present).mean(1), present)

    def _values(self, features: list[Tensor]) -> list[Tensor]:
        return [project(x) for project, x in zip(self.projections, features, strict=True)]

    def _weights(self, values: list[Tensor], present: Tensor) -> Tensor:
        """`[B, heads, modalities]`, 0 for what is absent."""
        means = [self.pool(value).flatten(1) for value in values]
        query = self._query(means, present)
        keys = [self._heads(key(mean)) for key, mean in zip(self.keys, means, strict=True)]
        scores = torch.stack([(query * key).sum(-1) for key in keys], -1) / math.sqrt(self.head_width)
        return (scores + hiding_scores(present).unsqueeze(1)).softmax(-1) * present.unsqueeze(1)

    def _query(self, means: list[Tensor], present: Tensor) -> Tensor:
        """`[B or 1, heads, width]`."""
        if self.ask is None:
            return self._heads(self.query)
        there = present / present.sum(1, keepdim=True).clamp(min=1.0)
        total = means[0] * factor_of(there, 0).flatten(1)
        for index, mean in enumerate(means[1:], start=1):
            total = total + mean * factor_of(there, index).flatten(1)
        return self._heads(self.ask(total))

    def _heads(self, x: Tensor) -> Tensor:
        """`[B, channels]` to `[B, heads, width]`."""
        return x.reshape(x.shape[0], -1, self.head_width)

    def _weighed(self, value: Tensor, weight: Tensor) -> Tensor:
        """A map whose heads are multiplied by their weights `[B, heads]`."""
        batch, _, height, width = value.shape
        heads = value.reshape(batch, -1, self.head_width, height, width)
        weighed = heads * weight.reshape(batch, -1, 1, 1, 1)
        return weighed.reshape(batch, -1, height, width)
