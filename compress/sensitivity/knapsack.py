"""All plans that no other beats in both latency and predicted loss: a knapsack with one choice a unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge.compress.precision_plan import PlannedPrecision

POINTS = 4096


@dataclass(frozen=True)
class Option:
    """One precision of a unit.

    Attributes:
        precision: What it computes in.
        ms: What that takes.
        loss: What it is predicted to cost; losses of units add up.
    """

    precision: PlannedPrecision
    ms: float
    loss: float


@dataclass(frozen=True)
class PlanPoint:
    """A precision for every unit.

    Attributes:
        ms: Sum over the units.
        loss: Predicted, summed likewise.
        precisions: By unit.
    """

    ms: float
    loss: float
    precisions: dict[str, PlannedPrecision]


def frontier(options: Mapping[str, tuple[Option, ...]], points: int = POINTS) -> list[PlanPoint]:
    """Plans from the fastest to the safest, each the safest of its latency.

    Dynamic programming over the units keeps the sums that are not beaten. That is exact until more than `points`
    remain; from then on the safest is kept of each of `points` equal steps of latency, so that a plan is at most
    one step a unit slower than it need be.

    Args:
        options: At least one for each unit.
        points: Most sums that are kept.
    """
    ms, loss = np.zeros(1), np.zeros(1)
    steps: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    for choices in options.values():
        all_ms = (ms[:, None] + np.array([o.ms for o in choices])).ravel()
        all_loss = (loss[:, None] + np.array([o.loss for o in choices])).ravel()
        kept = _thinned(all_ms, _unbeaten(all_ms, all_loss), points)
        ms, loss = all_ms[kept], all_loss[kept]
        steps.append((kept // len(choices), kept % len(choices)))
    return [PlanPoint(float(ms[i]), float(loss[i]), _traced(options, steps, i)) for i in range(len(ms))]


def _unbeaten(ms: NDArray[np.float64], loss: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices by rising ms and falling loss; of equals the first."""
    order = np.lexsort((np.arange(len(ms)), loss, ms))
    lowest = np.minimum.accumulate(loss[order])
    better = np.concatenate([[True], loss[order][1:] < lowest[:-1]])
    unbeaten: NDArray[np.int64] = order[better]
    return unbeaten


def _thinned(ms: NDArray[np.float64], kept: NDArray[np.int64], points: int) -> NDArray[np.int64]:
    if len(kept) <= points:
        return kept
    first, last = ms[kept[0]], ms[kept[-1]]
    step = np.minimum(((ms[kept] - first) / (last - first) * points).astype(np.int64), points - 1)
    is_last = np.concatenate([step[1:] != step[:-1], [True]])
    is_last[0] = True  # the fastest of all stays
    thinned: NDArray[np.int64] = kept[is_last]
    return thinned


def _traced(
    options: Mapping[str, tuple[Option, ...]], steps: list[tuple[NDArray[np.int64], NDArray[np.int64]]], point: int
) -> dict[str, PlannedPrecision]:
    found: dict[str, PlannedPrecision] = {}
    for (unit, choices), (parents, taken) in zip(reversed(list(options.items())), reversed(steps), strict=True):
        found[unit] = choices[int(taken[point])].precision
        point = int(parents[point])
    return {unit: found[unit] for unit in options}
