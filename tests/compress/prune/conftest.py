"""A fusion model with the structures that pruning must get right, and its inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetModel

if TYPE_CHECKING:
    from collections.abc import Callable


def _encoder(channels: int, hidden: list[int]) -> nn.Module:
    config = ResNetConfig(
        num_channels=channels,
        embedding_size=hidden[0],
        hidden_sizes=hidden,
        depths=[1] * len(hidden),
        layer_type="basic",
    )
    model: nn.Module = ResNetModel(config)
    return model


class ThreeBranches(nn.Module):
    """Camera and lidar maps, an audio vector spread over the grid, placeholders, two heads."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.camera = _encoder(3, [16, width])
        self.lidar = _encoder(4, [16, 24])
        self.audio = _encoder(1, [16, 40])
        widths = (width, 24, 40)
        self.placeholders = nn.ParameterList(nn.Parameter(torch.zeros(1, n, 1, 1)) for n in widths)
        self.mix = nn.Sequential(nn.Conv2d(sum(widths), 48, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU())
        self.grid = nn.Conv2d(48, 5, 1)
        self.events = nn.Linear(48, 3)

    def forward(self, camera: Tensor, lidar: Tensor, audio: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        maps = [
            self.camera(camera).last_hidden_state,
            self.lidar(lidar).last_hidden_state,
            self.audio(audio).pooler_output,
        ]
        gates = [present[:, i].reshape(-1, 1, 1, 1) for i in range(3)]
        gated = [m * g + p * (1 - g) for m, g, p in zip(maps, gates, self.placeholders, strict=True)]
        gated[2] = gated[2].expand(-1, -1, *maps[0].shape[2:])
        fused = self.mix(torch.cat(gated, dim=1))
        return self.grid(fused), self.events(fused.mean((2, 3)))


def _liven(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_floating_point() and (tensor.dim() == 1 or bool(tensor.std() == 0)):
            noise = torch.randn(tensor.shape, generator=generator) * 0.5
            positive = name.endswith(("running_var", "weight"))
            tensor.data.copy_(noise.abs() + 0.5 if positive else noise)
    return model.eval()


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def liven() -> Callable[[nn.Module], nn.Module]:
    """Gives normalisations and placeholders values that no mistake can hide behind."""
    return _liven


@pytest.fixture(scope="session")
def build_fusion() -> Callable[..., nn.Module]:
    """Builds the fusion model with weights of a seed."""

    def build(seed: int = 0, width: int = 32) -> nn.Module:
        torch.manual_seed(seed)
        return _liven(ThreeBranches(width))

    return build


@pytest.fixture(scope="session")
def fusion_inputs() -> Callable[..., tuple[Tensor, ...]]:
    """Draws a batch; the lidar is missing in every second sample."""

    def draw(batch: int = 1, seed: int = 0) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        shapes = ((3, 32, 64), (4, 32, 64), (1, 32, 32))
        present = torch.ones(batch, 3)
        present[::2, 1] = 0
        return (*(torch.randn(batch, *shape, generator=generator) for shape in shapes), present)

    return draw
