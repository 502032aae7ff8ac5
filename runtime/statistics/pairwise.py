"""Two sides timed against each other: the ratio of their durations with an interval."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.errors import ConfigError
from edge.runtime.statistics.intervals import median_interval
from edge.runtime.statistics.timing import NanosecondClock, Timing, WarmUp, interleave

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What `compare` found: how many times as long B takes as A.

    Attributes:
        ratio: Median over the rounds of (median of B's calls) / (median of A's calls).
        interval: 95 % bootstrap interval of `ratio`.
        range: Smallest and largest ratio of a round.
        rounds: Rounds that were run.
        seed: Of the order within each round and of the bootstrap.
        a: Durations of A.
        b: Durations of B.
    """

    ratio: float
    interval: tuple[float, float]
    range: tuple[float, float]
    rounds: int
    seed: int
    a: Timing
    b: Timing

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it; durations in milliseconds."""
        return {
            "ratio": self.ratio,
            "interval": list(self.interval),
            "range": list(self.range),
            "rounds": self.rounds,
            "seed": self.seed,
            "stable": self.a.stable and self.b.stable,
            "a_ms": self.a.distribution_ms.to_json(),
            "b_ms": self.b.distribution_ms.to_json(),
        }


def compare(
    a: Callable[[], object],
    b: Callable[[], object],
    *,
    rounds: int = 100,
    calls: int = 1,
    seed: int = 0,
    warm_up: WarmUp | None = None,
    clock: NanosecondClock = time.perf_counter_ns,
    on_round: Callable[[], None] | None = None,
) -> Comparison:
    """Times A and B alternately in this process: the ratio B over A, so for a speed-up let A be the new side.

    Args:
        a: The side that the ratio is over.
        b: The other side.
        rounds: How often both are timed; at least 2.
        calls: Calls of each side a round; their median stands for the round.
        seed: Draws which side goes first in each round.
        warm_up: When a side counts as warm.
        clock: Gives nanoseconds.
        on_round: Called after each round, outside the timed part.

    Raises:
        ConfigError: Fewer than two rounds, no calls, or a clock too coarse for what it is to time.
    """
    if rounds < 2:
        raise ConfigError(f"a comparison of {rounds} rounds has no interval", "ask for at least 2 rounds")
    timings = interleave(
        {"a": a, "b": b}, rounds=rounds, calls=calls, seed=seed, warm_up=warm_up, clock=clock, on_round=on_round
    )
    ratios = _round_ratios(timings["a"], timings["b"])
    interval = median_interval(ratios, seed)
    return Comparison(
        ratio=interval.estimate,
        interval=(interval.low, interval.high),
        range=(float(ratios.min()), float(ratios.max())),
        rounds=rounds,
        seed=seed,
        a=timings["a"],
        b=timings["b"],
    )


def _round_ratios(a: Timing, b: Timing) -> NDArray[np.float64]:
    per_round_a, per_round_b = (np.median(side.samples_ns, axis=1) for side in (a, b))
    if (per_round_a <= 0).any() or (per_round_b <= 0).any():
        raise ConfigError(
            "a round took no measurable time: the clock is too coarse for this function",
            "time a loop of many calls instead of one",
        )
    return np.asarray(per_round_b / per_round_a, np.float64)
