"""The fusion model: an encoder a modality, a fusion, and the heads of `io.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from edge.models.encoders.choice import EncoderConfig, build_encoder
from edge.models.fusion.branch_maps import BranchMaps
from edge.models.fusion.channel_mixing import ChannelMixingConfig
from edge.models.fusion.choice import FusionConfig, build_fusion
from edge.models.heads import GridHead, VectorHead
from edge.models.hub import HubModel
from edge.models.map_sizes import map_size
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import (
    EventOutput,
    GridOutput,
    ImageInput,
    LidarViewInput,
    ModelIO,
    SensorInput,
    SoftmaxOutput,
)

if TYPE_CHECKING:
    from torch import Tensor

GRID_STRIDE = 8  # pixels of the model's image per grid cell, set by two ResNet stages


class FusionModelConfig(BaseModel):
    """Kinds, widths and depths; shapes, classes and modalities come from `io.yaml`.

    Attributes:
        encoders: One per modality, keyed by the stream's name.
        fusion: How the branches become one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoders: dict[str, EncoderConfig]
    fusion: FusionConfig = ChannelMixingConfig()


class Branch(nn.Module):
    """One modality: its encoder, and a learned placeholder for when it is missing.

    Args:
        encoder: Gives a map `[B, out_channels, h, w]`.
        pooled: The map becomes one vector, which is spread over a grid where there is one.
        placeholder: The fusion reads something in the place of what is missing. One that gives it no weight needs none.
    """

    def __init__(self, encoder: nn.Module, *, pooled: bool, placeholder: bool = True) -> None:
        super().__init__()
        self.encoder = encoder
        self.out_channels = int(encoder.out_channels)  # type: ignore[arg-type]  # every encoder has it
        self.pool = nn.AdaptiveAvgPool2d(1) if pooled else nn.Identity()
        self.placeholder = nn.Parameter(torch.zeros(1, self.out_channels, 1, 1)) if placeholder else None

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Features where `present` (`[B, 1, 1, 1]`) is 1, the placeholder, if there is one, where it is 0."""
        features: Tensor = self.pool(self.encoder(x))
        return features if self.placeholder is None else features * present + self.placeholder * (1.0 - present)


class FusionModel(HubModel, nn.Module):
    """`forward(*modalities, present)` in the order of `io.yaml`; outputs in the order of its outputs.

    Modalities are what `io.yaml` says, float32 or int64 token ids, batch first; `present` is float32
    `[B, modalities]`. A grid output yields two tensors (classes, distance), the others one.

    Args:
        config: Kinds, widths and depths.
        model_io: Shapes, classes and modalities.

    Raises:
        ConfigError: The two disagree.
    """

    config_type = FusionModelConfig

    def __init__(self, config: FusionModelConfig, model_io: ModelIO) -> None:
        super().__init__()
        self.config, self.model_io = config, model_io
        self.modalities = model_io.modalities
        inputs = _sensor_inputs(config, model_io)
        self.grid = grid_of(model_io)
        self.branches = nn.ModuleDict({item.stream: self._branch(item) for item in inputs})
        self.fusion = build_fusion(config.fusion, self._branch_maps(inputs))
        self.heads = nn.ModuleList(_head(output, config.fusion.channels) for output in model_io.outputs)

    @property
    def architecture(self) -> FusionModelConfig:
        """The same config with every width that came from a folder of pretrained weights, and no such folder."""
        plain = {
            stream: getattr(self.branches[stream].encoder, "architecture", config)
            for stream, config in self.config.encoders.items()
        }
        return self.config.model_copy(update={"encoders": plain})

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

    def _branch(self, item: SensorInput) -> Branch:
        """Maps keep their places on the grid, or where the fusion reads places; others are pooled."""
        kind = self.config.fusion
        places = isinstance(item, ImageInput | LidarViewInput) if self.grid is not None else kind.reads_places
        encoder = build_encoder(self.config.encoders[item.stream], item)
        return Branch(encoder, pooled=not places, placeholder=kind.reads_placeholders)

    def _branch_maps(self, inputs: list[SensorInput]) -> BranchMaps:
        widths = tuple(self._branch_of(item).out_channels for item in inputs)
        sizes = tuple(self._size_of(item) for item in inputs)
        return BranchMaps(self.modalities, widths, sizes, self.grid)

    def _branch_of(self, item: SensorInput) -> Branch:
        branch = self.branches[item.stream]
        assert isinstance(branch, Branch)
        return branch

    def _size_of(self, item: SensorInput) -> tuple[int, int]:
        """Height and width of what the fusion gets of a modality.

        Raises:
            ConfigError: It does not fit the grid.
        """
        branch = self._branch_of(item)
        if not isinstance(branch.pool, nn.Identity):
            return self.grid or (1, 1)
        found = map_size(branch.encoder, item)
        if self.grid is not None and found != self.grid:
            raise ConfigError(
                f"the encoder of '{item.stream}' makes a map of {found[0]}x{found[1]} cells, the grid output needs "
                f"{self.grid[0]}x{self.grid[1]}, one for {GRID_STRIDE} pixels",
                f"give encoders.{item.stream} a stride of {GRID_STRIDE}: a resnet two entries in hidden and depths, "
                f"a vit a patch of {GRID_STRIDE}",
            )
        return found


def _sensor_inputs(config: FusionModelConfig, model_io: ModelIO) -> list[SensorInput]:
    inputs = [item for item in model_io.inputs if isinstance(item, SensorInput)]
    streams = tuple(item.stream for item in inputs)
    for stream in sorted(set(config.encoders) - set(streams)):
        raise ConfigError(
            f"the model has an encoder for '{stream}', which io.yaml does not feed: it feeds {list(streams)}",
            f"add an input of the stream '{stream}' to io.yaml, or remove encoders.{stream}",
        )
    for stream in sorted(set(streams) - set(config.encoders)):
        raise ConfigError(
            f"io.yaml feeds '{stream}', for which the model has no encoder", f"add encoders.{stream} to the model"
        )
    if streams != model_io.modalities:
        raise ConfigError(
            f"io.yaml feeds {list(streams)} and its present input lists {list(model_io.modalities)}",
            "name the same streams in the same order",
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
