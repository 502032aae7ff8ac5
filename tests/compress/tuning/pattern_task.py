"""The depthwise-separable net and its waves as a task of one modality, and ways to spoil its INT8."""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.compress.quantize.config import QuantizeConfig
from edge.compress.quantize.pt2e import prepare_static
from edge.compress.samples import SampleSet
from edge.compress.tuning.config import TuneConfig
from edge.training.metrics import AccuracyMetric
from tests.compress.quantize.hard_cases import Separable, accuracy, patterns, trained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch.fx import GraphModule

    from edge.compress.scoring.task import OutputKind

# Clips a tenth of every activation: the scales are far too small, and 8 bits lose half of what the net knows.
CLIPPED = QuantizeConfig(observer="percentile", percentile=90, bias_correction=False)


class PatternNet(nn.Module):
    """`Separable` as recipes want it: `present` in, a tuple out."""

    def __init__(self, net: Separable) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, present: Tensor) -> tuple[Tensor]:
        return (self.net(image * present.reshape(-1, 1, 1, 1)),)


class PatternTask:
    modalities = ("image",)
    output_kinds: tuple[OutputKind, ...] = ("categorical",)

    def loss(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
        return functional.cross_entropy(outputs[0], targets[0])

    def metric(self) -> AccuracyMetric:
        return AccuracyMetric()


class Logits(nn.Module):
    """Of images alone, everything present."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.model(image, torch.ones(len(image), 1))[0]
        return logits


@cache
def _net() -> Separable:
    return trained()


def float_net() -> PatternNet:
    """Trained; a copy of one's own."""
    return PatternNet(copy.deepcopy(_net())).eval()


def pattern_set(split: str = "train", count: int = 768, seed: int = 5) -> SampleSet:
    """Eight samples a recording."""
    images, labels = patterns(count, torch.Generator().manual_seed(seed))
    ids = tuple(f"{split}{i}" for i in range(count))
    return SampleSet(split, ids, tuple(f"{split}{i // 8}" for i in range(count)), (images,), (labels,))


def prepared_net(model: nn.Module, config: QuantizeConfig = CLIPPED, count: int = 192) -> GraphModule:
    """Calibrated on waves that nothing else sees."""
    images = pattern_set("train", count, seed=6).inputs[0]
    batches = [(part, torch.ones(len(part), 1)) for part in images.split(32)]
    return prepare_static(model, batches[0], batches, config)


def score(model: nn.Module, count: int = 3000) -> float:
    """Share of right answers on unseen waves, in %."""
    test = pattern_set("test", count, seed=1)
    return accuracy(Logits(model), test.inputs[0], test.targets[0])


def tuning(**changes: Any) -> TuneConfig:
    """Four short epochs at a rate that suits a badly spoilt net."""
    fit = {"epochs": 4, "learning_rate": 2e-3, **changes.pop("fit", {})}
    return TuneConfig.model_validate({"fit": fit, **changes})
