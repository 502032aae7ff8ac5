"""Learned rounding of one layer's weights: up or down, whichever keeps the layer's result.

AdaRound (Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", 2020): a value between the two
levels is learned for each weight and pushed to one of them. Here a layer sees what the quantized layers before it
give, and is to return what the float model has at that place, its activation function included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from edge.compress.quantize.config import AdaptiveRounding
    from edge.compress.quantize.prepared_graph import PreparedLayer

_STRETCH, _OVERSHOOT = 1.2, 0.1  # of the sigmoid, so that it reaches 0 and 1
_WARM_UP = 0.2  # share of the iterations without the push
_SHARPEST, _SOFTEST = 2.0, 20.0  # exponent of the push, from soft to sharp
_PUSH = 1.0  # of the error that rounding to nearest makes, when no weight has decided


@dataclass(frozen=True)
class Reconstruction:
    """What a layer is given and what it must return.

    Attributes:
        layer: The layer.
        weight: Its float weight.
        compute: The layer's result from input and weight, its bias and activation function included.
        inputs: As the quantized model gives them, already on their levels `[samples, ...]`.
        targets: The float model's results `[samples, ...]`.
    """

    layer: PreparedLayer
    weight: Tensor
    compute: Callable[[Tensor, Tensor], Tensor]
    inputs: Tensor
    targets: Tensor

    def error(self, weight: Tensor) -> float:
        """Mean square error of the result."""
        return float((self.compute(self.inputs, weight) - self.targets).square().mean())


def learn_rounding(task: Reconstruction, config: AdaptiveRounding) -> Tensor:
    """The weight on its levels: each value is the level below or above the float one, and zero stays zero.

    Deterministic: batches are drawn by the seed of `config`.
    """
    scale, largest = task.layer.weight_scale, task.layer.largest
    below = (task.weight / scale).floor()
    rest = (task.weight / scale - below).clamp(0.01, 0.99)
    moves = task.weight != 0  # zero is a level, and those of a 2:4 sparse weight must stay
    choice = torch.logit((rest + _OVERSHOOT) / _STRETCH).requires_grad_(True)
    nearest = max(task.error(task.layer.round_weight(task.weight)), torch.finfo(torch.float32).tiny)
    optimizer = torch.optim.Adam([choice], config.learning_rate)
    generator = torch.Generator().manual_seed(config.seed)
    with torch.enable_grad():
        for iteration in range(config.iterations):
            drawn = torch.randint(len(task.inputs), (config.batch,), generator=generator)
            share = _share_above(choice) * moves
            weight = (below + share).clamp(-largest, largest) * scale
            error = (task.compute(task.inputs[drawn], weight) - task.targets[drawn]).square().mean() / nearest
            optimizer.zero_grad()
            (error + _push(share, iteration / config.iterations)).backward()
            optimizer.step()
    return (below + moves * (_share_above(choice.detach()) >= 0.5)).clamp(-largest, largest) * scale


def _share_above(choice: Tensor) -> Tensor:
    """How much of the level above is taken, 0 to 1."""
    return (torch.sigmoid(choice) * _STRETCH - _OVERSHOOT).clamp(0, 1)


def _push(share: Tensor, progress: float) -> Tensor:
    """What it costs to be undecided: nothing at first, then more and more sharply."""
    if progress < _WARM_UP:
        return torch.zeros(())
    done = (progress - _WARM_UP) / (1 - _WARM_UP)
    exponent = _SHARPEST + (_SOFTEST - _SHARPEST) * (1 - done)
    return _PUSH * (1 - (2 * share - 1).abs().pow(exponent)).mean()
