"""Heads: the fused map to the tensors that the decoders of `io.yaml` read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

TYPICAL_DISTANCE_M = 15.0


class GridHead(nn.Module):
    """Class logits `[B, 1 + classes, h, w]` and ln(distance / 1 m) `[B, 1, h, w]`."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.classes = nn.Conv2d(channels, 1 + classes, kernel_size=1)
        self.distance = nn.Conv2d(channels, 1, kernel_size=1)
        assert self.distance.bias is not None
        nn.init.constant_(self.distance.bias, math.log(TYPICAL_DISTANCE_M))

    def forward(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """Both maps."""
        return self.classes(fused), self.distance(fused)


class VectorHead(nn.Module):
    """Logits `[B, classes]` of the whole scene: events, or one class of several."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.logits = nn.Linear(channels, classes)

    def forward(self, fused: Tensor) -> Tensor:
        """Pools the map over space, then one linear layer."""
        logits: Tensor = self.logits(self.pool(fused).flatten(1))
        return logits
