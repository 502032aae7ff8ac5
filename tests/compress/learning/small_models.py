"""A model of two branches that trains in a moment, and what it learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.compress.fitting import FitConfig, fit
from edge.compress.samples import SampleSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.scoring.task import OutputKind

QUICK = FitConfig(epochs=3, batch_size=16, learning_rate=0.02, precision="float32", modality_dropout=0.5)


class TwoBranches(nn.Module):
    """Convolutions, batch normalisation and dropout in each branch, three classes."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({name: _branch(channels, dropout) for name, channels in (("a", 3), ("b", 1))})
        self.head = nn.Linear(12, 3)

    def forward(self, first: Tensor, second: Tensor, present: Tensor) -> tuple[Tensor, ...]:
        pooled = [
            branch(x).mean((2, 3)) * present[:, i : i + 1]
            for i, (branch, x) in enumerate(zip(self.branches.values(), (first, second), strict=True))
        ]
        return (self.head(torch.cat(pooled, 1)),)


def _branch(channels: int, dropout: float) -> nn.Sequential:
    # No bias before the normalisation: its gradient is zero but for rounding, which AdamW would blow up to a step.
    convolutions = nn.Conv2d(channels, 6, 3, padding=1, bias=False), nn.Conv2d(6, 6, 3, stride=2)
    return nn.Sequential(convolutions[0], nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(dropout), convolutions[1])


class ThreeClasses:
    """Cross-entropy and accuracy of three classes, in two modalities."""

    modalities = ("a", "b")
    output_kinds: tuple[OutputKind, ...] = ("categorical",)

    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        return functional.cross_entropy(outputs[0].float(), targets[0])

    def metric(self) -> Accuracy:
        return Accuracy()


class Accuracy:
    """Points; no `AdditiveMetric`."""

    def __init__(self) -> None:
        self._right, self._all = 0, 0

    def update(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        self._right += int((outputs[0].argmax(1) == targets[0]).sum())
        self._all += len(targets[0])

    def result(self) -> dict[str, float]:
        return {"score": 100.0 * self._right / self._all}


def pictures(split: str = "train", count: int = 70, seed: int = 0) -> SampleSet:
    """Noise with a class in its brightness."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, 3, (count,), generator=generator)
    light = (classes - 1.0).reshape(-1, 1, 1, 1)
    inputs = tuple(light + torch.randn(count, channels, 7, 6, generator=generator) for channels in (3, 1))
    ids = tuple(f"{split}{i}" for i in range(count))
    return SampleSet(split, ids, ids, inputs, (classes,))


def fresh_model(seed: int = 1, dropout: float = 0.3) -> TwoBranches:
    torch.manual_seed(seed)
    return TwoBranches(dropout)


def fitted(config: FitConfig = QUICK, model: TwoBranches | None = None, **options: object) -> TwoBranches:
    """A fresh model, trained."""
    student, task = model or fresh_model(), ThreeClasses()

    def objective(inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
        return task.loss(student(*inputs), targets)

    fit(student, pictures(), objective, config, **options)  # type: ignore[arg-type]
    return student


def differing(one: nn.Module, other: nn.Module) -> list[str]:
    """Names of tensors that are not equal to the bit."""
    theirs = other.state_dict()
    return [name for name, tensor in one.state_dict().items() if not torch.equal(tensor, theirs[name])]
