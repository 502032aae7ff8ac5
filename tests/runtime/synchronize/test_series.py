"""Series: the last readings up to the one that was matched, filled where a little is lost, missing where it is more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.runtime.errors import ConfigError, SampleError
from edge.runtime.live_clock import ManualClock
from edge.runtime.rig import Rig, Stream
from edge.runtime.sample import PointCloud, Reading, Sample, Series, Text
from edge.runtime.synchronize.live import LiveSynchronizer
from edge.runtime.synchronize.series import GAP, INCOMPLETE, ReadingHistory, SeriesCut, history_room
from edge.runtime.synchronizer import Synchronizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.runtime.synchronize.synced import SyncedSet

MS = 1_000_000
START = 1_000_000 * MS
PERIOD_MS = 100
SWEEP = PointCloud(np.zeros((1, 4), np.float32))
LIDAR = Stream(kind="lidar", rate_hz=10, stamp="end", transport_ms=30)
ROOM = Stream(kind="table", rate_hz=10, transport_ms=5, fields=("t",), conceal_ms=120)
STEPS = {"room": 4}


def make_rig(**room: Any) -> Rig:
    return Rig(schema=1, anchor="lidar", streams={"lidar": LIDAR, "room": ROOM.model_copy(update=room)})


def reading(at_ms: float, value: float, seq: int = 0, delay_ms: float = 5, step_ms: float = 0) -> Sample:
    """Measured at `at_ms` by a clock that is `step_ms` ahead."""
    at = START + round(at_ms * MS)
    payload = Reading(np.array([value], np.float32), ("t",))
    return Sample("room", at + round(step_ms * MS), at + round(delay_ms * MS), seq, payload)


def readings(numbers: Iterable[int], lag_ms: float = 0) -> list[Sample]:
    """Reading k has the value k and is measured at `100 k - lag` ms."""
    return [reading(PERIOD_MS * k - lag_ms, k, k) for k in numbers]


def sweeps(first: int, last: int) -> list[Sample]:
    at = [(START + PERIOD_MS * k * MS, k) for k in range(first, last)]
    return [Sample("lidar", stamp, stamp + 30 * MS, k, SWEEP) for stamp, k in at]


def fed(sync: Synchronizer, samples: Iterable[Sample]) -> list[SyncedSet]:
    """Pushes in the order of arrival and wakes the synchronizer at each deadline, as a run does."""
    sets: list[SyncedSet] = []
    for sample in sorted(samples, key=lambda s: s.arrival_ns):
        while (due := sync.next_deadline_ns()) is not None and due <= sample.arrival_ns:
            sets += sync.advance(due)
        sets += sync.push(sample)
    return sets + sync.flush()


def values_of(one: SyncedSet) -> list[float] | str:
    if "room" in one.missing:
        return one.missing["room"]
    payload = one.samples["room"].payload
    assert isinstance(payload, Series) and payload.values.dtype == np.float32 and payload.fields == ("t",)
    return [float(v) for v in payload.values[:, 0]]


def by_anchor(sets: list[SyncedSet]) -> dict[int, list[float] | str]:
    return {round((one.stamp_ns - START) / MS / PERIOD_MS): values_of(one) for one in sets}


def test_a_series_ends_with_the_reading_that_is_nearest_to_the_anchor() -> None:
    sets = fed(Synchronizer(make_rig(), ["lidar", "room"], {}, STEPS), readings(range(12), 20) + sweeps(1, 12))
    found = by_anchor(sets)
    assert [found[k] for k in (1, 2)] == [INCOMPLETE, INCOMPLETE]
    for k in range(3, 12):
        assert found[k] == [k - 3, k - 2, k - 1, k]
    last = sets[-1].samples["room"]
    assert last.seq == 11 and last.stamp_ns == START + 1080 * MS  # of its last reading
    assert sets[-1].stamps_ns["room"] == last.stamp_ns and not sets[-1].concealed_ms


def test_without_steps_a_table_gives_single_readings() -> None:
    sets = fed(Synchronizer(make_rig(), ["lidar", "room"], {}), readings(range(6)) + sweeps(1, 6))
    assert all(isinstance(one.samples["room"].payload, Reading) for one in sets)


def test_one_lost_reading_is_filled_with_the_one_before_it_and_counted() -> None:
    sync = Synchronizer(make_rig(), ["lidar", "room"], {}, STEPS)
    found = fed(sync, readings(k for k in range(14) if k != 6) + sweeps(1, 14))
    series = by_anchor(found)
    # At anchor 6 the nearest reading is that of 500 or 700 ms, of which one was used and the other is fresh.
    assert series[7] == [4, 5, 5, 7]
    assert series[8] == [5, 5, 7, 8] and series[9] == [5, 7, 8, 9] and series[10] == [7, 8, 9, 10]
    concealed = {round((s.stamp_ns - START) / MS / PERIOD_MS): s.concealed_ms.get("room", 0) for s in found}
    assert [concealed[k] for k in (5, 7, 8, 9, 10)] == [0, 100, 100, 100, 0]
    assert sync.counts["room:concealed"] == sum(1 for value in concealed.values() if value)


def test_a_longer_hole_makes_the_series_missing_until_it_has_passed_out() -> None:
    lost = (6, 7, 8)
    found = by_anchor(
        fed(
            Synchronizer(make_rig(), ["lidar", "room"], {}, STEPS),
            readings(k for k in range(16) if k not in lost) + sweeps(1, 16),
        )
    )
    assert [found[k] for k in (9, 10, 11)] == [GAP] * 3
    assert found[12] == [9, 10, 11, 12]


def test_a_held_reading_ends_the_series_that_it_ended_before() -> None:
    rig = make_rig(policy="hold", max_age_ms=500, conceal_ms=0)
    found = fed(Synchronizer(rig, ["lidar", "room"], {}, STEPS), readings(range(6)) + sweeps(1, 9))
    assert by_anchor(found)[8] == [2, 3, 4, 5]
    assert found[-1].held == ("room",)


def test_order_of_arrival_does_not_matter() -> None:
    late = [replace(s, arrival_ns=s.arrival_ns + 110 * MS) if s.seq in (4, 8) else s for s in readings(range(14))]
    found = by_anchor(fed(Synchronizer(make_rig(), ["lidar", "room"], {}, STEPS), late + sweeps(1, 14)))
    assert found[6] == [3, 4, 5, 6] and found[10] == [7, 8, 9, 10]


@pytest.mark.parametrize("step_ms", [-5000, 7000])
def test_a_series_goes_on_over_a_clock_step(step_ms: float) -> None:
    """The stream is re-mapped after three readings; the series then holds those before the step as well."""
    before, after = readings(range(10)), [reading(PERIOD_MS * k, k, k, step_ms=step_ms) for k in range(10, 24)]
    sync = Synchronizer(make_rig(), ["lidar", "room"], {}, STEPS)
    sets = fed(sync, before + after + sweeps(1, 24))
    found = by_anchor(sets)
    assert sync.health("room").epoch == 1
    assert found[12] == [9, 10, 11, 12] or found[13] == [10, 11, 12, 13]
    for k in range(13, 24):
        assert found[k] == [k - 3, k - 2, k - 1, k]
    assert sets[-1].samples["room"].epoch == 1


def test_a_stamp_from_the_future_has_no_place_when_its_time_comes() -> None:
    """The core lets go of it, and so does the history."""
    wrong = [reading(PERIOD_MS * k, k, k, step_ms=900 if k == 5 else 0) for k in range(20)]
    sync = Synchronizer(make_rig(conceal_ms=0), ["lidar", "room"], {}, STEPS)
    found = by_anchor(fed(sync, wrong + sweeps(1, 20)))
    assert sync.dropped["room:future"] == 1
    assert found[15] == [12, 13, 14, 15] and found[8] == GAP


def test_readings_that_may_have_stepped_are_left_out_until_that_is_known() -> None:
    """By the old offset they would stand in the middle of the series that is held meanwhile."""
    rig = make_rig(policy="hold", max_age_ms=1000)
    back = [reading(PERIOD_MS * k, k, k, step_ms=-1250 if k > 19 else 0) for k in range(30)]
    sync = Synchronizer(rig, ["lidar", "room"], {}, {"room": 18})
    found = by_anchor(fed(sync, back + sweeps(1, 30)))
    for values in found.values():
        assert isinstance(values, str) or values == sorted(set(values))
    assert found[29] == list(range(12, 30))


def test_a_table_may_be_the_anchor() -> None:
    rig = Rig(schema=1, anchor="room", streams={"room": ROOM})
    found = by_anchor(fed(Synchronizer(rig, ["room"], {}, STEPS), readings(range(8))))
    assert found[0] == INCOMPLETE and found[7] == [4, 5, 6, 7]


def test_what_is_no_reading_is_counted_and_never_matched() -> None:
    sync = Synchronizer(make_rig(), ["lidar", "room"], {}, STEPS)
    wrong = [replace(s, payload=Text("hot")) if s.seq == 5 else s for s in readings(range(8))]
    fed(sync, wrong + sweeps(1, 8))
    assert sync.dropped["room:unusable"] == 1


@pytest.mark.parametrize("wrong", [2**63, -(2**63) - 1, 0.5, None])
@pytest.mark.parametrize("make", [Synchronizer, LiveSynchronizer])
def test_a_number_that_the_core_refuses_spoils_no_series(make: Any, wrong: Any) -> None:
    sync = make(make_rig(), ["lidar", "room"], {}, STEPS)
    for sample in readings(range(4)):
        sync.push(sample)
    with pytest.raises(SampleError, match="no 64-bit integer"):
        sync.push(replace(readings([4])[0], stamp_ns=wrong))
    assert len(sync._histories["room"]) == 4
    if isinstance(sync, LiveSynchronizer):
        sync.close()


def test_fields_that_change_end_the_series() -> None:
    history = ReadingHistory(2, 100 * MS, 0, 9)
    first, other = readings(range(2))
    renamed = replace(other, payload=Reading(np.zeros(1, np.float32), ("humidity",)))
    history.add(first)
    history.add(renamed)
    assert history.until(renamed, renamed.stamp_ns, 0, renamed.arrival_ns) == INCOMPLETE


def test_a_history_is_bounded() -> None:
    history = ReadingHistory(4, 100 * MS, 0, history_room(make_rig(), "room", 4, 0))
    for sample in readings(range(500)):
        history.add(sample)
    assert len(history) == 24


@given(lost=st.integers(0, 12), steps=st.integers(1, 8), conceal=st.integers(0, 3), seed=st.integers(0, 2**32 - 1))
def test_agrees_with_a_simple_oracle(lost: int, steps: int, conceal: int, seed: int) -> None:
    """Readings up to the newest, each repeated for those lost after it, while no hole is too long."""
    random = np.random.default_rng(seed)
    jitter = random.integers(-40, 41, 40)
    gone, swapped = (set(random.choice(np.arange(1, 39), count, replace=False)) for count in (lost, 6))
    kept = [reading(PERIOD_MS * k + jitter[k], k, k) for k in range(40) if k not in gone]
    history = ReadingHistory(steps, PERIOD_MS * MS, conceal * PERIOD_MS * MS, 40)
    order = [replace(s, arrival_ns=s.arrival_ns + 250 * MS) if s.seq in swapped else s for s in kept]
    for sample in sorted(order, key=lambda s: s.arrival_ns):
        history.add(sample)
    newest = next(s for s in order if s.seq == kept[-1].seq)

    expected: list[int] | str = [kept[-1].seq]
    assert isinstance(expected, list)
    for before, after in zip(kept[-2::-1], kept[:0:-1], strict=True):
        if len(expected) >= steps:
            break
        hole = (after.stamp_ns - before.stamp_ns) / MS - PERIOD_MS
        if hole > max(PERIOD_MS / 2, conceal * PERIOD_MS):
            expected = GAP
            break
        repeats = 1 + (round(hole / PERIOD_MS) if hole > PERIOD_MS / 2 else 0)
        expected += [before.seq] * repeats
    found = history.until(newest, newest.stamp_ns, 0, START + 10_000 * MS)
    if isinstance(expected, list):
        assert isinstance(found, SeriesCut)
        assert found.payload.values[:, 0].tolist() == expected[:steps][::-1]
        assert found.payload.values.shape == (steps, 1)
    else:
        assert found == expected


def outage(sample: Sample) -> Sample | None:
    """Readings get lost, come late, and their clock steps."""
    if sample.stream != "room":
        return sample
    if sample.seq in (12, 13, 14, 20):
        return None
    if sample.seq == 30:
        return replace(sample, arrival_ns=sample.arrival_ns + 130 * MS)
    return replace(sample, stamp_ns=sample.stamp_ns - 4000 * MS) if sample.seq > 36 else sample


def test_live_gives_what_virtual_time_gives() -> None:
    changed = [outage(s) for s in readings(range(60), 15) + sweeps(1, 60)]
    samples = sorted((s for s in changed if s is not None), key=lambda s: s.arrival_ns)
    virtual = Synchronizer(make_rig(), ["lidar", "room"], {}, STEPS)
    expected = fed(virtual, samples)
    clock = ManualClock(START)
    with LiveSynchronizer(make_rig(), ["lidar", "room"], {}, STEPS, depth=100, clock=clock) as sync:
        sets = []
        for sample in samples:
            clock.move_to(sample.arrival_ns)
            assert sync.push(sample)
            assert sync.settle(10.0)
            if sample.seq % 4 == 0:  # taken late, when newer readings have come
                sets += [one for one in (sync.take(0) for _ in range(sync.waiting)) if one is not None]
        sync.finish()
        sets += list(sync)
        assert by_anchor(sets) == by_anchor(expected)
        assert [s.concealed_ms for s in sets] == [s.concealed_ms for s in expected]
        assert sync.counts == virtual.counts
    reasons = {found for found in by_anchor(expected).values() if isinstance(found, str)}
    assert reasons >= {GAP, INCOMPLETE, "clock step"}


def test_live_the_newest_sets_have_their_whole_series_however_late_they_are_taken() -> None:
    """Nobody takes for all the time that a ring has room for, so that the mailbox drops all but the last set."""
    clock = ManualClock(START)
    with LiveSynchronizer(make_rig(), ["lidar", "room"], {}, STEPS, clock=clock) as sync:
        for sample in sorted(readings(range(80)) + sweeps(1, 80), key=lambda s: s.arrival_ns):
            clock.move_to(sample.arrival_ns)
            sync.push(sample)
            sync.settle(10.0)
        sync.finish()
        (one,) = list(sync)
        assert values_of(one) == [76, 77, 78, 79]


def test_memory_counts_the_readings_of_a_series() -> None:
    without = LiveSynchronizer.memory(make_rig(), ["lidar", "room"], {}).frames
    with_series = LiveSynchronizer.memory(make_rig(), ["lidar", "room"], {}, {"room": 50}).frames
    assert with_series["room"] - without["room"] == history_room(make_rig(), "room", 50, 1) == 50 + 21
    assert with_series["lidar"] == without["lidar"]


@pytest.mark.parametrize("make", [Synchronizer, LiveSynchronizer])
def test_a_series_of_what_is_no_table_is_refused(make: Any) -> None:
    with pytest.raises(ConfigError, match="a series is asked of 'lidar', a lidar stream"):
        make(make_rig(), ["lidar", "room"], {}, {"lidar": 3})
