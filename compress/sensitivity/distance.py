"""How far a model's outputs are from the float model's, in nats and in decibels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from edge.compress.scoring.task import OutputKind

RUINED = 1e6
"""Distance of outputs that are not finite."""
_MOST_DB = 200.0
_LEAST_SPREAD = 0.01  # of the mean square
_SUMS = ("divergence", "positions", "noise", "power", "total", "count")


class Distance(NamedTuple):
    """What `OutputDistance` found.

    Attributes:
        nats: Sum over the outputs of the mean divergence from the float model's distribution.
        sqnr_db: Signal to noise of the worst output; 200 at the most.
    """

    nats: float
    sqnr_db: float


class OutputDistance:
    """Accumulates over batches.

    An output is read as a distribution: logits of one class or of many labels as they are, a regression as a normal
    one whose variance is that of the float model's values. Kullback-Leibler divergences of all three add up, near
    float grow with the noise's power, and so over layers: a plan's distance is nearly the sum of its layers'.

    Args:
        kinds: How each output is read.
    """

    def __init__(self, kinds: Sequence[OutputKind]) -> None:
        self._kinds = tuple(kinds)
        self._sums: list[dict[str, float]] = [dict.fromkeys(_SUMS, 0.0) for _ in kinds]

    def update(self, reference: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """Takes one batch of the float model's outputs and the other's, in the same order."""
        for kind, sums, wanted, found in zip(self._kinds, self._sums, reference, outputs, strict=True):
            _add(sums, kind, wanted.double(), found.double())

    def result(self) -> Distance:
        """Over all batches so far."""
        nats = math.fsum(self._nats(kind, sums) for kind, sums in zip(self._kinds, self._sums, strict=True))
        decibels = min(_decibels(sums) for sums in self._sums)
        if not math.isfinite(nats) or nats > RUINED:
            return Distance(RUINED, -_MOST_DB)
        return Distance(max(nats, 0.0), decibels)

    @staticmethod
    def _nats(kind: OutputKind, sums: dict[str, float]) -> float:
        if kind in _DIVERGENCES:
            return sums["divergence"] / max(sums["positions"], 1)
        variance = sums["power"] - sums["total"] ** 2 / max(sums["count"], 1)
        # A constant output (in a state without what it depends on) still has a size that noise can be held against.
        spread = max(variance, _LEAST_SPREAD * sums["power"]) or sums["count"]
        return sums["noise"] / (2 * spread) if spread else 0.0


def _add(sums: dict[str, float], kind: OutputKind, wanted: Tensor, found: Tensor) -> None:
    if kind in _DIVERGENCES:
        divergence = _DIVERGENCES[kind](wanted, found)
        sums["divergence"] += float(divergence.sum())
        sums["positions"] += divergence.numel()
    sums["noise"] += float((found - wanted).square().sum())
    sums["power"] += float(wanted.square().sum())
    sums["total"] += float(wanted.sum())
    sums["count"] += wanted.numel()


def _decibels(sums: dict[str, float]) -> float:
    if not math.isfinite(sums["noise"]):
        return -_MOST_DB
    if not sums["noise"] or not sums["power"]:
        return _MOST_DB if not sums["noise"] else -_MOST_DB
    return max(-_MOST_DB, min(_MOST_DB, 10 * math.log10(sums["power"] / sums["noise"])))


def _categorical(wanted: Tensor, found: Tensor) -> Tensor:
    """`[B, K, ...]` logits to divergences `[B, ...]`."""
    wanted, found = log_softmax(wanted, 1), log_softmax(found, 1)
    return (wanted.exp() * (wanted - found)).sum(1)


def _multilabel(wanted: Tensor, found: Tensor) -> Tensor:
    """Logits to divergences of the same shape."""
    chances = torch.sigmoid(wanted)
    cross = binary_cross_entropy_with_logits(found, chances, reduction="none")
    return cross - binary_cross_entropy_with_logits(wanted, chances, reduction="none")


_DIVERGENCES = {"categorical": _categorical, "multilabel": _multilabel}
