"""Gated residual: the mean of what is present, corrected modality by modality behind gates that see all."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from edge.models.fusion.absences import factor_of, shares_of
from edge.models.fusion.convolutions import convolution_block, projections, spreading_block

if TYPE_CHECKING:
    from torch import Tensor

    from edge.models.fusion.branch_maps import BranchMaps


class GatedResidualConfig(BaseModel):
    """`z = mean_m p_m + sum_m g_m * c_m`, over the present modalities m.

    `p_m` and `c_m` are projections of the modality, the gate `g_m` in 0..1 is a sigmoid of all of them: the gated
    multimodal unit (Arevalo et al. 2017, arXiv:1702.01992) as a correction of the mean, which stays where the gates
    close.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    reads_placeholders: ClassVar[bool] = False
    reads_places: ClassVar[bool] = False

    kind: Literal["gated_residual"]
    channels: int = Field(64, ge=8)


class GatedResidual(nn.Module):
    """Maps `[B, C_m, h, w]` of each modality m to `[B, channels, h, w]`."""

    def __init__(self, maps: BranchMaps, config: GatedResidualConfig) -> None:
        super().__init__()
        count, channels = len(maps.modalities), config.channels
        self.out_channels = channels
        self.projections = projections(maps, channels)
        self.corrections = nn.ModuleList(convolution_block(channels, channels) for _ in range(count))
        self.gates = nn.ModuleList(nn.Conv2d(count * channels, channels, 1) for _ in range(count))
        self.spread = spreading_block(maps, channels)

    def forward(self, features: list[Tensor], present: Tensor) -> Tensor:
        """Fuses maps that already share one size; what an absent one holds does not count."""
        first, *others = self._terms(features, present)
        for term in others:
            first = first + term
        fused: Tensor = self.spread(first)
        return fused

    def shares(self, features: list[Tensor], present: Tensor) -> Tensor:
        """Of the terms' mean magnitudes, float32 `[B, modalities]`; rows sum to 1 over what is present."""
        terms = self._terms(features, present)
        return shares_of(torch.stack([term.abs().mean((1, 2, 3)) for term in terms], 1), present)

    def _terms(self, features: list[Tensor], present: Tensor) -> list[Tensor]:
        """What each modality adds: its part of the mean, and its gated correction."""
        parts = [
            project(x) * factor_of(present, index)
            for index, (project, x) in enumerate(zip(self.projections, features, strict=True))
        ]
        context, means = torch.cat(parts, 1), present / present.sum(1, keepdim=True).clamp(min=1.0)
        return [
            part * factor_of(means, index) + correct(part) * (gate(context).sigmoid() * factor_of(present, index))
            for index, (part, correct, gate) in enumerate(zip(parts, self.corrections, self.gates, strict=True))
        ]
