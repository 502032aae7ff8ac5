"""The loop that takes a profile's samples: two readings of the clock around each call and nothing else inside.

It costs less than a microsecond a sample (`benchmarks/profiler.py`); what would cost more, such as showing progress or
looking whether the time is over, happens between chunks of calls and is in no sample.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.clock import NS_PER_S
from edge.runtime.statistics import WarmUp, paused_collector, time_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.profile.sample_rule import SamplingConfig
    from edge.runtime.statistics.timing import NanosecondClock

_CHUNK_S = 0.1
_CHUNK_CALLS = 4096
WARM_UP = WarmUp(max_calls=2_000, max_seconds=10.0)


@dataclass(frozen=True, slots=True, eq=False)
class TimedSamples:
    """What a loop took.

    Attributes:
        starts_ns: int64 `[n]`, on the clock's axis.
        durations_ns: int64 `[n]`.
        elapsed_ns: Time inside of the chunks, the loop's own included.
    """

    starts_ns: NDArray[np.int64]
    durations_ns: NDArray[np.int64]
    elapsed_ns: int


@dataclass(frozen=True, slots=True)
class Warmth:
    """How a subject was warmed up.

    Attributes:
        calls: Before the first that counts.
        stable: Whether durations had settled by then.
    """

    calls: int
    stable: bool


def warmed(
    run: Callable[[], object], limits: WarmUp = WARM_UP, clock: NanosecondClock = time.perf_counter_ns
) -> Warmth:
    """Calls until medians of three windows in a row agree, or `limits` are reached."""
    calls = 0

    def counted() -> None:
        nonlocal calls
        run()
        calls += 1

    timing = time_call(counted, samples=1, warm_up=limits, clock=clock)
    return Warmth(calls, timing.stable)


def take_samples(
    run: Callable[[], object],
    rule: SamplingConfig,
    *,
    clock: NanosecondClock = time.perf_counter_ns,
    on_chunk: Callable[[int], None] | None = None,
) -> TimedSamples:
    """Times one call after the other, with the collector paused.

    Args:
        run: Is timed.
        rule: When it is over; at least one sample is taken.
        clock: Gives nanoseconds.
        on_chunk: Called between chunks with the samples taken so far.
    """
    starts: list[int] = []
    durations: list[int] = []
    elapsed, size = 0, 1
    limit_ns = None if rule.duration_s is None else rule.duration_s * NS_PER_S
    with paused_collector():
        while len(starts) < rule.most and (limit_ns is None or not starts or elapsed < limit_ns):
            begun, before = clock(), len(starts)
            _run_chunk(run, int(min(size, rule.most - before)), clock, starts, durations)
            spent = max(1, clock() - begun)
            elapsed += spent
            size = _next_size(len(starts) - before, spent, limit_ns, elapsed)
            if on_chunk is not None:
                on_chunk(len(starts))
    return TimedSamples(np.asarray(starts, np.int64), np.asarray(durations, np.int64), elapsed)


def _run_chunk(
    run: Callable[[], object], calls: int, clock: NanosecondClock, starts: list[int], durations: list[int]
) -> None:
    add_start, add_duration = starts.append, durations.append
    for _ in range(calls):
        start = clock()
        run()
        add_duration(clock() - start)
        add_start(start)


def _next_size(calls: int, spent_ns: int, limit_ns: float | None, elapsed_ns: int) -> int:
    """As many calls as fit a tenth of a second, and what is left of the time."""
    fits_ns = _CHUNK_S * NS_PER_S if limit_ns is None else min(_CHUNK_S * NS_PER_S, max(0.0, limit_ns - elapsed_ns))
    return max(1, min(_CHUNK_CALLS, int(fits_ns * calls / spent_ns)))
