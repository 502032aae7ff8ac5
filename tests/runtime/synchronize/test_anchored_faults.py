"""Steps, outages, fail-over, windows of sound and the online checks of the anchored policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge.runtime.synchronize.messages import MatchedSet, Presence, Release
from edge.runtime.synchronize.policies import Anchored, Messages, StreamSpec

S, MS = 1_000_000_000, 1_000_000
CAMERA, LIDAR, AUDIO = range(3)
SPECS = (
    StreamSpec(33 * MS, "hold", 150 * MS),
    StreamSpec(100 * MS, "hold", 250 * MS),
    StreamSpec(20 * MS, "hold", 100 * MS),
)
TRANSPORT = (15 * MS, 30 * MS, 5 * MS)
Disturb = Callable[[int, int, int], tuple[int, int] | None]  # stream, stamp, arrival -> stamp, arrival


def as_messages(rows: list[tuple[int, int, int, int]]) -> Messages:
    """From (arrival, stream, stamp, duration)."""
    columns = np.array(sorted(rows), np.int64).T
    return Messages(*(np.ascontiguousarray(columns[i]) for i in (1, 2, 0, 3)))


def record(seconds: int, disturb: Disturb = lambda _, stamp, arrival: (stamp, arrival)) -> Messages:
    rows = []
    for stream, spec in enumerate(SPECS):
        for k in range(seconds * S // spec.period_ns):
            stamp = S + 3 * MS * stream + k * spec.period_ns
            kept = disturb(stream, stamp, stamp + TRANSPORT[stream] + (k * 7 % 5 - 2) * MS // 2)
            if kept is not None:
                rows.append((kept[1], stream, kept[0], spec.period_ns if stream == AUDIO else 0))
    return as_messages(rows)


def gap(sets: list[MatchedSet]) -> int:
    return max(b.emitted_ns - a.emitted_ns for a, b in pairwise(sets))


def step(which: int | None, by: int) -> Disturb:
    return lambda stream, stamp, arrival: (
        stamp + by if stamp > 5 * S and which in (None, stream) else stamp,
        arrival,
    )


@pytest.mark.parametrize("by", [-5 * S, 5 * S, -3600 * S])
@pytest.mark.parametrize("which", [None, CAMERA, LIDAR, AUDIO])
def test_a_clock_step_is_undone_for_its_stream_alone(which: int | None, by: int) -> None:
    policy = Anchored(SPECS, LIDAR)
    sets = policy.replay(record(10, step(which, by)))
    assert gap(sets) <= 200 * MS
    late = [s for s in sets if s.emitted_ns > 6 * S]
    assert len(late) >= 45
    assert all(s.complete for s in late)
    stepped = [which] if which is not None else [CAMERA, LIDAR, AUDIO]
    for stream in range(3):
        health = policy.health(stream)
        assert health.epoch == (stream in stepped)
        expected = -by if stream in stepped else 0
        assert abs(health.epoch_offset_ns - expected) <= 5 * MS
        assert late[-1].members[stream].epoch == health.epoch


def test_a_step_of_all_clocks_keeps_them_aligned_to_the_nanosecond() -> None:
    policy = Anchored(SPECS, LIDAR)
    policy.replay(record(10, step(None, -5 * S)))
    assert len({policy.health(stream).epoch_offset_ns for stream in range(3)}) == 1


def test_streams_of_other_clocks_estimate_their_own_step() -> None:
    policy = Anchored([replace(spec, clock=i) for i, spec in enumerate(SPECS)], LIDAR)
    policy.replay(record(10, step(None, -5 * S)))
    assert len({policy.health(stream).epoch_offset_ns for stream in range(3)}) > 1


def test_a_burst_after_a_stall_is_no_step() -> None:
    def stall(stream: int, stamp: int, arrival: int) -> tuple[int, int]:
        held = stream == CAMERA and 5 * S < stamp < 6 * S
        return stamp, 6 * S + 30 * MS + (stamp - 5 * S) // 1000 if held else arrival

    policy = Anchored(SPECS, LIDAR)
    sets = policy.replay(record(10, stall))
    assert policy.health(CAMERA).epoch == 0
    assert all(s.complete for s in sets if s.emitted_ns > 6.3 * S)


@pytest.mark.parametrize("by_ms", range(196, 205))
@pytest.mark.parametrize("stream", [CAMERA, LIDAR, AUDIO])
@pytest.mark.parametrize("declared", [False, True])
def test_a_link_that_is_slow_for_a_while_leaves_no_offset(stream: int, by_ms: int, declared: bool) -> None:
    """At the threshold of a step, on its way out or back: what a step did must be undone, and a return is none."""
    threshold_ms = max(3 * SPECS[stream].period_ns // MS, 200)
    by_ns = (by_ms + threshold_ms - 200) * MS

    def slow(i: int, stamp: int, arrival: int) -> tuple[int, int]:
        return stamp, arrival + (by_ns if i == stream and 4 * S < arrival < 6 * S else 0)

    specs = [replace(spec, transport_ns=TRANSPORT[i] if declared else None) for i, spec in enumerate(SPECS)]
    policy = Anchored(specs, LIDAR)
    sets = policy.replay(record(9, slow))
    assert abs(policy.health(stream).epoch_offset_ns) <= 5 * MS
    assert abs(policy.health(stream).delay_ns - TRANSPORT[stream]) <= 5 * MS
    assert gap(sets) <= 220 * MS
    assert all(s.complete for s in sets if s.emitted_ns > 7 * S)


@pytest.mark.parametrize("dead", [CAMERA, LIDAR, AUDIO])
def test_a_dead_sensor_silences_nobody(dead: int) -> None:
    def die(stream: int, stamp: int, arrival: int) -> tuple[int, int] | None:
        return None if stream == dead and 4 * S < stamp < 8 * S else (stamp, arrival)

    sets = Anchored(SPECS, LIDAR).replay(record(12, die))
    assert gap(sets) <= 220 * MS
    during = [s for s in sets if 5 * S < s.anchor_stamp_ns < 7.9 * S]
    assert len(during) >= 28
    assert all(s.members[dead].presence is Presence.SILENT for s in during)
    assert all(s.predicted == (dead == LIDAR) for s in during)
    assert all(s.members[i].presence is Presence.FRESH for s in during for i in range(3) if i != dead)
    assert all(s.complete and not s.predicted for s in sets if s.anchor_stamp_ns > 8.3 * S)


@pytest.mark.parametrize("dead", [(LIDAR,), (LIDAR, AUDIO)])
def test_an_anchor_that_never_comes_is_given_up_once_the_others_are_there(dead: tuple[int, ...]) -> None:
    """At once where it alone is missing; otherwise the rest is given two seconds to come."""
    sets = Anchored(SPECS, LIDAR).replay(record(6, lambda j, t, at: None if j in dead else (t, at)))
    first_s = (sets[0].emitted_ns - S) / S
    assert 0.15 <= first_s <= 0.25 if len(dead) == 1 else first_s == pytest.approx(2.0, abs=0.1)
    assert gap(sets) <= 110 * MS
    assert all(s.predicted and s.members[CAMERA].presence is Presence.FRESH for s in sets)
    assert sets[-1].members[LIDAR].presence is Presence.NEVER_SEEN


def test_streams_that_start_late_are_waited_for() -> None:
    """Sound runs 1.5 s before the others: no set is made of it alone."""
    sets = Anchored(SPECS, LIDAR).replay(record(6, lambda j, t, at: None if j != AUDIO and t < 2.5 * S else (t, at)))
    assert sets[0].anchor_stamp_ns >= 2.5 * S
    assert not any(s.predicted for s in sets)


@pytest.mark.parametrize("lost_ms", [20, 40, 60])
def test_a_short_hole_in_the_sound_is_bridged(lost_ms: int) -> None:
    """With 40 ms to conceal, losing one or two chunks of 20 ms costs nothing; losing three costs the window."""

    def lose(stream: int, stamp: int, arrival: int) -> tuple[int, int] | None:
        lost = stream == AUDIO and 0 <= stamp - 4 * S < lost_ms * MS
        return None if lost else (stamp, arrival)

    specs = [
        SPECS[CAMERA],
        SPECS[LIDAR],
        replace(SPECS[AUDIO], policy="required", window_ns=S // 2, conceal_ns=40 * MS),
    ]
    sets = Anchored(specs, LIDAR).replay(record(6, lose))
    holes = [s for s in sets if s.members[AUDIO].presence is Presence.GAP]
    assert len(holes) == (0 if lost_ms <= 40 else 5)


def test_predicted_ticks_keep_the_anchors_rate() -> None:
    def die(stream: int, stamp: int, arrival: int) -> tuple[int, int] | None:
        return None if stream == LIDAR and stamp > 4 * S else (stamp, arrival)

    sets = Anchored(SPECS, LIDAR).replay(record(8, die))
    ticks = [s for s in sets if s.predicted]
    assert {b.anchor_stamp_ns - a.anchor_stamp_ns for a, b in pairwise(ticks)} == {100 * MS}
    assert all(abs(b.emitted_ns - a.emitted_ns - 100 * MS) <= MS for a, b in pairwise(ticks[1:]))


def test_an_anchor_that_never_comes_is_replaced() -> None:
    sets = Anchored(SPECS, LIDAR).replay(record(3, lambda i, t, a: None if i == LIDAR else (t, a)))
    assert len(sets) >= 27
    assert all(s.predicted and s.members[LIDAR].presence is Presence.NEVER_SEEN for s in sets)


def test_held_samples_are_marked_and_not_older_than_allowed() -> None:
    def die(stream: int, stamp: int, arrival: int) -> tuple[int, int] | None:
        return None if stream == CAMERA and stamp > 4 * S else (stamp, arrival)

    sets = Anchored(SPECS, LIDAR).replay(record(6, die))
    held = [s for s in sets if s.members[CAMERA].presence is Presence.HELD]
    assert 1 <= len(held) <= 2
    assert all(s.anchor_stamp_ns - s.members[CAMERA].stamp_ns <= 150 * MS for s in held)


def test_required_waits_for_the_deadline_and_mask_does_not() -> None:
    for policy, wait in (("required", 60 * MS), ("hold", 60 * MS), ("mask", 0)):
        camera = StreamSpec(33 * MS, policy, max_age_ns=10 * MS, tolerance_ns=10 * MS)  # type: ignore[arg-type]
        anchored = Anchored([camera, SPECS[LIDAR]], 1)
        for k in range(3):
            anchored.push(0, k * 33 * MS, k * 33 * MS + 15 * MS, k)
        sets = anchored.push(1, 110 * MS, 120 * MS, 9)
        if not sets:
            assert anchored.next_deadline_ns() == 120 * MS + wait
            assert anchored.advance(120 * MS + wait - 1) == []
            sets = anchored.advance(120 * MS + wait)
        assert sets[0].emitted_ns == 120 * MS + wait
        assert not sets[0].members[0].present


def test_a_negative_delay_reveals_an_offset_that_matching_cannot_see() -> None:
    def ahead(stream: int, stamp: int, arrival: int) -> tuple[int, int]:
        return stamp + 120 * MS * (stream == AUDIO), arrival

    specs = [replace(spec, transport_ns=TRANSPORT[i]) for i, spec in enumerate(SPECS)]
    policy = Anchored(specs, LIDAR)
    policy.replay(record(10, ahead))
    health = policy.health(AUDIO)
    assert health.negative_delays > 400
    assert abs(health.offset_estimate_ns - 120 * MS) < 2 * MS
    specs[AUDIO] = replace(specs[AUDIO], latency_offset_ns=-120 * MS)
    mended = Anchored(specs, LIDAR)
    mended.replay(record(10, ahead))
    assert mended.health(AUDIO).negative_delays == 0


def test_a_clock_that_is_off_from_the_start_is_mapped() -> None:
    specs = [replace(spec, transport_ns=TRANSPORT[i]) for i, spec in enumerate(SPECS)]
    policy = Anchored(specs, LIDAR)
    sets = policy.replay(record(5, lambda i, t, a: (t + 3600 * S * (i == AUDIO), a)))
    assert abs(policy.health(AUDIO).epoch_offset_ns + 3600 * S) < 2 * MS
    assert all(s.complete for s in sets if s.emitted_ns > 1.5 * S)


@pytest.mark.parametrize("ppm", [-100, 40, 300])
def test_drift_is_estimated(ppm: int) -> None:
    policy = Anchored(SPECS, LIDAR)
    policy.replay(record(120, lambda i, t, a: (t + (t - S) * ppm // 10**6 if i == AUDIO else t, a)))
    drift = policy.health(AUDIO).drift_ppm
    assert drift is not None
    assert abs(drift - ppm) < 10


def test_stuck_stamps_are_told_from_a_step() -> None:
    def freeze(stream: int, stamp: int, arrival: int) -> tuple[int, int]:
        return (min(stamp, 4 * S) if stream == CAMERA else stamp), arrival

    policy = Anchored(SPECS, LIDAR)
    sets = policy.replay(record(8, freeze))
    health = policy.health(CAMERA)
    assert health.stuck
    assert health.epoch == 0
    assert health.released[Release.DUPLICATE] == 1
    assert health.released[Release.STUCK] > 100
    assert all(s.members[CAMERA].presence is Presence.SILENT for s in sets if s.emitted_ns > 4.5 * S)


def windowed() -> Anchored:
    return Anchored([*SPECS[:2], StreamSpec(20 * MS, window_ns=200 * MS)], LIDAR)


def test_a_window_names_the_chunks_that_overlap_it_and_the_one_before() -> None:
    messages = record(3)
    for matched in windowed().replay(messages)[3:]:
        handles, T = list(matched.members[AUDIO].handles), matched.anchor_stamp_ns
        chunks = zip(messages.streams, messages.stamps_ns, strict=True)
        inside = [i for i, (j, t) in enumerate(chunks) if j == AUDIO and t + 40 * MS > T - 200 * MS and t < T]
        assert handles == inside
        assert list(matched.members[AUDIO].stamps_ns) == [messages.stamps_ns[i] for i in inside]
        assert matched.members[AUDIO].presence is Presence.FRESH


def test_a_hole_in_a_window_is_missing_until_it_has_passed() -> None:
    sets = windowed().replay(record(4, lambda i, t, a: None if i == AUDIO and 2 * S < t < 2.02 * S else (t, a)))
    missing = [s for s in sets if s.anchor_stamp_ns > 1.3 * S and not s.members[AUDIO].present]
    assert {s.members[AUDIO].presence for s in missing} == {Presence.GAP}
    assert all(2 * S < s.anchor_stamp_ns < 2.3 * S for s in missing)
    assert 2 <= len(missing) <= 3


def test_a_window_that_is_not_full_yet_is_short() -> None:
    sets = windowed().replay(record(2))
    assert sets[0].members[AUDIO].presence is Presence.SHORT


def test_kitti_drive_0009_goes_on_over_the_missing_sweeps(shared_data: Path) -> None:
    rows = []
    for stream, name, delay in ((0, "image_02", 15 * MS), (1, "velodyne_points", 82 * MS)):
        file = shared_data / "kitti_timestamps" / f"2011_09_26_drive_0009_{name}_ns.txt"
        rows += [(int(line) + delay, stream, int(line), 0) for line in file.read_text().split()]
    period = round(S / 9.661)
    specs = [StreamSpec(period, "hold", 250 * MS), StreamSpec(period)]
    sets = Anchored(specs, 1).replay(as_messages(rows))
    assert gap(sets) <= 2 * period + 20 * MS
    assert sum(s.predicted for s in sets) == 4
    assert sum(s.complete for s in sets) == 443


def test_a_replay_is_the_same_every_time() -> None:
    messages = record(6, step(CAMERA, 5 * S))
    assert Anchored(SPECS, LIDAR).replay(messages) == Anchored(SPECS, LIDAR).replay(messages)
