"""The anchored policy against a brute-force oracle that knows every message ever pushed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.runtime.synchronize.messages import MatchedSet, Presence, Release
from edge.runtime.synchronize.policies import Anchored, StreamSpec

MS = 1_000_000
ANCHOR = 0


@dataclass(frozen=True)
class Scene:
    """Streams and messages `(arrival, stream, stamp)`; a message's handle is its position."""

    specs: tuple[StreamSpec, ...]
    budget_ns: int
    jitter_ns: int
    messages: tuple[tuple[int, int, int], ...]


@st.composite
def scenes(draw: st.DrawFn, unruly: bool) -> Scene:
    """Three streams with losses and outages; unruly ones also repeat, delay and reorder what is no anchor."""
    seed = random.Random(draw(st.integers(0, 2**32)))
    periods = [draw(st.sampled_from([50, 100, 104])), draw(st.integers(15, 250)), draw(st.integers(15, 250))]
    loss = draw(st.sampled_from([0.0, 0.05, 0.3]))
    absences: list[Literal["required", "hold", "mask"]] = ["required", "hold", "mask"]
    policies = [draw(st.sampled_from(absences)) for _ in periods]
    dead = draw(st.sampled_from([None, 0, 1, 2]))
    jitter = 2 * MS
    specs, rows = [], []
    for stream, (period_ms, policy) in enumerate(zip(periods, policies, strict=True)):
        period = period_ms * MS
        specs.append(StreamSpec(period, policy, max_age_ns=2 * period, min_period_ns=period * 9 // 10))
        phase, transport = seed.randrange(period), seed.randrange(40 * MS)
        for k in range(3000 * MS // period):
            stamp = 10**9 + phase + k * period + seed.randrange(-period // 20, period // 20 + 1)
            arrival = stamp + transport + seed.randrange(jitter)
            if seed.random() < loss or (stream == dead and 2200 * MS > stamp - 10**9 > 1100 * MS):
                continue
            if unruly and stream != ANCHOR and seed.random() < 0.1:
                arrival += seed.randrange(150 * MS)
            rows.append((arrival, stream, stamp))
            if unruly and seed.random() < 0.05:
                rows.append((arrival + seed.randrange(period), stream, stamp))
    rows.sort()
    return Scene(tuple(specs), draw(st.sampled_from([0, 20, 60])) * MS, jitter, tuple(rows))


@dataclass
class Oracle:
    """Everything that was pushed, and the newest stamp used of each stream."""

    specs: tuple[StreamSpec, ...]
    pushed: list[dict[int, int]] = field(default_factory=lambda: [{}, {}, {}])  # stamp -> first handle
    used: list[int] = field(default_factory=lambda: [-1, -1, -1])

    def push(self, stream: int, stamp: int, handle: int) -> None:
        self.pushed[stream].setdefault(stamp, handle)

    def expected(self, stream: int, T: int) -> tuple[int | None, bool]:
        """Handle and whether it is held."""
        spec, stamps = self.specs[stream], self.pushed[stream]
        tolerance = spec.period_ns + spec.period_ns // 20
        fresh = [s for s in stamps if s > self.used[stream] and abs(s - T) <= tolerance]
        if fresh:
            return stamps[min(fresh, key=lambda s: (abs(s - T), s))], False
        past = [s for s in stamps if s <= T + tolerance]
        if spec.policy == "hold" and past and T - max(past) <= spec.max_age_ns:
            return stamps[max(past)], True
        return None, False

    def check(self, matched: MatchedSet, stamp_of: dict[int, int]) -> None:
        for stream, member in enumerate(matched.members):
            if stream == ANCHOR and not matched.predicted:
                assert member.stamp_ns == matched.anchor_stamp_ns
            else:
                handle, held = self.expected(stream, matched.anchor_stamp_ns)
                assert (member.handles[0] if member.handles else None) == handle
                assert handle is None or (member.presence is Presence.HELD) == held
            if member.handles:
                assert stamp_of[member.handles[0]] == member.stamp_ns
                self.used[stream] = max(self.used[stream], member.stamp_ns)
        if not matched.predicted:  # only now may later ticks hold the anchor's own message
            self.push(ANCHOR, matched.anchor_stamp_ns, matched.members[ANCHOR].handles[0])


def play(scene: Scene) -> tuple[list[MatchedSet], Anchored]:
    """Replays a scene with every deadline at its instant, and checks every set's members against the oracle."""
    policy = Anchored(scene.specs, ANCHOR, budget_ns=scene.budget_ns)
    oracle, sets = Oracle(scene.specs), list[MatchedSet]()
    stamp_of = {handle: stamp for handle, (_, _, stamp) in enumerate(scene.messages)}

    def take(new: list[MatchedSet]) -> None:
        for matched in new:
            oracle.check(matched, stamp_of)
            sets.append(matched)

    for handle, (arrival, stream, stamp) in enumerate(scene.messages):
        while (due := policy.next_deadline_ns()) is not None and due <= arrival:
            take(policy.advance(due))
        if stream != ANCHOR:
            oracle.push(stream, stamp, handle)
        take(policy.push(stream, stamp, arrival, handle))
    take(policy.flush(scene.messages[-1][0]))
    return sets, policy


quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(scenes(unruly=True))
def test_members_are_the_nearest_and_stamps_only_grow(scene: Scene) -> None:
    sets, policy = play(scene)
    assert len(sets) >= 20
    assert all(a.anchor_stamp_ns < b.anchor_stamp_ns for a, b in pairwise(sets))
    assert [matched.seq for matched in sets] == list(range(len(sets)))
    assert all(policy.health(stream).epoch == 0 for stream in range(3))


@quick
@given(scenes(unruly=True))
def test_every_handle_comes_back_once_and_none_is_fresh_twice(scene: Scene) -> None:
    sets, policy = play(scene)
    released = {one.handle: one.why for one in policy.take_released()}
    assert sorted(released) == list(range(len(scene.messages)))
    members = [member for matched in sets for member in matched.members if member.present]
    assert {m.handles[0] for m in members} == {h for h, why in released.items() if why is Release.USED}
    fresh = [member.handles[0] for member in members if member.presence is Presence.FRESH]
    assert len(fresh) == len(set(fresh))


@quick
@given(scenes(unruly=True))
def test_no_set_waits_beyond_the_budget(scene: Scene) -> None:
    sets, policy = play(scene)
    for matched in sets:
        if not matched.predicted:
            arrival = scene.messages[matched.members[ANCHOR].handles[0]][0]
            assert 0 <= matched.emitted_ns - arrival <= policy.budget_ns


@quick
@given(scenes(unruly=False))
def test_silence_is_bounded_whatever_sensor_dies(scene: Scene) -> None:
    sets, _ = play(scene)
    bound = 2 * scene.specs[ANCHOR].period_ns + 20 * MS + scene.specs[ANCHOR].period_ns // 10 + scene.jitter_ns
    first = [min(at for at, stream, _ in scene.messages if stream == i) for i in range(3)]
    begun = min(first[ANCHOR], max(at for i, at in enumerate(first) if i != ANCHOR))  # the ticks begin then
    marks = [begun, *(matched.emitted_ns for matched in sets)]
    assert max(b - a for a, b in pairwise(marks) if b >= begun) <= bound
    assert scene.messages[-1][0] - marks[-1] <= bound


@quick
@given(scenes(unruly=False))
def test_a_set_that_left_early_missed_nothing_better(scene: Scene) -> None:
    """What came before the deadline is no nearer, unless the stream had been silent or had no slack to be early."""
    sets, policy = play(scene)
    for matched in sets:
        if matched.predicted:
            continue
        T, emitted = matched.anchor_stamp_ns, matched.emitted_ns
        deadline = scene.messages[matched.members[ANCHOR].handles[0]][0] + policy.budget_ns
        for stream in (1, 2):
            spec, member = scene.specs[stream], matched.members[stream]
            known = [a for a, s, _ in scene.messages if s == stream and a <= emitted]
            awake = known and deadline - policy.budget_ns - known[-1] <= 3 * spec.period_ns
            if spec.policy == "mask" or not awake or member.presence is not Presence.FRESH:
                continue
            later = [t for a, s, t in scene.messages if s == stream and emitted < a <= deadline - spec.period_ns // 4]
            assert all(abs(t - T) >= abs(member.stamp_ns - T) for t in later)
