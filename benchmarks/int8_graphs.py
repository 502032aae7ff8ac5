"""Graphs that INT8 speed is measured on; weights come from a fixed seed, so speed is all they say."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import ConvNextConfig, ConvNextModel, ResNetConfig, ResNetModel, ViTConfig, ViTModel

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 20261123


@dataclass(frozen=True)
class BenchmarkGraph:
    """A model, its input shapes without the batch, and the names of its tensors."""

    name: str
    build: Callable[[], nn.Module]
    shapes: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]

    def model(self) -> nn.Module:
        """The model in eval mode, batch norms settled on random inputs."""
        torch.manual_seed(SEED)
        model = self.build().train()
        generator = torch.Generator().manual_seed(SEED)
        with torch.no_grad():
            for _ in range(4):
                model(*self.inputs(4, generator))
        return model.eval()

    def inputs(self, batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Random inputs; `present` is 1 in four of five."""
        return tuple(self._input(name, (batch, *shape), generator) for name, shape in self.shapes.items())

    def _input(self, name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        if name == "present":
            return (torch.rand(shape, generator=generator) > 0.2).float()
        return torch.randn(shape, generator=generator)


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class ReferenceNet(nn.Module):
    """The reference CNN: 3x3 convolutions of 64 to 256 channels, 4.6 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(3, 64, 2),
            *(convolution(64, 64) for _ in range(2)),
            convolution(64, 128, 2),
            *(convolution(128, 128) for _ in range(4)),
            convolution(128, 256, 2),
            *(convolution(256, 256) for _ in range(6)),
        )
        self.head = nn.Linear(256, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Logits `[B, 10]`."""
        logits: Tensor = self.head(self.body(image).mean((2, 3)))
        return logits


class Residual(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return torch.relu(x + self.second(self.first(x)))


class TwoBranchNet(nn.Module):
    """Camera and lidar view, concatenated, mixed, one grid head; 0.5 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.camera, self.lidar = self._branch(3), self._branch(4)
        self.mix = nn.Sequential(nn.Conv2d(128, 96, 1), nn.ReLU(), Residual(96))
        self.grid = nn.Conv2d(96, 5, 1)

    @staticmethod
    def _branch(channels: int) -> nn.Sequential:
        return nn.Sequential(
            convolution(channels, 24, 2),
            convolution(24, 48, 2),
            Residual(48),
            convolution(48, 64, 2),
            Residual(64),
        )

    def forward(self, camera: Tensor, lidar: Tensor) -> Tensor:
        """Class logits `[B, 5, h / 8, w / 8]`."""
        logits: Tensor = self.grid(self.mix(torch.cat([self.camera(camera), self.lidar(lidar)], 1)))
        return logits


class ThreeBranchNet(nn.Module):
    """Three ResNets of transformers, placeholders gated by `present`, two heads; 1.1 or 0.28 M parameters."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128)) -> None:
        super().__init__()
        self.camera, self.lidar, self.audio = (self._encoder(c, widths) for c in (3, 4, 1))
        last = widths[-1]
        self.placeholders = nn.Parameter(torch.randn(3, 1, last, 1, 1) * 0.1)
        self.mix = nn.Sequential(nn.Conv2d(3 * last, last, 1), nn.BatchNorm2d(last), nn.ReLU(), convolution(last, last))
        self.grid, self.event = nn.Conv2d(last, 5, 1), nn.Linear(last, 4)

    @staticmethod
    def _encoder(channels: int, widths: tuple[int, ...]) -> nn.Module:
        config = ResNetConfig(
            num_channels=channels,
            embedding_size=max(16, widths[0] // 2),
            hidden_sizes=list(widths),
            depths=[1] * len(widths),
            layer_type="basic",
        )
        encoder: nn.Module = ResNetModel(config)
        return encoder

    def forward(self, camera: Tensor, lidar: Tensor, audio: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Grid logits `[B, 5, h, w]` and event logits `[B, 4]`."""
        camera_map = self.camera(camera).last_hidden_state
        lidar_map = self.lidar(lidar).last_hidden_state
        sound = self.audio(audio).last_hidden_state.mean((2, 3), keepdim=True)
        maps = (camera_map, lidar_map, sound.expand(-1, -1, *camera_map.shape[2:]))
        gated = []
        for index, features in enumerate(maps):
            gate = present[:, index].view(-1, 1, 1, 1)
            gated.append(features * gate + self.placeholders[index] * (1 - gate))
        mixed = self.mix(torch.cat(gated, 1))
        return self.grid(mixed), self.event(mixed.mean((2, 3)))


class DepthwiseNet(nn.Module):
    """Depthwise and 1x1 convolutions with ReLU6, as MobileNetV2 has them; 0.3 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        widths = (32, 64, 128, 256)
        blocks = [self._block(i, o, 2) for i, o in pairwise(widths)]
        self.body = nn.Sequential(convolution(3, 32, 2), *blocks, *(self._block(256, 256, 1) for _ in range(4)))
        self.head = nn.Linear(256, 10)

    @staticmethod
    def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU6(),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Logits `[B, 10]`."""
        logits: Tensor = self.head(self.body(image).mean((2, 3)))
        return logits


class Encoder(nn.Module):
    """A vision model of transformers with a linear head on its pooled features."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(width, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Logits `[B, 10]`."""
        logits: Tensor = self.head(self.encoder(image).pooler_output.flatten(1))
        return logits


def convnext() -> nn.Module:
    """A small ConvNext, 2.0 M parameters."""
    return Encoder(ConvNextModel(ConvNextConfig(hidden_sizes=[48, 96, 192, 288], depths=[1, 1, 3, 1])), 288)


def vision_transformer() -> nn.Module:
    """A ViT of width 192, 2.9 M parameters."""
    config = ViTConfig(
        hidden_size=192,
        num_hidden_layers=6,
        num_attention_heads=3,
        intermediate_size=768,
        image_size=128,
        patch_size=16,
    )
    return Encoder(ViTModel(config), 192)


_THREE = {"camera": (3, 96, 320), "lidar": (4, 96, 320), "audio": (1, 64, 98), "present": (3,)}
GRAPHS = (
    BenchmarkGraph("reference-cnn", ReferenceNet, {"image": (3, 96, 160)}, ("logits",)),
    BenchmarkGraph("two-branch", TwoBranchNet, {"camera": (3, 96, 320), "lidar": (4, 96, 320)}, ("grid",)),
    BenchmarkGraph("three-branch", ThreeBranchNet, _THREE, ("grid", "event")),
    BenchmarkGraph("depthwise", DepthwiseNet, {"image": (3, 96, 160)}, ("logits",)),
    BenchmarkGraph("convnext", convnext, {"image": (3, 128, 128)}, ("logits",)),
    BenchmarkGraph("vit-192", vision_transformer, {"image": (3, 128, 128)}, ("logits",)),
    BenchmarkGraph("three-branch-small", lambda: ThreeBranchNet((16, 32, 64)), _THREE, ("grid", "event")),
)
