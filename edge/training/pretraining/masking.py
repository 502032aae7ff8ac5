"""What pretraining hides of a batch: patches of maps, readings of tables and series, tokens of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from edge.training.pretraining.config import FieldMaskConfig, PatchMaskConfig, TokenMaskConfig

PATCHES_A_SIDE = 8
MASKED, REPLACED = 0.8, 0.1  # of the chosen tokens (Devlin et al. 2019, A.1); the rest stays as it is


def patch_size(side: tuple[int, int], config: PatchMaskConfig) -> tuple[int, int]:
    """Height and width of a patch on a map of this size."""
    if config.patch is not None:
        return min(config.patch[0], side[0]), min(config.patch[1], side[1])
    return max(1, side[0] // PATCHES_A_SIDE), max(1, side[1] // PATCHES_A_SIDE)


def hidden_patches(shape: Sequence[int], config: PatchMaskConfig, generator: torch.Generator) -> Tensor:
    """Bool `[B, C, H, W]`, alike in all channels; every sample hides the same number of patches, at least one.

    Args:
        shape: `[B, C, H, W]`.
        config: Which share.
        generator: Of the choice.
    """
    batch, channels, height, width = shape
    tall, wide = patch_size((height, width), config)
    rows, columns = -(-height // tall), -(-width // wide)
    count = min(max(1, round(config.share * rows * columns)), max(1, rows * columns - 1))
    ranks = torch.rand(batch, rows * columns, generator=generator).argsort(1).argsort(1)
    coarse = (ranks < count).reshape(batch, 1, rows, columns)
    fine = coarse.repeat_interleave(tall, 2).repeat_interleave(wide, 3)[:, :, :height, :width]
    return fine.expand(-1, channels, -1, -1)


def hidden_fields(shape: Sequence[int], config: FieldMaskConfig, generator: torch.Generator) -> Tensor:
    """Bool of that shape: a table's readings each for itself, a series' in stretches that begin anywhere.

    Args:
        shape: `[B, fields]` or `[B, fields, steps]`.
        config: Which share, and how long a stretch is.
        generator: Of the choice.
    """
    if len(shape) == 2:
        return torch.rand(*shape, generator=generator) < config.share
    batch, fields, steps = shape
    length = min(config.steps, steps)
    offset = torch.randint(0, length, (batch, fields, 1), generator=generator)
    stretch = (torch.arange(steps) + offset) // length
    drawn = torch.rand(batch, fields, steps // length + 2, generator=generator) < config.share
    return drawn.gather(2, stretch)


def hidden_tokens(
    ids: Tensor, config: TokenMaskConfig, mask_id: int, vocabulary: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The ids as the encoder gets them, and bool `[B, length]` of those that are to be guessed; padding is neither.

    Args:
        ids: int64 `[B, length]`; 0 is padding.
        config: Which share, and which ids never.
        mask_id: The mask token.
        vocabulary: Random tokens are drawn from 1 to this, exclusive.
        generator: Of the choice.
    """
    kept = torch.tensor([0, *config.kept_ids])
    chosen = (torch.rand(ids.shape, generator=generator) < config.share) & ~torch.isin(ids, kept)
    what = torch.rand(ids.shape, generator=generator)
    random = torch.randint(1, vocabulary, ids.shape, generator=generator)
    shown = torch.where(what < MASKED, mask_id, torch.where(what < MASKED + REPLACED, random, ids))
    return torch.where(chosen, shown, ids), chosen
