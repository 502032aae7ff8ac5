"""Channel mixing: the maps of all modalities side by side, then convolutions. A missing one is its placeholder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class ChannelMixingConfig(BaseModel):
    """Concatenate, then mix channels by a 1x1 and spread in space by a 3x3 convolution."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["channel_mixing"] = "channel_mixing"
    channels: int = Field(64, ge=8)


def _block(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class ChannelMixing(nn.Module):
    """Maps `[B, C_m, h, w]` of each modality m to `[B, channels, h, w]`."""

    def __init__(self, inputs: Sequence[int], config: ChannelMixingConfig, *, spatial: bool) -> None:
        super().__init__()
        self.out_channels = config.channels
        self.mix = _block(sum(inputs), config.channels, kernel=1)
        self.spread = _block(config.channels, config.channels, kernel=3 if spatial else 1)

    def forward(self, features: list[Tensor], present: Tensor) -> Tensor:
        """Fuses maps that already share one size."""
        fused: Tensor = self.spread(self.mix(torch.cat(features, dim=1)))
        return fused
