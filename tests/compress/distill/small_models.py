"""Students and teachers small enough to be trained in a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.compress.samples import SampleSet
from edge.training.metrics import AccuracyMetric

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.scoring.task import Metric, OutputKind


class Small(nn.Module):
    """Two convolutions of which the first is wide or narrow, and a class."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.early = nn.Conv2d(1, width, 1)
        self.late = nn.Sequential(nn.BatchNorm2d(width), nn.Conv2d(width, 2 * width, 1))
        self.head = nn.Linear(2 * width, 2)

    def forward(self, x: Tensor, present: Tensor) -> tuple[Tensor, ...]:
        late = self.late(self.early(x * present.reshape(-1, 1, 1, 1)).relu())
        return (self.head(late.mean((2, 3))),)


class Patches(nn.Module):
    """A teacher of another kind: tokens of 1x1 patches behind a class token, two layers, and a class."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, width, 1)
        self.first = nn.Parameter(torch.zeros(1, 1, width))
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.head = nn.Linear(width, 2)

    def forward(self, x: Tensor, present: Tensor) -> tuple[Tensor, ...]:
        patches = self.embed(x * present.reshape(-1, 1, 1, 1)).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(x), -1, -1), patches], dim=1)
        for layer in self.layers:
            tokens = tokens + layer(tokens).relu()
        return (self.head(tokens.mean(1)),)


class TwoBranches(nn.Module):
    """Image and sound, each with an encoder of its own width, and a class; a missing one counts as zeros."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(
            {
                "image": nn.Sequential(nn.Conv2d(1, width, 1), nn.BatchNorm2d(width), nn.ReLU()),
                "sound": nn.Sequential(nn.Conv2d(1, 2 * width, 1), nn.BatchNorm2d(2 * width), nn.ReLU()),
            }
        )
        self.head = nn.Linear(3 * width, 2)

    def forward(self, image: Tensor, sound: Tensor, present: Tensor) -> tuple[Tensor, ...]:
        maps = (self.branches["image"](image), self.branches["sound"](sound))
        vectors = [m.mean((2, 3)) * present[:, i : i + 1] for i, m in enumerate(maps)]
        return (self.head(torch.cat(vectors, dim=1)),)


class ClassTask:
    """Two classes from the given modalities."""

    output_kinds: tuple[OutputKind, ...] = ("categorical",)

    def __init__(self, *modalities: str) -> None:
        self.modalities = modalities or ("camera",)

    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        return functional.cross_entropy(outputs[0], targets[0])

    def metric(self) -> Metric:
        return AccuracyMetric()


def two_classes(modalities: int = 1, count: int = 64) -> SampleSet:
    """Noise maps 3x3 whose mean tells the class."""
    classes = torch.arange(count) % 2
    generator = torch.Generator().manual_seed(0)
    noise = (torch.randn(count, 1, 3, 3, generator=generator) for _ in range(modalities))
    ids = tuple(str(i) for i in range(count))
    return SampleSet("train", ids, ids, tuple(n + classes.reshape(-1, 1, 1, 1) for n in noise), (classes,))
