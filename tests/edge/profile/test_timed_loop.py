"""The loop takes each call's time, as many as asked for, and nothing of what lies between chunks."""

from __future__ import annotations

import gc
from itertools import chain, cycle, repeat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.profile.sample_rule import SamplingConfig
from edge.profile.timed_loop import take_samples, warmed
from edge.runtime.clock import NS_PER_S
from edge.runtime.statistics import WarmUp
from tests.edge.profile.synthetic import SyntheticClock


@given(st.lists(st.integers(0, 5 * 10**8), min_size=1, max_size=50))
def test_every_duration_is_taken(durations: list[int]) -> None:
    clock = SyntheticClock()
    taken = take_samples(clock.taking(durations), SamplingConfig(samples=len(durations)), clock=clock)
    assert taken.durations_ns.tolist() == durations
    assert taken.starts_ns.tolist() == [0, *np.cumsum(durations[:-1]).tolist()]
    assert taken.elapsed_ns >= sum(durations)


def test_what_is_done_between_chunks_is_in_no_sample() -> None:
    clock = SyntheticClock()
    seen: list[int] = []

    def show(count: int) -> None:
        seen.append(count)
        clock.pass_ns(10**9)

    rule = SamplingConfig(samples=500)
    taken = take_samples(clock.taking(repeat(10**6)), rule, clock=clock, on_chunk=show)
    assert set(taken.durations_ns.tolist()) == {10**6}
    assert taken.elapsed_ns == 500 * 10**6
    assert seen[-1] == 500 and len(seen) == 6  # one call, and then a tenth of a second at a time


@pytest.mark.parametrize("each_ns", [10**6, 7 * 10**7, 3 * NS_PER_S])
def test_time_ends_it(each_ns: int) -> None:
    clock = SyntheticClock()
    taken = take_samples(clock.taking(repeat(each_ns)), SamplingConfig(duration_s=1.0), clock=clock)
    assert len(taken.durations_ns) == max(1, -(-NS_PER_S // each_ns))


def test_two_readings_a_sample() -> None:
    clock = SyntheticClock()
    chunks: list[int] = []
    take_samples(clock.taking(repeat(1000)), SamplingConfig(samples=5000), clock=clock, on_chunk=chunks.append)
    assert clock.readings == 2 * 5000 + 2 * len(chunks)


def test_the_collector_is_off_and_then_as_before() -> None:
    states: list[bool] = []
    take_samples(lambda: states.append(gc.isenabled()), SamplingConfig(samples=3))
    assert states == [False] * 3 and gc.isenabled()


def test_warm_up_goes_on_until_durations_settle() -> None:
    clock = SyntheticClock()
    falling = chain((10**6 * (100 - i) for i in range(90)), repeat(10**7))
    warmth = warmed(clock.taking(falling), WarmUp(window=8, max_calls=400, max_seconds=100), clock)
    assert warmth.stable and 90 < warmth.calls < 130


def test_what_never_settles_is_said() -> None:
    clock = SyntheticClock()
    wild = cycle([*[10**6] * 8, *[10**7] * 8])
    warmth = warmed(clock.taking(wild), WarmUp(window=8, max_calls=80, max_seconds=100), clock)
    assert not warmth.stable and warmth.calls == 81
