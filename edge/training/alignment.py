"""Alignment: what one sample's modalities are encoded as lies close together, what two samples' are lies apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn
from torch.nn import functional

from edge.compress.parallel.rank_training import rows_of_all_ranks
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

FIRST_SIGMOID_SCALE, FIRST_SIGMOID_BIAS = 10.0, -10.0  # Zhai et al.: most pairs of a batch are no pairs
FIRST_CONTRASTIVE_SCALE = 1 / 0.07  # Radford et al.
LARGEST_SCALE = 100.0


class AlignedPair(BaseModel):
    """Two modalities that are to agree.

    Attributes:
        streams: Their names.
        weight: Of this pair's loss.

    Raises:
        ValueError: It is one modality twice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    streams: tuple[str, str]
    weight: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _two_of_them(self) -> AlignedPair:
        if self.streams[0] == self.streams[1]:
            raise ValueError(f"'{self.streams[0]}' is aligned with itself; name two streams")
        return self

    @property
    def name(self) -> str:
        """As losses are reported."""
        return f"{self.streams[0]} ~ {self.streams[1]}"


class AlignmentConfig(BaseModel):
    """How modalities are aligned.

    Attributes:
        kind: `sigmoid` judges every pair for itself (SigLIP, Zhai et al. 2023); `info_nce` picks the right partner out
            of the batch (CLIP, Radford et al. 2021).
        pairs: Which modalities; every two of the model's by default.
        hidden: Width of the projection heads, which are thrown away afterwards.
        width: Of the space in which modalities are compared.
        weight: Of all pairs together, beside the other losses.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["sigmoid", "info_nce"] = "sigmoid"
    pairs: tuple[AlignedPair, ...] = ()
    hidden: int = Field(128, ge=8)
    width: int = Field(64, ge=2)
    weight: float = Field(1.0, gt=0)


def sigmoid_loss(first: Tensor, second: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Mean over rows of the summed `-log sigmoid(y (scale x_i . z_j + bias))`, y being 1 where i = j and -1 elsewhere.

    Zhai et al. 2023, *Sigmoid Loss for Language Image Pre-Training*, algorithm 1.

    Args:
        first: float32 `[n, width]`, rows of length 1.
        second: The same samples' other modality.
        scale: Inverse temperature, scalar.
        bias: Scalar.
    """
    logits = scale * first @ second.T + bias
    signs = 2 * torch.eye(len(first), dtype=logits.dtype, device=logits.device) - 1
    return -functional.logsigmoid(signs * logits).sum() / len(first)


def info_nce_loss(first: Tensor, second: Tensor, scale: Tensor) -> Tensor:
    """Mean cross-entropy of finding each row's partner among all rows, in both directions.

    van den Oord et al. 2018; symmetric as in Radford et al. 2021.

    Args:
        first: float32 `[n, width]`, rows of length 1.
        second: The same samples' other modality.
        scale: Inverse temperature, scalar.
    """
    logits = scale * first @ second.T
    partner = torch.arange(len(first), device=logits.device)
    return (functional.cross_entropy(logits, partner) + functional.cross_entropy(logits.T, partner)) / 2


class AlignmentLoss(nn.Module):
    """Projection heads, temperatures and the loss of each pair; trained along with the encoders, then thrown away.

    A pair's loss is over the samples that have both of its modalities, of all processes that share a batch.

    Args:
        config: Which pairs, and how they are compared.
        channels: Of each modality's map, by stream.

    Raises:
        ConfigError: A pair names a stream that the model does not have, or there is no pair.
    """

    def __init__(self, config: AlignmentConfig, channels: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        self.pairs = _pairs(config, tuple(channels))
        named = {stream for pair in self.pairs for stream in pair.streams}
        self.heads = nn.ModuleDict({s: _projection(n, config) for s, n in channels.items() if s in named})
        sigmoid = config.kind == "sigmoid"
        first = FIRST_SIGMOID_SCALE if sigmoid else FIRST_CONTRASTIVE_SCALE
        self.log_scales = nn.Parameter(torch.full((len(self.pairs),), math.log(first)))
        self.biases = nn.Parameter(torch.full((len(self.pairs),), FIRST_SIGMOID_BIAS)) if sigmoid else None

    def forward(self, maps: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weighted loss of each pair by its name; 0 where fewer than two samples have both modalities.

        Args:
            maps: `[B, channels, h, w]` by stream; they are pooled here.
            present: float32 `[B]` of 0 and 1 by stream.
        """
        points = {stream: rows_of_all_ranks(self.project(stream, maps[stream])) for stream in self.heads}
        there = {stream: rows_of_all_ranks(present[stream]) for stream in self.heads}
        losses: dict[str, Tensor] = {}
        for i, pair in enumerate(self.pairs):
            both = (there[pair.streams[0]] * there[pair.streams[1]]) > 0
            first, second = (points[stream][both] for stream in pair.streams)
            losses[pair.name] = self.config.weight * pair.weight * self._loss(i, first, second)
        return losses

    def project(self, stream: str, features: Tensor) -> Tensor:
        """A map `[B, channels, h, w]` as a point on the unit sphere, float32 `[B, width]`."""
        return functional.normalize(self.heads[stream](features.mean((2, 3))).float(), dim=1)

    def _loss(self, pair: int, first: Tensor, second: Tensor) -> Tensor:
        scale = self.log_scales[pair].exp().clamp(max=LARGEST_SCALE)
        if len(first) < 2:
            return 0.0 * (first.sum() + second.sum() + scale)
        # In bfloat16 a similarity times a scale of 100 would be off by more than it says.
        with torch.autocast(first.device.type, enabled=False):
            if self.biases is None:
                return info_nce_loss(first, second, scale)
            return sigmoid_loss(first, second, scale, self.biases[pair])


def _projection(channels: int, config: AlignmentConfig) -> nn.Module:
    """Two layers; normalised row by row, so that samples that lack the modality do not move the others."""
    hidden = nn.Sequential(nn.Linear(channels, config.hidden), nn.LayerNorm(config.hidden), nn.ReLU())
    return nn.Sequential(*hidden, nn.Linear(config.hidden, config.width))


def _pairs(config: AlignmentConfig, streams: Sequence[str]) -> tuple[AlignedPair, ...]:
    every = tuple(AlignedPair(streams=(a, b)) for i, a in enumerate(streams) for b in streams[i + 1 :])
    chosen = config.pairs or every
    if not chosen:
        raise ConfigError(f"only {list(streams)} is there to be aligned", "leave alignment out for a single modality")
    for name in (stream for pair in chosen for stream in pair.streams):
        if name not in streams:
            raise ConfigError(f"alignment names '{name}', the model has {list(streams)}", "correct alignment.pairs")
    return chosen
