"""Training losses of the outputs that `io.yaml` knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

FOREGROUND_WEIGHT = 2.0  # cells with an object are about a tenth of all
DISTANCE_WEIGHT = 2.0
DISTANCE_SCALE = 0.1  # ln-distance error at which smooth L1 turns linear: the 10 % that the metric allows


def grid_loss(
    logits: Tensor, log_distance: Tensor, classes: Tensor, distance_m: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Weighted cross-entropy over cells, plus smooth L1 of ln(distance) where there is an object.

    Args:
        logits: `[B, 1 + classes, h, w]`, class 0 is background.
        log_distance: `[B, 1, h, w]`.
        classes: int64 `[B, h, w]`.
        distance_m: float32 `[B, h, w]`, read only where an object is.
        weights: float32 `[1 + classes]`, of the classes; objects count twice where there are none.
    """
    if weights is None:
        weight = torch.full((logits.shape[1],), FOREGROUND_WEIGHT, device=logits.device)
        weight[0] = 1.0
        classification = functional.cross_entropy(logits.float(), classes, weight=weight)
    else:
        classification = _weighted_cross_entropy(logits, classes, weights)
    foreground = classes > 0
    if not bool(foreground.any()):
        return classification
    wanted = distance_m[foreground].clamp(min=0.1).log()
    regression = functional.smooth_l1_loss(log_distance.float()[:, 0][foreground], wanted, beta=DISTANCE_SCALE)
    return classification + DISTANCE_WEIGHT * regression


def event_loss(logits: Tensor, events: Tensor, weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of each event.

    Args:
        logits: `[B, events]`.
        events: float32 `[B, events]` of 0 and 1.
        weights: float32 `[events]`, how much an occurrence counts against an absence; 1 where there are none.
    """
    positive = None if weights is None else weights.to(logits.device)
    return functional.binary_cross_entropy_with_logits(logits.float(), events, pos_weight=positive)


def softmax_loss(logits: Tensor, classes: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of one of several classes.

    Args:
        logits: `[B, classes]`.
        classes: int64 `[B]`.
        weights: float32 `[classes]`; the loss stays a mean over samples, so that ranks agree on it.
    """
    if weights is None:
        return functional.cross_entropy(logits.float(), classes)
    return _weighted_cross_entropy(logits, classes, weights)


def _weighted_cross_entropy(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Divided by how many there are; torch's own would divide by the weights of the batch, another number each time."""
    losses = functional.cross_entropy(logits.float(), classes, reduction="none")
    return (losses * weights.to(losses.device)[classes]).mean()
