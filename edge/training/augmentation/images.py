"""Pictures and lidar views, varied."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from edge.training.augmentation.draws import (
    chosen_samples,
    drawn_between,
    drawn_steps,
    drawn_stretch,
    gaussian_like,
    moved,
    per_sample,
)

if TYPE_CHECKING:
    from torch import Tensor

    from edge.runtime.model_io import LidarViewInput
    from edge.training.augmentation.config import ImageAugmentConfig, LidarViewAugmentConfig


def vary_images(x: Tensor, config: ImageAugmentConfig, generator: torch.Generator) -> Tensor:
    """Moves, mirrors, lights and blanks pictures float32 `[B, C, H, W]`, each sample in its own way."""
    if config.shift:
        for axis in (2, 3):
            x = moved(x, drawn_steps(round(config.shift * x.shape[axis]), len(x), generator), axis)
    if config.flip:
        x = torch.where(per_sample(chosen_samples(config.flip, len(x), generator), x), x.flip(3), x)
    if config.contrast:
        mean = x.mean((1, 2, 3), keepdim=True)
        x = mean + (x - mean) * drawn_between(1 - config.contrast, 1 + config.contrast, x, generator)
    if config.brightness:
        x = x + drawn_between(-config.brightness, config.brightness, x, generator)
    if config.noise:
        x = x + drawn_between(0, config.noise, x, generator) * gaussian_like(x, generator)
    return _cut_out(x, config.cutout, generator) if config.cutout else x


def _cut_out(x: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Blanks one rectangle a sample: 0 is the mean of a normalised picture."""
    height, width = x.shape[2:]
    rows = drawn_stretch(round(largest * height), height, len(x), generator)
    columns = drawn_stretch(round(largest * width), width, len(x), generator)
    return x.masked_fill((rows[:, :, None] & columns[:, None])[:, None], 0.0)


def vary_lidar_views(
    x: Tensor, config: LidarViewAugmentConfig, item: LidarViewInput, generator: torch.Generator
) -> Tensor:
    """Loses returns and errs in depth and reflectance, as a sensor does in rain or on dark cars.

    Args:
        x: float32 `[B, 4, H, W]`; what it gives stays within [-1, 1], and empty cells stay empty.
        config: How much.
        item: The depth range, which says what a relative error is on the coded depth.
        generator: Of all draws.
    """
    depth, height, reflectance, mask = x.split(1, dim=1)
    if config.depth_noise:
        near, far = item.depth_range_m
        code = 2 / math.log(far / near)  # of the coded depth, for a relative error of 1
        sigma = drawn_between(0, config.depth_noise, x, generator)
        depth = (depth + code * sigma * gaussian_like(depth, generator)).clamp(-1, 1) * mask
    if config.reflectance:
        factor = drawn_between(1 - config.reflectance, 1 + config.reflectance, x, generator)
        reflectance = ((reflectance + 1) * factor - 1).clamp(-1, 1) * mask
    varied = torch.cat([depth, height, reflectance, mask], dim=1)
    if config.dropout:
        lost = torch.rand(mask.shape, generator=generator) < drawn_between(0, config.dropout, x, generator)
        varied = varied.masked_fill(lost, 0.0)
    return varied
