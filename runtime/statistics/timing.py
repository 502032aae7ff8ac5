"""Timing: warmed up until stable, sides interleaved in one process, the collector paused, the clock injectable."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.errors import ConfigError
from edge.runtime.statistics.percentiles import Distribution

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

NanosecondClock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class WarmUp:
    """When a side counts as warm: medians of three windows in a row agree within `tolerance`.

    Attributes:
        window: Calls a window.
        tolerance: Largest relative spread of the three medians.
        max_calls: Give up after so many calls; the result then says that it is not stable.
        max_seconds: Give up after so much time inside the calls.
    """

    window: int = 8
    tolerance: float = 0.05
    max_calls: int = 400
    max_seconds: float = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Timing:
    """Durations of one side.

    Attributes:
        samples_ns: int64 `[rounds, calls]`, in the order in which they were taken.
        stable: Whether the warm-up ended because durations had settled.
    """

    samples_ns: NDArray[np.int64]
    stable: bool

    @property
    def distribution_ms(self) -> Distribution:
        """All samples, in milliseconds."""
        return Distribution.of(self.samples_ns.ravel(), NS_PER_MS)


def time_call(
    function: Callable[[], object],
    *,
    samples: int = 300,
    warm_up: WarmUp | None = None,
    clock: NanosecondClock = time.perf_counter_ns,
) -> Timing:
    """Times one function by itself; to say that one thing is faster than another use `compare`.

    Raises:
        ConfigError: Fewer than one sample.
    """
    return interleave({"only": function}, rounds=samples, warm_up=warm_up, clock=clock)["only"]


def interleave(
    sides: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    calls: int = 1,
    seed: int = 0,
    warm_up: WarmUp | None = None,
    clock: NanosecondClock = time.perf_counter_ns,
    on_round: Callable[[], None] | None = None,
) -> dict[str, Timing]:
    """Times several functions in rounds, each round in an order drawn anew, so that drifts hit all sides alike.

    Raises:
        ConfigError: No side, no round or no call.
    """
    if not sides or rounds < 1 or calls < 1:
        raise ConfigError(
            f"there is nothing to time in {len(sides)} sides, {rounds} rounds and {calls} calls",
            "give at least one of each",
        )
    functions = list(sides.values())
    turns = np.tile(np.arange(len(functions)), (rounds, 1))
    orders: list[list[int]] = np.random.default_rng(seed).permuted(turns, axis=1).tolist()
    with paused_collector():
        stable = [_warm(function, warm_up or WarmUp(), clock) for function in functions]
        samples = _run_rounds(functions, orders, calls, clock, on_round)
    return {
        name: Timing(np.asarray(taken, np.int64).reshape(rounds, calls), settled)
        for name, taken, settled in zip(sides, samples, stable, strict=True)
    }


@contextmanager
def paused_collector() -> Iterator[None]:
    """Collects garbage once, then keeps the collector out of the way; afterwards it is as it was."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _run_rounds(
    functions: list[Callable[[], object]],
    orders: list[list[int]],
    calls: int,
    clock: NanosecondClock,
    on_round: Callable[[], None] | None,
) -> list[list[int]]:
    samples: list[list[int]] = [[] for _ in functions]
    keep = [taken.append for taken in samples]
    for order in orders:
        for side in order:
            function, append = functions[side], keep[side]
            for _ in range(calls):
                start = clock()
                function()
                append(clock() - start)
        if on_round:
            on_round()
    return samples


def _warm(function: Callable[[], object], limits: WarmUp, clock: NanosecondClock) -> bool:
    medians: list[float] = []
    spent_ns = calls = 0
    while calls < limits.max_calls and spent_ns < limits.max_seconds * NS_PER_S:
        taken = _run_rounds([function], [[0]] * limits.window, 1, clock, None)[0]
        calls += limits.window
        spent_ns += sum(taken)
        medians.append(float(np.median(taken)))
        recent = medians[-3:]
        if len(recent) == 3 and max(recent) - min(recent) <= limits.tolerance * min(recent):
            return True
    return False
