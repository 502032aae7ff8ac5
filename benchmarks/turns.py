"""Sides timed in turns, also where each lives in a process of its own: every round all have one turn, in drawn order.

A side is a function that does its work, timed where the work is done, and returns the seconds that one unit took.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.statistics import median_interval, paused_collector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Side = Callable[[], float]

WARM_UP_TURNS = 3


@dataclass(frozen=True, eq=False)
class Turns:
    """Seconds a unit: `[rounds]` of each side."""

    seconds: dict[str, NDArray[np.float64]]

    def median(self, side: str) -> float:
        """Seconds a unit."""
        return float(np.median(self.seconds[side]))

    def summary(self, ours: str, unit: float) -> dict[str, dict[str, Any]]:
        """Of each side: its median in `unit` seconds, and how many times as long as `ours` it takes, with range."""
        return {side: {"median": self.median(side) / unit, **self._ratio(ours, side)} for side in self.seconds}

    def _ratio(self, ours: str, side: str) -> dict[str, Any]:
        if side == ours:
            return {}
        ratios = self.seconds[side] / self.seconds[ours]
        middle = median_interval(ratios, 0)
        return {
            "ratio": middle.estimate,
            "interval": [middle.low, middle.high],
            "range": [float(ratios.min()), float(ratios.max())],
            "rounds": len(ratios),
        }


def take_turns(sides: Mapping[str, Side], rounds: int, seed: int = 0) -> Turns:
    """Runs all sides `rounds` times, after a few turns to warm up."""
    draw, names = np.random.default_rng(seed), list(sides)
    taken: dict[str, list[float]] = {name: [] for name in names}
    with paused_collector():
        for name in names:
            for _ in range(WARM_UP_TURNS):
                sides[name]()
        for _ in range(rounds):
            for name in draw.permutation(names):
                taken[name].append(sides[name]())
    return Turns({name: np.array(values) for name, values in taken.items()})


def timed(function: Callable[[], object], calls: int, clock: Callable[[], int] = perf_counter_ns) -> Side:
    """A side of this process: the median of `calls` calls in a row, by a clock of nanoseconds."""

    def turn() -> float:
        spent = []
        for _ in range(calls):
            start = clock()
            function()
            spent.append(clock() - start)
        return float(np.median(spent)) / 1e9

    return turn
