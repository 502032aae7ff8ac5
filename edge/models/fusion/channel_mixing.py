"""Channel mixing: the maps of all modalities side by side, then convolutions. A missing one is its placeholder."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from edge.models.fusion.convolutions import convolution_block, spreading_block

if TYPE_CHECKING:
    from torch import Tensor

    from edge.models.fusion.branch_maps import BranchMaps


class ChannelMixingConfig(BaseModel):
    """Concatenate, then mix channels by a 1x1 and spread in space by a 3x3 convolution.

    The concatenation fusion of BEVFusion (Liu et al. 2022, arXiv:2205.13542), over the camera's grid.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    reads_placeholders: ClassVar[bool] = True
    reads_places: ClassVar[bool] = False

    kind: Literal["channel_mixing"] = "channel_mixing"
    channels: int = Field(64, ge=8)


class ChannelMixing(nn.Module):
    """Maps `[B, C_m, h, w]` of each modality m to `[B, channels, h, w]`."""

    def __init__(self, maps: BranchMaps, config: ChannelMixingConfig) -> None:
        super().__init__()
        self.out_channels = config.channels
        self.mix = convolution_block(sum(maps.widths), config.channels)
        self.spread = spreading_block(maps, config.channels)

    def forward(self, features: list[Tensor], present: Tensor) -> Tensor:
        """Fuses maps that already share one size; an absent modality's is its placeholder."""
        fused: Tensor = self.spread(self.mix(torch.cat(features, dim=1)))
        return fused
