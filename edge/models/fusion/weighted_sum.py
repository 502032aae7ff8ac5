"""Weighted sum: each modality projected to one width, then a mean with learned weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from edge.models.fusion.absences import factor_of, shares_of
from edge.models.fusion.convolutions import projections, spreading_block
from edge.models.hidden_scores import hiding_scores

if TYPE_CHECKING:
    from torch import Tensor

    from edge.models.fusion.branch_maps import BranchMaps

FREE_WEIGHT = 0.5  # of a modality that is added, before training


class WeightedSumConfig(BaseModel):
    """`z = a x_t + (1 - a) x_i + b x_a`, for any number of modalities.

    The additive fusion of Kiela et al. 2018 (arXiv:1802.02892), with weights by a softmax as in the scalar mix of
    Peters et al. 2018 (arXiv:1802.05365).

    Attributes:
        channels: Width of the sum.
        additive: Modalities with a free weight `b`. The others share weights that sum to 1 over those that are
            present (`a` and `1 - a`): they stand in for each other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    reads_placeholders: ClassVar[bool] = False
    reads_places: ClassVar[bool] = False

    kind: Literal["weighted_sum"]
    channels: int = Field(64, ge=8)
    additive: tuple[str, ...] = ()


class WeightedSum(nn.Module):
    """Maps `[B, C_m, h, w]` of each modality m to `[B, channels, h, w]`.

    Raises:
        ConfigError: `additive` names a modality that the model does not read.
    """

    shared: Tensor

    def __init__(self, maps: BranchMaps, config: WeightedSumConfig) -> None:
        super().__init__()
        maps.demand(config.additive, "fusion.additive")
        self.out_channels = config.channels
        self.projections = projections(maps, config.channels)
        self.logits = nn.Parameter(torch.zeros(len(maps.modalities)))
        self.free = nn.Parameter(torch.full((len(maps.modalities),), FREE_WEIGHT))
        shared = torch.tensor([float(name not in config.additive) for name in maps.modalities])
        self.register_buffer("shared", shared, persistent=False)
        self.spread = spreading_block(maps, config.channels)

    def forward(self, features: list[Tensor], present: Tensor) -> Tensor:
        """Fuses maps that already share one size; what an absent one holds does not count."""
        parts, weights = self._projected(features), self.weights(present)
        total = parts[0] * factor_of(weights, 0)
        for index, part in enumerate(parts[1:], start=1):
            total = total + part * factor_of(weights, index)
        fused: Tensor = self.spread(total)
        return fused

    def weights(self, present: Tensor) -> Tensor:
        """What each modality is multiplied by, float32 `[B, modalities]`; 0 where it is absent."""
        there = present * self.shared
        convex = (self.logits + hiding_scores(there)).softmax(1) * there
        return convex + self.free * present * (1.0 - self.shared)

    def shares(self, features: list[Tensor], present: Tensor) -> Tensor:
        """Of the terms' mean magnitudes, float32 `[B, modalities]`; rows sum to 1 over what is present."""
        magnitudes = torch.stack([part.abs().mean((1, 2, 3)) for part in self._projected(features)], 1)
        return shares_of(magnitudes * self.weights(present).abs(), present)

    def _projected(self, features: list[Tensor]) -> list[Tensor]:
        return [project(x) for project, x in zip(self.projections, features, strict=True)]
