"""Log-mel spectrograms, varied as other speakers, microphones, rooms and machines vary them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edge.training.augmentation.draws import drawn_between, drawn_steps, drawn_stretch, moved

if TYPE_CHECKING:
    from torch import Tensor

    from edge.runtime.model_io import LogMelInput
    from edge.training.augmentation.config import LogMelAugmentConfig

LN_POWER_A_DB = math.log(10) / 10
FLOOR_RANGE_DB = 30.0


def vary_logmels(x: Tensor, config: LogMelAugmentConfig, item: LogMelInput, generator: torch.Generator) -> Tensor:
    """Warps, recolours, drowns and blanks log-mels float32 `[B, 1, mels, frames]`, each sample in its own way.

    Args:
        x: `(ln(power + floor) - mean) / std`.
        config: How much.
        item: The normalisation and the mel scale.
        generator: Of all draws.
    """
    decibel = LN_POWER_A_DB / item.std
    if config.warp:
        x = _warped(x, config.warp, item, generator)
    if config.time_shift:
        x = moved(x, drawn_steps(round(config.time_shift * x.shape[3]), len(x), generator), 3)
    if config.colour_db:
        x = x + decibel * config.colour_db * _colour(x, config.colour_bands, generator)
    if config.gain_db:
        x = x + decibel * drawn_between(-config.gain_db, config.gain_db, x, generator)
    if config.floor_db is not None:
        x = _drowned(x, config.floor_db, item, generator)
    return _blanked(x, config, generator)


def mel_of(hertz: Tensor) -> Tensor:
    """HTK's mel scale, as the runtime's filters have it."""
    return 2595.0 * torch.log10(1.0 + hertz / 700.0)


def hertz_of(mel: Tensor) -> Tensor:
    """The inverse of `mel_of`."""
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def _warped(x: Tensor, largest: float, item: LogMelInput, generator: torch.Generator) -> Tensor:
    """Reads each mel band at `factor` times its frequency, between bands linearly, at the ends the last band.

    Interpolating finished bands in place of moving the filters is what can be done without the sound; between two
    bands the two differ by less than the bands do.
    """
    mels = x.shape[2]
    low, high = mel_of(torch.tensor([item.f_min_hz, item.f_max_hz]))
    width = (high - low) / (mels + 1)
    centres = low + width * torch.arange(1, mels + 1)
    factor = drawn_between(1 - largest, 1 + largest, x, generator).reshape(-1, 1)
    place = ((mel_of(hertz_of(centres)[None] * factor) - low) / width - 1).clamp(0, mels - 1)
    below = place.floor().long().clamp(max=max(0, mels - 2))
    share = (place - below)[:, None, :, None]
    rows = below[:, None, :, None].expand_as(x)
    return torch.lerp(x.gather(2, rows), x.gather(2, (rows + 1).clamp(max=mels - 1)), share.expand_as(x))


def _colour(x: Tensor, bands: int, generator: torch.Generator) -> Tensor:
    """Standard normal gains of bands, linear in between, `[B, 1, mels, 1]`."""
    gains = torch.randn(len(x), 1, bands, generator=generator)
    return functional.interpolate(gains, size=x.shape[2], mode="linear", align_corners=True)[..., None]


def _drowned(x: Tensor, loudest_db: float, item: LogMelInput, generator: torch.Generator) -> Tensor:
    """Powers of a noise floor are added, which leaves loud parts as they are and fills the silent ones."""
    log_power = x * item.std + item.mean
    level = log_power.flatten(1).logsumexp(1) - math.log(log_power[0].numel())
    drawn = drawn_between(loudest_db - FLOOR_RANGE_DB, loudest_db, x, generator) * LN_POWER_A_DB
    drowned = torch.logaddexp(log_power, level.reshape(-1, 1, 1, 1) + drawn)
    return (drowned - item.mean) / item.std


def _blanked(x: Tensor, config: LogMelAugmentConfig, generator: torch.Generator) -> Tensor:
    """Stretches of frames and bands take the sample's mean, as in SpecAugment."""
    mean = x.mean((1, 2, 3), keepdim=True)
    mels, frames = x.shape[2:]
    for _ in range(config.masks):
        if config.time_mask:
            lost = drawn_stretch(round(config.time_mask * frames), frames, len(x), generator)
            x = torch.where(lost[:, None, None, :], mean, x)
        if config.frequency_mask:
            lost = drawn_stretch(round(config.frequency_mask * mels), mels, len(x), generator)
            x = torch.where(lost[:, None, :, None], mean, x)
    return x
