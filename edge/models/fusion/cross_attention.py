"""Cross-attention: latent queries read the maps of all modalities, place by place."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from edge.models.fusion.absences import shares_of
from edge.models.fusion.convolutions import spreading_block
from edge.models.fusion.reading_layer import ReadingLayer
from edge.models.hidden_scores import hiding_scores

if TYPE_CHECKING:
    from torch import Tensor

    from edge.models.fusion.branch_maps import BranchMaps

PLACE_SCALE = 0.02  # of the embeddings of places and latents, as transformers initialise them


class CrossAttentionConfig(BaseModel):
    """A transformer whose queries are learned and whose keys are the modalities' features.

    Without a grid, the latents attend to every place of every map (Perceiver: Jaegle et al. 2021, arXiv:2103.03206;
    attention pooling: Lee et al. 2019, arXiv:1810.00825). With one, each cell has a latent of its own, which attends to
    the modalities at that cell, so that the cost does not grow with the square of the grid.

    Attributes:
        channels: Width of latents, keys and result.
        layers: How often the latents read.
        heads: Of each attention.
        tokens: Latents, whose mean is the result; a grid has one a cell.
        expansion: Width inside a layer's perceptron, in `channels`.

    Raises:
        ValueError: The heads do not divide the channels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    reads_placeholders: ClassVar[bool] = False
    reads_places: ClassVar[bool] = True

    kind: Literal["cross_attention"]
    channels: int = Field(64, ge=8)
    layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    tokens: int = Field(4, ge=1)
    expansion: int = Field(2, ge=1)

    @model_validator(mode="after")
    def _heads_divide_channels(self) -> CrossAttentionConfig:
        if self.channels % self.heads:
            raise ValueError(f"{self.heads} heads do not divide {self.channels} channels")
        return self


class CrossAttention(nn.Module):
    """Maps `[B, C_m, h_m, w_m]` of each modality m to `[B, channels, *grid]`, or `[B, channels, 1, 1]` without a grid.

    The embeddings of places are learned, so that inputs have one size.
    """

    def __init__(self, maps: BranchMaps, config: CrossAttentionConfig) -> None:
        super().__init__()
        channels, self.grid = config.channels, maps.grid
        self.out_channels = channels
        self.places = [1 if maps.spatial else height * width for height, width in maps.sizes]
        self.projections = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in maps.widths)
        self.place = nn.Parameter(torch.randn(1, 1, sum(self.places), channels) * PLACE_SCALE)
        self.latents = nn.Parameter(torch.randn(1, 1, 1 if maps.spatial else config.tokens, channels) * PLACE_SCALE)
        self.norm = nn.LayerNorm(channels)
        self.layers = nn.ModuleList(
            ReadingLayer(channels, config.heads, config.expansion * channels) for _ in range(config.layers)
        )
        self.spread = spreading_block(maps, channels)

    def forward(self, features: list[Tensor], present: Tensor) -> Tensor:
        """Fuses the maps; what an absent one holds does not count."""
        latents, _ = self._read(features, present)
        cells = latents.mean(2).transpose(1, 2)
        fused: Tensor = self.spread(cells.reshape(present.shape[0], -1, *(self.grid or (1, 1))))
        return fused

    def shares(self, features: list[Tensor], present: Tensor) -> Tensor:
        """Attention that each modality gets, mean over layers, latents, heads and cells: float32 `[B, modalities]`."""
        _, weights = self._read(features, present)
        by_place = torch.stack([w.mean((1, 2, 3)) for w in weights]).mean(0)
        return shares_of(torch.stack([part.sum(1) for part in by_place.split(self.places, 1)], 1), present)

    def _read(self, features: list[Tensor], present: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The latents `[B, cells, tokens, channels]` after all layers, and the attention of each layer."""
        tokens = self.norm(self._tokens(features) + self.place)
        hiding = self._hiding(present)
        latents = self.latents.expand(tokens.shape[0], tokens.shape[1], -1, -1)
        weights = []
        for layer in self.layers:
            latents, attention = layer(latents, tokens, hiding)
            weights.append(attention)
        return latents, weights

    def _tokens(self, features: list[Tensor]) -> Tensor:
        """`[B, cells, modalities, channels]` of a grid, else `[B, 1, places of all maps, channels]`."""
        rows = [project(x).flatten(2).transpose(1, 2) for project, x in zip(self.projections, features, strict=True)]
        return torch.cat(rows, 1).unsqueeze(1) if self.grid is None else torch.stack(rows, 2)

    def _hiding(self, present: Tensor) -> Tensor:
        """`[B, 1, 1, 1, places]`."""
        scores = hiding_scores(present)
        parts = [scores[:, index : index + 1].expand(-1, count) for index, count in enumerate(self.places)]
        return torch.cat(parts, 1).unsqueeze(1).unsqueeze(1).unsqueeze(1)
