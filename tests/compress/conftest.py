"""Models in the shapes that the dialects must serve, one of them trained for a few seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

from edge.compress.dialects.writing import write_s8, write_u8
from edge.compress.export import export_onnx
from edge.compress.quantize.pt2e import quantize_static

if TYPE_CHECKING:
    import onnx

Inputs = tuple[Tensor, ...]
CLASSES, CELL = 5, 16


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class TwoBranch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.camera = nn.Sequential(convolution(3, 16, 2), nn.MaxPool2d(2), convolution(16, 24))
        self.lidar = nn.Sequential(convolution(4, 16, 2), nn.MaxPool2d(2), convolution(16, 24))
        self.mix = convolution(48, 32)
        self.side = nn.Conv2d(32, 32, 1)
        self.head = nn.Conv2d(32, CLASSES, 1)

    def forward(self, camera: Tensor, lidar: Tensor) -> Tensor:
        mixed = self.mix(torch.cat([self.camera(camera), self.lidar(lidar)], 1))
        logits: Tensor = self.head(torch.relu(mixed + self.side(mixed)))
        return logits


class ThreeBranch(nn.Module):
    """ResNets of transformers, gated placeholders, 1x1 channel mixing, two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.camera, self.lidar, self.audio = (self._encoder(c) for c in (3, 4, 1))
        self.placeholders = nn.Parameter(torch.randn(3, 1, 32, 1, 1) * 0.1)
        self.mix = nn.Sequential(nn.Conv2d(96, 32, 1), nn.BatchNorm2d(32), nn.ReLU())
        self.grid, self.event = nn.Conv2d(32, CLASSES, 1), nn.Linear(32, 4)

    @staticmethod
    def _encoder(channels: int) -> nn.Module:
        encoder: nn.Module = ResNetModel(
            ResNetConfig(
                num_channels=channels, embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic"
            )
        )
        return encoder

    def forward(self, camera: Tensor, lidar: Tensor, audio: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        maps = [self.camera(camera).last_hidden_state, self.lidar(lidar).last_hidden_state]
        sound = self.audio(audio).last_hidden_state.mean((2, 3), keepdim=True)
        maps.append(sound.expand(-1, -1, *maps[0].shape[2:]))
        gates = [present[:, i].view(-1, 1, 1, 1) for i in range(3)]
        gated = [x * g + p * (1 - g) for x, g, p in zip(maps, gates, self.placeholders, strict=True)]
        mixed = self.mix(torch.cat(gated, 1))
        return self.grid(mixed), self.event(mixed.mean((2, 3)))


def scenes(count: int, generator: torch.Generator) -> tuple[Inputs, Tensor, Tensor]:
    """Squares that camera and lidar see, a band of sound; some modalities are missing."""
    rows, columns = 2, 4
    camera, lidar, audio = (
        torch.randn(count, c, h, w, generator=generator) * 0.3 for c, h, w in ((3, 32, 64), (4, 32, 64), (1, 32, 32))
    )
    grid = torch.randint(0, CLASSES, (count, rows, columns), generator=generator)
    event = torch.randint(0, 4, (count,), generator=generator)
    shapes = torch.nn.functional.one_hot(grid, CLASSES).permute(0, 3, 1, 2).float()
    shapes = shapes.repeat_interleave(CELL, 2).repeat_interleave(CELL, 3)
    camera = camera + shapes[:, 1:4]
    lidar = lidar + shapes[:, 1:5]
    for index, band in enumerate(event.tolist()):
        audio[index, 0, band * 8 : band * 8 + 8] += 0.6
    present = (torch.rand(count, 3, generator=generator) > 0.2).float()
    kept = [x * present[:, i].view(-1, 1, 1, 1) for i, x in enumerate((camera, lidar, audio))]
    return (*kept, present), grid, event


@dataclass(frozen=True)
class Quantized:
    """A float model, its quantized module and graphs, calibration batches and unseen inputs."""

    model: nn.Module
    module: torch.fx.GraphModule
    s8: onnx.ModelProto
    u8: onnx.ModelProto
    fp32: onnx.ModelProto
    calibration: list[Inputs]
    unseen: Inputs
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def quantized(
    model: nn.Module, calibration: list[Inputs], unseen: Inputs, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> Quantized:
    module = quantize_static(model, calibration[0], calibration)
    example = tuple(t[:1] for t in unseen)
    s8 = write_s8(export_onnx(module, example, inputs, outputs))
    fp32 = export_onnx(model, example, inputs, outputs)
    return Quantized(model, module, s8, write_u8(s8), fp32, calibration, unseen, inputs, outputs)


@pytest.fixture(scope="session")
def two_branch() -> Quantized:
    torch.manual_seed(0)
    model = TwoBranch()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(4):
            model(*scenes(8, generator)[0][:2])
    calibration = [scenes(16, generator)[0][:2] for _ in range(2)]
    unseen = scenes(40, generator)[0][:2]
    return quantized(model.eval(), calibration, unseen, ("camera", "lidar"), ("grid",))


@pytest.fixture(scope="session")
def three_branch() -> Quantized:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = ThreeBranch()
    optimizer = torch.optim.AdamW(model.parameters(), 4e-3)
    for _ in range(60):
        inputs, grid, event = scenes(24, generator)
        cells, sounds = model(*inputs)
        cells = nn.functional.adaptive_avg_pool2d(cells, (2, 4))
        loss = nn.functional.cross_entropy(cells, grid) + nn.functional.cross_entropy(sounds, event)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    calibration = [scenes(32, generator)[0] for _ in range(3)]
    unseen = scenes(150, generator)[0]
    names = ("camera", "lidar", "audio", "present")
    return quantized(model.eval(), calibration, unseen, names, ("grid", "event"))
