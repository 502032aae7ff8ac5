"""The fusion model: an encoder a modality, placeholders, a fusion, and the heads of `io.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from edge.models.encoders.resnet import ResNetEncoder, ResNetEncoderConfig
from edge.models.fusion.channel_mixing import ChannelMixing, ChannelMixingConfig
from edge.models.heads import GridHead, VectorHead
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import (
    EventOutput,
    GridOutput,
    ImageInput,
    LidarViewInput,
    LogMelInput,
    ModelIO,
    SoftmaxOutput,
)

if TYPE_CHECKING:
    from torch import Tensor

MapInput = ImageInput | LidarViewInput | LogMelInput
GRID_STRIDE = 8  # pixels of the model's image per grid cell, set by two ResNet stages
GRID_STAGES = 2


class FusionModelConfig(BaseModel):
    """Widths and depths; shapes, classes and modalities come from `io.yaml`.

    Attributes:
        encoders: One per modality, keyed by the stream's name.
        fusion: How the branches become one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoders: dict[str, ResNetEncoderConfig]
    fusion: ChannelMixingConfig = ChannelMixingConfig()


class Branch(nn.Module):
    """One modality: its encoder, and a learned placeholder for when it is missing.

    A branch that does not share the fused grid is pooled to one vector and spread over it.
    """

    def __init__(self, channels: int, config: ResNetEncoderConfig, *, spatial: bool) -> None:
        super().__init__()
        self.encoder = ResNetEncoder(channels, config)
        self.out_channels = self.encoder.out_channels
        self.pool = nn.Identity() if spatial else nn.AdaptiveAvgPool2d(1)
        self.placeholder = nn.Parameter(torch.zeros(1, self.out_channels, 1, 1))

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Features where `present` (`[B, 1, 1, 1]`) is 1, the placeholder where it is 0."""
        features: Tensor = self.pool(self.encoder(x))
        return features * present + self.placeholder * (1.0 - present)


class FusionModel(nn.Module):
    """`forward(*modalities, present)` in the order of `io.yaml`; outputs in the order of its outputs.

    Modalities are float32 `[B, C, H, W]`, `present` is float32 `[B, modalities]`. A grid output yields two
    tensors (classes, distance), the others one.

    Args:
        config: Widths and depths.
        model_io: Shapes, classes and modalities.

    Raises:
        ConfigError: The two disagree.
    """

    def __init__(self, config: FusionModelConfig, model_io: ModelIO) -> None:
        super().__init__()
        self.config = config
        self.modalities = model_io.modalities
        inputs = _map_inputs(config, model_io)
        self.grid = grid_of(model_io)
        self.branches = nn.ModuleDict(
            {
                item.stream: Branch(
                    item.shape[1],
                    config.encoders[item.stream],
                    spatial=self.grid is not None and not isinstance(item, LogMelInput),
                )
                for item in inputs
            }
        )
        widths = [config.encoders[item.stream].hidden[-1] for item in inputs]
        self.fusion = ChannelMixing(widths, config.fusion, spatial=self.grid is not None)
        self.heads = nn.ModuleList(_head(output, config.fusion.channels) for output in model_io.outputs)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """One tensor a modality, then `present`."""
        *modalities, present = tensors
        return self.answers(self.fuse(self.branch_features(*modalities, present), present))

    def branch_features(self, *tensors: Tensor) -> list[Tensor]:
        """What the fusion gets of each modality: its map, or its placeholder. Takes what `forward` takes."""
        *modalities, present = tensors
        features = [
            branch(x, present[:, i].reshape(-1, 1, 1, 1))
            for i, (branch, x) in enumerate(zip(self.branches.values(), modalities, strict=True))
        ]
        return features if self.grid is None else [f.expand(-1, -1, *self.grid) for f in features]

    def fuse(self, features: list[Tensor], present: Tensor) -> Tensor:
        """One map of all branches'."""
        fused: Tensor = self.fusion(features, present)
        return fused

    def answers(self, fused: Tensor) -> tuple[Tensor, ...]:
        """The heads' tensors, in the order of the outputs."""
        outputs: list[Tensor] = []
        for head in self.heads:
            result = head(fused)
            outputs.extend(result if isinstance(result, tuple) else (result,))
        return tuple(outputs)


def _map_inputs(config: FusionModelConfig, model_io: ModelIO) -> list[MapInput]:
    inputs = [item for item in model_io.inputs if isinstance(item, MapInput)]
    streams = tuple(item.stream for item in inputs)
    if streams != model_io.modalities or set(streams) != set(config.encoders):
        raise ConfigError(
            f"the model has encoders for {sorted(config.encoders)}, io.yaml feeds {list(streams)} "
            f"and its present input lists {list(model_io.modalities)}",
            "name the same streams in all three",
        )
    for item in inputs:
        stages = len(config.encoders[item.stream].hidden)
        if not isinstance(item, LogMelInput) and grid_of(model_io) and stages != GRID_STAGES:
            raise ConfigError(
                f"the encoder of '{item.stream}' has {stages} stages, a grid of {GRID_STRIDE}-pixel cells needs "
                f"{GRID_STAGES}",
                f"give its hidden and depths {GRID_STAGES} entries",
            )
    return inputs


def grid_of(model_io: ModelIO) -> tuple[int, int] | None:
    """Size of the fused map: set by a grid output's cells of 8x8 pixels, absent where nothing is spatial."""
    if not any(isinstance(output, GridOutput) for output in model_io.outputs):
        return None
    views = [item for item in model_io.inputs if isinstance(item, ImageInput | LidarViewInput)]
    sizes = {item.shape[2:] for item in views}
    if len(sizes) != 1:
        found = f"views of {sorted(sizes)}" if sizes else "no image and no lidar view"
        raise ConfigError(f"a grid output with {found}", "give the model images and lidar views of one size")
    height, width = sizes.pop()
    return -(-height // GRID_STRIDE), -(-width // GRID_STRIDE)


def _head(output: object, channels: int) -> nn.Module:
    if isinstance(output, GridOutput):
        return GridHead(channels, len(output.classes))
    if isinstance(output, EventOutput | SoftmaxOutput):
        return VectorHead(channels, len(output.classes))
    raise ConfigError(f"no head makes the output {output!r}", "use a grid, events or softmax output")
