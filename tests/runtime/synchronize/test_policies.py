"""What all policies share, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.runtime.errors import ConfigError, SampleError
from edge.runtime.synchronize.messages import Presence, Release
from edge.runtime.synchronize.policies import Anchored, Exact, Latest, Optimal, Policy, StreamSpec

MS = 1_000_000
SPECS = (StreamSpec(30 * MS, "hold", 100 * MS), StreamSpec(100 * MS))
MAKERS: dict[str, Callable[[], Policy]] = {
    "anchored": lambda: Anchored(SPECS, 1),
    "exact": lambda: Exact(SPECS),
    "optimal": lambda: Optimal(SPECS, 1),
    "latest": lambda: Latest(SPECS, 1),
}
INT64 = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([-(2**63), -1, 0, 1, 2**63 - 1, 4 * 10**18, 4 * 10**18 + 1]),
    st.integers(0, 400).map(lambda n: n * 10 * MS),
)


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), INT64, INT64), max_size=40))
def test_no_stamps_break_a_policy(name: str, messages: list[tuple[int, int, int]]) -> None:
    policy = MAKERS[name]()
    sets = []
    for handle, (stream, stamp, arrival) in enumerate(messages):
        sets += policy.push(stream, stamp, arrival, handle)
        due = policy.next_deadline_ns()
        sets += policy.advance(arrival if due is None else due)
    sets += policy.flush(0)
    stamps = [one.anchor_stamp_ns for one in sets]
    assert stamps == sorted(set(stamps))
    assert sorted(one.handle for one in policy.take_released()) == list(range(len(messages)))


def test_latest_takes_the_newest_at_every_anchor() -> None:
    policy = Latest(SPECS, 1)
    assert policy.push(0, 0, 0, 0) == []
    assert policy.push(0, 30 * MS, 30 * MS, 1) == []
    (first,) = policy.push(1, 20 * MS, 40 * MS, 2)
    assert [member.handles for member in first.members] == [(1,), (2,)]
    assert first.complete
    (second,) = policy.push(1, 120 * MS, 140 * MS, 3)
    assert second.members[0].presence is Presence.HELD
    (third,) = policy.push(1, 220 * MS, 240 * MS, 4)
    assert third.members[0].presence is Presence.TOO_FAR
    assert policy.push(1, 200 * MS, 250 * MS, 5) == []
    assert (5, 1, Release.LATE) in policy.take_released()


def test_optimal_goes_on_after_all_clocks_stepped_back() -> None:
    policy = Optimal([StreamSpec(100 * MS), StreamSpec(100 * MS)])
    sets = []
    for k in range(200):
        by = -5000 * MS if k >= 100 else 0
        for stream in range(2):
            now = k * 100 * MS + stream * 10 * MS
            sets += policy.push(stream, now + by, now + 5 * MS, 2 * k + stream)
    assert len(sets) >= 190
    assert max(b.emitted_ns - a.emitted_ns for a, b in pairwise(sets)) <= 400 * MS


def test_a_late_caller_gets_one_tick_and_the_count_of_the_others() -> None:
    policy = Anchored(SPECS, 1)
    policy.push(1, 0, 10 * MS, 0)
    ticks = policy.advance(10_000 * MS)
    assert 1 <= len(ticks) <= 2
    assert policy.ticks_skipped >= 97


def test_the_budget_cannot_break_the_bound_on_silence() -> None:
    assert Anchored(SPECS, 1, budget_ns=10**12).budget_ns == 70 * MS
    assert Anchored(SPECS, 1, budget_ns=5 * MS).budget_ns == 5 * MS


@pytest.mark.parametrize(
    "make",
    [
        lambda: Anchored([], 0),
        lambda: Anchored(SPECS, 2),
        lambda: Anchored(SPECS, -1),
        lambda: Anchored(SPECS, 0, budget_ns=-1),
        lambda: Anchored(SPECS, 0, budget_ns=2**70),
        lambda: Anchored([StreamSpec(0)], 0),
        lambda: Anchored([StreamSpec(-5)], 0),
        lambda: Anchored([StreamSpec(10, max_age_ns=-1)], 0),
        lambda: Anchored([StreamSpec(10, min_period_ns=11)], 0),
        lambda: Anchored([StreamSpec(10, transport_ns=-1)], 0),
        lambda: Anchored([StreamSpec(10, "sometimes")], 0),  # type: ignore[arg-type]
        lambda: Anchored([StreamSpec(MS)] * 65, 0),
        lambda: Exact(SPECS, queue_size=0),
        lambda: Exact([StreamSpec(MS, window_ns=MS)]),
        lambda: Latest(SPECS, 2),
        lambda: Optimal(SPECS, age_penalty=-0.1),
        lambda: Optimal(SPECS, age_penalty=float("nan")),
        lambda: Optimal(SPECS, lower_bounds_ns=[1]),
        lambda: Optimal(SPECS, lower_bounds_ns=[1, -1]),
        lambda: Anchored(SPECS, 0).health(2),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ConfigError, match=r"; "):
        make()


@pytest.mark.parametrize("message", [(0, 2**63, 0, 0), (0, 0, 2**64, 0), (-1, 0, 0, 0), (0, 1.5, 0, 0), (0, 0, 0, -1)])
def test_messages_that_are_no_integers_are_refused(message: tuple[int, int, int, int]) -> None:
    with pytest.raises(SampleError, match="64-bit"):
        Anchored(SPECS, 0).push(*message)


def test_a_stream_that_does_not_exist_is_given_back() -> None:
    policy = Anchored(SPECS, 0)
    assert policy.push(7, 0, 0, 3) == []
    assert policy.take_released() == [(3, 7, Release.OUT_OF_RANGE)]
