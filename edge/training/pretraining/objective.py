"""The model that pretraining trains: the encoders of a fusion model, with decoders and projection heads on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from edge.runtime.errors import ConfigError
from edge.runtime.model_io import PresentInput
from edge.training.alignment import AlignmentLoss
from edge.training.pretraining.reconstruction import Reconstruction, map_shape

if TYPE_CHECKING:
    from torch import Tensor

    from edge.models.fusion_model import FusionModel
    from edge.runtime.model_io import ModelIO, SensorInput
    from edge.training.pretraining.config import PretrainConfig


class PretrainingModel(nn.Module):
    """Takes what a fusion model takes and gives the parts of the pretraining loss; no label is read.

    Args:
        model: Its encoders are trained in place.
        model_io: The tensors that they read.
        config: Which losses.

    Raises:
        ConfigError: `masks` or `alignment` names a stream that the model does not have, no encoder may be trained, or
            there is one modality to be aligned with itself.
    """

    def __init__(self, model: FusionModel, model_io: ModelIO, config: PretrainConfig) -> None:
        super().__init__()
        items = {item.stream: item for item in model_io.inputs if not isinstance(item, PresentInput)}
        self.streams = model.modalities
        _refuse_unknown(config, self.streams)
        # Named as the model's branches are, for that is what gradient checkpointing looks for.
        self.branches = nn.ModuleDict({stream: encoder_of(model, stream) for stream in self.streams})
        if not any(p.requires_grad for p in self.branches.parameters()):
            raise ConfigError("pretraining has nothing to train: all encoders are frozen", "leave pretrain out")
        self.weight = config.reconstruction
        self.reconstructions = nn.ModuleDict(self._reconstructions(items, config) if config.reconstruction else {})
        channels = {stream: map_shape(self.branches[stream], items[stream])[0] for stream in self.streams}
        self.alignment = None if config.alignment is None else AlignmentLoss(config.alignment, channels)
        self._generator = torch.Generator().manual_seed(config.fit.seed)

    def forward(self, *tensors: Tensor) -> dict[str, Tensor]:
        """The weighted parts by name, which add up to the loss: `image` for its reconstruction, `image ~ audio`.

        What is hidden is drawn anew in each call, from a generator of the config's seed.
        """
        *modalities, present = tensors
        by_stream = dict(zip(self.streams, modalities, strict=True))
        there = dict(zip(self.streams, present.unbind(1), strict=True))
        parts: dict[str, Tensor] = {}
        for stream, reconstruction in self.reconstructions.items():
            encoder = self.branches[stream]
            parts[stream] = self.weight * reconstruction(by_stream[stream], there[stream], encoder, self._generator)
        if self.alignment is not None:
            maps = {stream: self.branches[stream](by_stream[stream]) for stream in self.alignment.heads}
            parts |= self.alignment(maps, there)
        return parts

    def _reconstructions(self, items: dict[str, SensorInput], config: PretrainConfig) -> dict[str, nn.Module]:
        return {s: Reconstruction(items[s], self.branches[s], config.masks.get(s)) for s in self.streams}


def encoder_of(model: FusionModel, stream: str) -> nn.Module:
    """The encoder of one branch."""
    return model.get_submodule(f"branches.{stream}.encoder")


def _refuse_unknown(config: PretrainConfig, streams: tuple[str, ...]) -> None:
    for name in config.masks:
        if name not in streams:
            raise ConfigError(f"pretrain.masks names '{name}', the model has {list(streams)}", "correct its name")
