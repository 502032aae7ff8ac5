"""Masked reconstruction of one modality: hide a part, encode the rest, guess what was hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from edge.runtime.errors import ConfigError
from edge.runtime.model_io import SeriesInput, TensorInput, TokensInput
from edge.training.pretraining.config import FieldMaskConfig, PatchMaskConfig, TokenMaskConfig
from edge.training.pretraining.mask_token import find_mask_token
from edge.training.pretraining.masking import hidden_fields, hidden_patches, hidden_tokens

if TYPE_CHECKING:
    from torch import Tensor

    from edge.runtime.model_io import SensorInput
    from edge.training.pretraining.config import MaskConfig

DECODER_WIDTH = 64


class MapDecoder(nn.Module):
    """A light decoder: one 3x3 convolution, one 1x1, and each cell of the map spread over the cells that it stands for.

    SimMIM (Xie et al. 2022) has as little: what a heavy decoder can do, the encoder need not learn.

    Args:
        channels: Of the encoder's map.
        grid: Height and width of it.
        outputs: Values to guess in each cell of the input: its channels, its fields, or the vocabulary.
        size: Height and width of the input; a series is 1 high, a table one cell.
    """

    def __init__(self, channels: int, grid: tuple[int, int], outputs: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size, self.stride = size, (-(-size[0] // grid[0]), -(-size[1] // grid[1]))
        self.spread = nn.Sequential(nn.Conv2d(channels, DECODER_WIDTH, 3, padding=1), nn.ReLU())
        self.guess = nn.Conv2d(DECODER_WIDTH, outputs * self.stride[0] * self.stride[1], 1)

    def forward(self, features: Tensor) -> Tensor:
        """`[B, channels, h, w]` to float32 `[B, outputs, H, W]`."""
        guessed: Tensor = self.guess(self.spread(features)).float()
        tall, wide = self.stride
        cells = guessed.unflatten(1, (-1, tall, wide)).permute(0, 1, 4, 2, 5, 3)
        whole: Tensor = cells.flatten(4, 5).flatten(2, 3)
        return whole[:, :, : self.size[0], : self.size[1]]


class Reconstruction(nn.Module):
    """Hides a part of one modality's tensors and measures how well its encoder's map tells what stood there.

    Args:
        item: The tensor of `io.yaml`.
        encoder: Run once, on one blank sample, for the shape of its map; it is not kept here.
        config: What is hidden; None for the default of the item's kind.

    Raises:
        ConfigError: The config is for another kind of tensor, or no mask token is known.
    """

    def __init__(self, item: SensorInput, encoder: nn.Module, config: MaskConfig | None) -> None:
        super().__init__()
        self.item, self.config = item, config or default_mask(item)
        if type(self.config) is not type(default_mask(item)):
            raise ConfigError(
                f"the mask of '{item.stream}' hides {self.config.kind}, its tensor is a {item.feature}",
                f"use kind: {default_mask(item).kind}, or leave it out of pretrain.masks",
            )
        channels, grid = map_shape(encoder, item)
        outputs, size = _what_is_guessed(item)
        self.decoder = MapDecoder(channels, grid, outputs, size)
        if isinstance(self.config, TokenMaskConfig):
            assert isinstance(item, TokensInput), "checked above"
            self.mask_id = find_mask_token(item, self.config)
        else:
            self.blank = nn.Parameter(torch.zeros(1, item.shape[1], *[1] * (len(item.shape) - 2)))

    def forward(self, tensor: Tensor, present: Tensor, encoder: nn.Module, generator: torch.Generator) -> Tensor:
        """Mean loss of what was hidden, weighted: squared error of values, cross-entropy of tokens; scalar.

        Args:
            tensor: As the model takes it, `[B, ...]`.
            present: float32 `[B]`: samples with 0 count for nothing.
            encoder: The modality's own.
            generator: Of what is hidden.
        """
        shown, hidden = self.hide(tensor, generator)
        guessed = self.decoder(encoder(shown))
        hidden = hidden & (present > 0).reshape(-1, *[1] * (hidden.dim() - 1))
        if isinstance(self.config, TokenMaskConfig):
            errors = functional.cross_entropy(guessed.squeeze(2), tensor, reduction="none")
        else:
            errors = (guessed.reshape(tensor.shape) - tensor).square()
        return self.config.weight * (errors * hidden).sum() / hidden.sum().clamp(min=1)

    def hide(self, tensor: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What the encoder is shown, and bool of the same shape: what is to be guessed.

        Draws on the CPU, so that a seed hides the same wherever the tensor is.
        """
        if isinstance(self.config, TokenMaskConfig):
            assert isinstance(self.item, TokensInput), "checked when built"
            shown, hidden = hidden_tokens(tensor.cpu(), self.config, self.mask_id, self.item.vocabulary, generator)
            return shown.to(tensor.device), hidden.to(tensor.device)
        if isinstance(self.config, PatchMaskConfig):
            hidden = hidden_patches(tensor.shape, self.config, generator).to(tensor.device)
        else:
            hidden = hidden_fields(tensor.shape, self.config, generator).to(tensor.device)
        return torch.where(hidden, self.blank, tensor), hidden


def default_mask(item: SensorInput) -> MaskConfig:
    """Patches for maps, fields for readings, tokens for texts."""
    if isinstance(item, TokensInput):
        return TokenMaskConfig()
    return FieldMaskConfig() if isinstance(item, TensorInput | SeriesInput) else PatchMaskConfig()


def _what_is_guessed(item: SensorInput) -> tuple[int, tuple[int, int]]:
    """Values a cell, and the cells' height and width."""
    if isinstance(item, TokensInput):
        return item.vocabulary, (1, item.length)
    if isinstance(item, TensorInput):
        return item.shape[1], (1, 1)
    if isinstance(item, SeriesInput):
        return item.shape[1], (1, item.steps)
    return item.shape[1], (item.shape[2], item.shape[3])


def map_shape(encoder: nn.Module, item: SensorInput) -> tuple[int, tuple[int, int]]:
    """Channels, height and width of the map, without a trace in the encoder's running statistics."""
    was_training = encoder.training
    blank = torch.zeros((1, *item.shape[1:]), dtype=torch.int64 if isinstance(item, TokensInput) else torch.float32)
    with torch.no_grad():
        found: Tensor = encoder.eval()(blank)
    encoder.train(was_training)
    return found.shape[1], (found.shape[2], found.shape[3])
