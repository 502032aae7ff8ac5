"""Do intervals hold what they promise? Durations of processes whose truth is known, on a clock that is not real.

Run: python benchmarks/interval_coverage.py [--trials 2000]
Four processes: independent with a long tail, independent with two modes, one that drifts (each duration resembles the
one before), and one with bursts (slow for a while, as a machine with other work). 95 % intervals should hold the true
percentile in 95 of 100 runs; the rule is 95 +- 3.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

import numpy as np

from edge.profile.dependence import dependent_interval
from edge.runtime.statistics import WarmUp, compare, percentile_interval

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Process = Callable[[np.random.Generator, int], NDArray[np.float64]]
    Finder = Callable[[NDArray[np.float64], float], tuple[float, float] | None]

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
TRUTH_SAMPLES = 4_000_000
SLOPE, SIGMA, LEAST_NS = 0.8, 0.25, 1_000_000
BURST_IN, BURST_OUT, BURST = 0.02, 0.1, 1.6  # chances of a step, and how many times as long things take


def long_tail(random: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Independent, lognormal."""
    return LEAST_NS * np.exp(SIGMA * random.standard_normal(n))


def two_modes(random: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Independent; one in five takes twice as long."""
    return long_tail(random, n) ** 0.5 * LEAST_NS**0.5 * np.where(random.random(n) < 0.2, 2.0, 1.0)


def drifting(random: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Lognormal, of a first-order autoregression."""
    steps = random.standard_normal(n) * np.sqrt(1.0 - SLOPE**2)
    steps[0] = random.standard_normal()
    state = 0.0
    walk = np.empty(n)
    for i, step in enumerate(steps.tolist()):
        state = SLOPE * state + step if i else step
        walk[i] = state
    return LEAST_NS * np.exp(SIGMA * walk)


def bursts(random: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Lognormal, between quiet and busy times of a two-state Markov chain."""
    draws, busy = random.random(n).tolist(), random.random() < BURST_IN / (BURST_IN + BURST_OUT)
    states = np.empty(n)
    for i, draw in enumerate(draws):
        busy = draw >= BURST_OUT if busy else draw < BURST_IN
        states[i] = busy
    return long_tail(random, n) * np.where(states > 0, BURST, 1.0)


PROCESSES: dict[str, Process] = {
    "long tail": long_tail,
    "two modes": two_modes,
    "drifting": drifting,
    "bursts": bursts,
}


def percentile_coverage(
    process: Process, trials: int, n: int, find: Finder = dependent_interval, seed: int = 0
) -> dict[str, dict[str, float | None]]:
    """Of each percentile: in what share of trials its interval held the truth, and in what share there was one.

    Args:
        process: Draws durations.
        trials: Runs, each with another seed.
        n: Samples a run.
        find: Gives the interval.
        seed: Of the first run.
    """
    truth = np.quantile(process(np.random.default_rng(seed + 10**9), TRUTH_SAMPLES), list(SHARES.values()))
    held, found = dict.fromkeys(SHARES, 0), dict.fromkeys(SHARES, 0)
    for trial in range(trials):
        values = process(np.random.default_rng(seed + trial), n)
        for (name, share), true in zip(SHARES.items(), truth, strict=True):
            bounds = find(values, share)
            if bounds is not None:
                found[name] += 1
                held[name] += bounds[0] <= true <= bounds[1]
    return {
        name: {"coverage": held[name] / found[name] if found[name] else None, "given": found[name] / trials}
        for name in SHARES
    }


def ratio_coverage(process: Process, trials: int, rounds: int, slowdown: float = 1.1, seed: int = 0) -> float:
    """In what share of trials the interval of a comparison in turns held the true ratio.

    Both sides draw from one process, which goes on from call to call; B takes `slowdown` times as long.
    """
    held = 0
    warm_up = WarmUp(window=1, max_calls=1)
    for trial in range(trials):
        random = np.random.default_rng(seed + trial)
        clock = SyntheticClock(process(random, 2 * rounds + 2))
        found = compare(clock.call(1.0), clock.call(slowdown), rounds=rounds, seed=trial, warm_up=warm_up, clock=clock)
        held += found.interval[0] <= slowdown <= found.interval[1]
    return held / trials


class SyntheticClock:
    """A clock that stands still but for calls, each of which takes what comes next in a list of durations.

    Args:
        durations_ns: Of all calls.
    """

    def __init__(self, durations_ns: NDArray[np.float64]) -> None:
        self._durations = iter(durations_ns.tolist())
        self._now_ns = 0

    def __call__(self) -> int:
        """Nanoseconds."""
        return self._now_ns

    def call(self, factor: float) -> Callable[[], None]:
        """A function that takes `factor` times the next duration."""

        def spend() -> None:
            self._now_ns += round(next(self._durations) * factor)

        return spend


def measure_coverage(trials: int, n: int, rounds: int) -> dict[str, object]:
    """All processes: intervals of percentiles as profiles have them, those that assume independence, and ratios."""
    return {
        "samples": n,
        "rounds": rounds,
        "trials": trials,
        "processes": {
            name: {
                "profile": percentile_coverage(process, trials, n),
                "assuming independence": percentile_coverage(process, trials, n, percentile_interval),
                "ratio in turns": ratio_coverage(process, trials, rounds),
            }
            for name, process in PROCESSES.items()
        },
    }


def main() -> None:
    """Prints the coverage of every process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--samples", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    print(json.dumps(measure_coverage(arguments.trials, arguments.samples, arguments.rounds), indent=1))


if __name__ == "__main__":
    main()
