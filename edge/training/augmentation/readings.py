"""Tables, time series and texts, varied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edge.training.augmentation.config import SeriesAugmentConfig
from edge.training.augmentation.draws import drawn_between, drawn_stretch, gaussian_like

if TYPE_CHECKING:
    from torch import Tensor

    from edge.runtime.model_io import TokensInput
    from edge.training.augmentation.config import TensorAugmentConfig, TokensAugmentConfig


def vary_readings(x: Tensor, config: TensorAugmentConfig | SeriesAugmentConfig, generator: torch.Generator) -> Tensor:
    """Errs and loses readings float32 `[B, fields]` or `[B, fields, steps]`; 0 is a field's mean."""
    if config.scale:
        x = x * drawn_between(1 - config.scale, 1 + config.scale, x, generator)
    if config.jitter:
        x = x + drawn_between(0, config.jitter, x, generator) * gaussian_like(x, generator)
    if config.drop:
        lost = torch.rand(x.shape[:2], generator=generator) < config.drop
        x = x.masked_fill(lost.reshape(*lost.shape, *[1] * (x.dim() - 2)), 0.0)
    if isinstance(config, SeriesAugmentConfig) and config.time_mask:
        steps = x.shape[2]
        x = x.masked_fill(drawn_stretch(round(config.time_mask * steps), steps, len(x), generator)[:, None], 0.0)
    return x


def vary_tokens(ids: Tensor, config: TokensAugmentConfig, item: TokensInput, generator: torch.Generator) -> Tensor:
    """Replaces and leaves out tokens int64 `[B, length]`; padding stays padding, at the end."""
    kept = torch.isin(ids, torch.tensor([0, *config.kept_ids]))
    if config.replace:
        replaced = (torch.rand(ids.shape, generator=generator) < config.replace) & ~kept
        ids = torch.where(replaced, random_tokens(ids, item, generator), ids)
    if config.drop:
        dropped = (torch.rand(ids.shape, generator=generator) < config.drop) & ~kept
        dropped[:, 0] = False  # nothing but padding would read as a missing text
        order = dropped.long().argsort(dim=1, stable=True)
        ids = ids.masked_fill(dropped, 0).gather(1, order)
    return ids


def random_tokens(ids: Tensor, item: TokensInput, generator: torch.Generator) -> Tensor:
    """int64 of the same shape, from the vocabulary without padding."""
    return torch.randint(1, item.vocabulary, ids.shape, generator=generator)
