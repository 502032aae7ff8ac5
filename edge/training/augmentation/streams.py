"""Makes one `Augment` of a project's `augment`: every stream varied by its own config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edge.runtime.errors import ConfigError
from edge.runtime.model_io import GridOutput, LidarViewInput, LogMelInput, PresentInput, TokensInput
from edge.training.augmentation.config import (
    ImageAugmentConfig,
    LidarViewAugmentConfig,
    LogMelAugmentConfig,
    TokensAugmentConfig,
)
from edge.training.augmentation.draws import chosen_samples, drawn_between, gaussian_like, per_sample
from edge.training.augmentation.images import vary_images, vary_lidar_views
from edge.training.augmentation.readings import random_tokens, vary_readings, vary_tokens
from edge.training.augmentation.spectrograms import vary_logmels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from edge.compress.fitting import Augment
    from edge.runtime.model_io import ModelIO, SensorInput
    from edge.training.augmentation.config import AugmentConfig

LOUDEST_NOISE = 2.0  # standard deviation of what replaces a noisy modality, in those of its normalisation


def stream_augment(configs: Mapping[str, AugmentConfig], model_io: ModelIO) -> Augment | None:
    """What varies a batch's modality tensors, in the model's order; None where no stream has a config.

    Raises:
        ConfigError: A config names a stream that the model does not have, is of another kind than its tensor, moves
            or mirrors a picture whose grid of labels would stay, or spoils the only modality.
    """
    if not configs:
        return None
    items = [item for item in model_io.inputs if not isinstance(item, PresentInput)]
    for stream, config in configs.items():
        _refuse(stream, config, items, model_io)
    return StreamAugment(tuple((item, configs.get(item.stream)) for item in items))


@dataclass(frozen=True)
class StreamAugment:
    """Varies every stream that has a config; a generator's state decides all draws.

    Attributes:
        streams: Each modality's tensor and its config, in the model's order.
    """

    streams: tuple[tuple[SensorInput, AugmentConfig | None], ...]

    def __call__(
        self, modalities: tuple[Tensor, ...], present: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """New tensors of the same shapes and dtypes; those given are left as they are.

        Args:
            modalities: `[B, ...]` each.
            present: float32 `[B, modalities]` of 0 and 1: what each sample will be seen with.
            generator: Of all draws.
        """
        varied = [
            x if config is None else _varied(x, config, item, generator)
            for x, (item, config) in zip(modalities, self.streams, strict=True)
        ]
        noisy, mismatched = self._spoiled(present, generator)
        return tuple(
            _drowned_out(_exchanged(x, mismatched[:, i], present[:, i], generator), noisy[:, i], item, generator)
            if config is not None and (config.noisy or config.mismatched)
            else x
            for i, (x, (item, config)) in enumerate(zip(varied, self.streams, strict=True))
        )

    def _spoiled(self, present: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Which are noisy and which another sample's, bool `[B, modalities]`; absent ones count as neither.

        A sample that would have nothing else keeps one modality, drawn evenly among those present.
        """
        there = present > 0
        noisy, mismatched = (self._drawn(share, there, generator) for share in ("noisy", "mismatched"))
        spoiled = noisy | mismatched
        spared = torch.multinomial(torch.where(there.any(1, keepdim=True), present, 1.0), 1, generator=generator)
        kept = torch.zeros_like(there).scatter(1, spared, True) & (spoiled == there).all(1, keepdim=True)
        return noisy & ~kept, mismatched & ~kept

    def _drawn(self, share: str, there: Tensor, generator: torch.Generator) -> Tensor:
        probabilities = [0.0 if config is None else getattr(config, share) for _, config in self.streams]
        return torch.stack([chosen_samples(p, len(there), generator) for p in probabilities], dim=1) & there


def _varied(x: Tensor, config: AugmentConfig, item: SensorInput, generator: torch.Generator) -> Tensor:
    if isinstance(config, ImageAugmentConfig):
        changed = vary_images(x, config, generator)
    elif isinstance(config, LogMelAugmentConfig):
        assert isinstance(item, LogMelInput), "checked when built"
        changed = vary_logmels(x, config, item, generator)
    elif isinstance(config, LidarViewAugmentConfig):
        assert isinstance(item, LidarViewInput), "checked when built"
        changed = vary_lidar_views(x, config, item, generator)
    elif isinstance(config, TokensAugmentConfig):
        assert isinstance(item, TokensInput), "checked when built"
        changed = vary_tokens(x, config, item, generator)
    else:
        changed = vary_readings(x, config, generator)
    return torch.where(per_sample(chosen_samples(config.probability, len(x), generator), x), changed, x)


def _drowned_out(x: Tensor, noisy: Tensor, item: SensorInput, generator: torch.Generator) -> Tensor:
    """Strong noise in place of the samples `noisy` bool `[B]`: random tokens, or Gaussian about the sample's mean."""
    if isinstance(item, TokensInput):
        noise = torch.where(x != 0, random_tokens(x, item, generator), 0)
    else:
        mean = x.flatten(1).mean(1)
        noise = per_sample(mean, x) + drawn_between(0.5, LOUDEST_NOISE, x, generator) * gaussian_like(x, generator)
    return torch.where(per_sample(noisy, x), noise, x)


def _exchanged(x: Tensor, chosen: Tensor, present: Tensor, generator: torch.Generator) -> Tensor:
    """The samples `chosen` bool `[B]` replaced by others, drawn evenly, that have the modality; alone one stays."""
    donors, at = present.nonzero().flatten(), chosen.nonzero().flatten()
    if len(donors) < 2 or not len(at):
        return x
    ahead = torch.randint(1, len(donors), (len(at),), generator=generator)
    place = torch.searchsorted(donors, at)
    return x.index_copy(0, at, x[donors[(place + ahead) % len(donors)]])


def _refuse(stream: str, config: AugmentConfig, items: list[SensorInput], model_io: ModelIO) -> None:
    item = next((item for item in items if item.stream == stream), None)
    if item is None:
        raise ConfigError(f"augment names '{stream}', the model has {[i.stream for i in items]}", "correct its name")
    if item.feature != config.kind:
        raise ConfigError(
            f"augment.{stream} is of kind {config.kind}, its tensor is a {item.feature}", f"write kind: {item.feature}"
        )
    grid = any(isinstance(output, GridOutput) for output in model_io.outputs)
    if grid and isinstance(config, ImageAugmentConfig) and (config.shift or config.flip):
        raise ConfigError(
            f"augment.{stream} moves pictures, and the labels of the grid would stay where they are",
            f"leave shift and flip out of augment.{stream}",
        )
    for share in ("noisy", "mismatched"):
        if getattr(config, share) and len(items) == 1:
            raise ConfigError(
                f"augment.{stream}.{share} leaves nothing to learn from", "leave it out: there is one modality"
            )
