"""The convolution that fusions are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from edge.models.fusion.branch_maps import BranchMaps


def convolution_block(inputs: int, outputs: int, kernel: int = 1) -> nn.Sequential:
    """Convolution of the same size, batch norm and ReLU; in INT8 they are one operation."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def projections(maps: BranchMaps, channels: int) -> nn.ModuleList:
    """A block a modality that brings its map to `channels`."""
    return nn.ModuleList(convolution_block(width, channels) for width in maps.widths)


def spreading_block(maps: BranchMaps, channels: int) -> nn.Sequential:
    """What comes last in a fusion: it lets neighbouring places of a grid, or else the channels alone, meet."""
    return convolution_block(channels, channels, kernel=3 if maps.spatial else 1)
