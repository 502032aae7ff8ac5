"""Blocks that YOLOv8, YOLO11 and YOLOX-S are made of, from the descriptions in their publications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable


def layer(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch norm, SiLU."""
    return nn.Sequential(*plain(inputs, outputs, kernel, stride, groups), nn.SiLU())


def plain(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and batch norm."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def leaky(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, leaky ReLU."""
    return nn.Sequential(*plain(inputs, outputs, kernel, stride), nn.LeakyReLU(0.1))


class Residual(nn.Module):
    """Layers, and a way around them where `around` says so."""

    def __init__(self, *layers: nn.Module, around: bool = True) -> None:
        super().__init__()
        self.layers, self.around = nn.Sequential(*layers), around

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        y: Tensor = self.layers(x)
        return x + y if self.around else y


class SplitStage(nn.Module):
    """A 1x1 convolution, split in two; the second half goes through blocks one after another; all are joined."""

    def __init__(
        self, inputs: int, outputs: int, depth: int, block: Callable[[int], nn.Module], share: float = 0.5
    ) -> None:
        super().__init__()
        self.hidden = int(outputs * share)
        self.enter = layer(inputs, 2 * self.hidden)
        self.blocks = nn.ModuleList(block(self.hidden) for _ in range(depth))
        self.leave = layer((2 + depth) * self.hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, outputs, h, w]`."""
        parts = list(self.enter(x).split(self.hidden, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        joined: Tensor = self.leave(torch.cat(parts, 1))
        return joined


class CrossStage(nn.Module):
    """Two 1x1 convolutions; behind the first come blocks; both are joined."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        depth: int,
        around: bool = True,
        make: Callable[..., nn.Module] = layer,
        first: int = 3,
    ) -> None:
        super().__init__()
        hidden = outputs // 2
        self.main, self.side = make(inputs, hidden), make(inputs, hidden)
        self.blocks = nn.Sequential(
            *(Residual(make(hidden, hidden, first), make(hidden, hidden, 3), around=around) for _ in range(depth))
        )
        self.leave = make(2 * hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, outputs, h, w]`."""
        joined: Tensor = self.leave(torch.cat([self.blocks(self.main(x)), self.side(x)], 1))
        return joined


class PooledPyramid(nn.Module):
    """A 1x1 convolution, pooled three times, all joined, and a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter, self.leave = layer(channels, channels // 2), layer(2 * channels, channels)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        parts = [self.enter(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        joined: Tensor = self.leave(torch.cat(parts, 1))
        return joined


class Attention(nn.Module):
    """Self-attention over positions, with a depthwise convolution of the values as position code."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = channels // 64
        self.value = channels // self.heads
        self.key = self.value // 2
        self.mix = plain(channels, channels + 2 * self.heads * self.key)
        self.position, self.project = plain(channels, channels, 3, groups=channels), plain(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        batch, channels, height, width = x.shape
        mixed = self.mix(x).view(batch, self.heads, 2 * self.key + self.value, height * width)
        query, key, value = mixed.split([self.key, self.key, self.value], 2)
        weights = ((query.transpose(-2, -1) @ key) * self.key**-0.5).softmax(-1)
        seen = (value @ weights.transpose(-2, -1)).view(batch, channels, height, width)
        projected: Tensor = self.project(seen + self.position(value.reshape(batch, channels, height, width)))
        return projected


class AttentionStage(nn.Module):
    """Half of the channels go through attention blocks, and are joined with the other half."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.half = channels // 2
        self.enter, self.leave = layer(channels, channels), layer(channels, channels)
        self.blocks = nn.Sequential(*(self._block(self.half) for _ in range(depth)))

    @staticmethod
    def _block(channels: int) -> nn.Sequential:
        wide = Residual(layer(channels, 2 * channels), plain(2 * channels, channels))
        return nn.Sequential(Residual(Attention(channels)), wide)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        kept, seen = self.enter(x).split(self.half, 1)
        joined: Tensor = self.leave(torch.cat([kept, self.blocks(seen)], 1))
        return joined
