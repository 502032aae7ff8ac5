"""The synchronizer: directed cases, one per rule, and properties that hold for any order of arrivals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.runtime.errors import RigError
from edge.runtime.rig import Intrinsics, Rig, Stream
from edge.runtime.sample import Image, PointCloud, Sample
from edge.runtime.synchronize.synced import SyncedSet
from edge.runtime.synchronizer import Synchronizer

if TYPE_CHECKING:
    from collections.abc import Iterable

MS = 1_000_000
START = 1_000_000 * MS
LENS = Intrinsics(width=8, height=8, fx=8, fy=8, cx=4, cy=4)
FRAME = Image(np.zeros((8, 8, 3), np.uint8))
SWEEP = PointCloud(np.zeros((1, 4), np.float32))
LIDAR_MS, CAMERA_MS = 100, 33
LIDAR_DELAY, CAMERA_DELAY = 30, 15


LIDAR = Stream(kind="lidar", rate_hz=10, stamp="end", transport_ms=LIDAR_DELAY)
AUDIO = Stream(kind="audio", rate_hz=50, stamp="first-sample", transport_ms=5, sample_rate_hz=1000)
CAMERA = Stream(
    kind="camera", rate_hz=1000 / CAMERA_MS, stamp="end", transport_ms=CAMERA_DELAY, max_age_ms=150, intrinsics=LENS
)


def make_rig(camera_policy: str = "required", max_age_ms: float = 150.0) -> Rig:
    camera = CAMERA.model_copy(update={"policy": camera_policy, "max_age_ms": max_age_ms})
    return Rig(schema=1, anchor="lidar", streams={"camera": camera, "lidar": LIDAR, "audio": AUDIO})


def frame(at_ms: float, seq: int = 0, delay_ms: float = CAMERA_DELAY) -> Sample:
    return Sample("camera", START + round(at_ms * MS), START + round((at_ms + delay_ms) * MS), seq, FRAME)


def sweep(at_ms: float, seq: int = 0, delay_ms: float = LIDAR_DELAY) -> Sample:
    return Sample("lidar", START + round(at_ms * MS), START + round((at_ms + delay_ms) * MS), seq, SWEEP)


def feed(sync: Synchronizer, samples: Iterable[Sample], until_ms: float | None = None) -> list[SyncedSet]:
    """Pushes in the order of arrival and wakes the synchronizer at each deadline, as a pipeline does."""
    sets: list[SyncedSet] = []
    for sample in sorted(samples, key=lambda s: s.arrival_ns):
        sets += wake(sync, sample.arrival_ns)
        sets += sync.push(sample)
    return sets + (wake(sync, START + round(until_ms * MS)) if until_ms is not None else [])


def wake(sync: Synchronizer, until_ns: int) -> list[SyncedSet]:
    sets: list[SyncedSet] = []
    while (due := sync.next_deadline_ns()) is not None and due <= until_ns:
        sets += sync.advance(due)
    return sets


def sweeps(first: int, last: int) -> list[Sample]:
    return [sweep(LIDAR_MS * k, k) for k in range(first, last)]


def frames(first_ms: float, last_ms: float) -> list[Sample]:
    return [frame(CAMERA_MS * k, k) for k in range(200) if first_ms <= CAMERA_MS * k < last_ms]


def relative_ms(sets: list[SyncedSet]) -> list[float]:
    return [(s.stamp_ns - START) / MS for s in sets]


def test_gives_the_nearest_frame_at_once() -> None:
    sets = feed(Synchronizer(make_rig(), ["camera", "lidar"], {}), sweeps(1, 5) + frames(0, 500))
    assert relative_ms(sets) == [100, 200, 300, 400]
    assert [(s.stamps_ns["camera"] - s.stamp_ns) // MS for s in sets] == [-1, -2, -3, -4]
    # The frame of 132 ms comes after the sweep, but cannot be nearer than that of 99 ms: nobody waits for it.
    assert [s.emitted_ns - s.stamp_ns for s in sets] == [LIDAR_DELAY * MS] * 4
    assert [s.spread_ms for s in sets] == [1, 2, 3, 4]
    assert [s.seq for s in sets] == [0, 1, 2, 3]
    assert not any(s.predicted or s.held or s.missing for s in sets)


def test_waits_for_a_nearer_frame() -> None:
    """Of frames at 81 and 114 ms the sweep of 100 ms wants the later, which arrives 4 ms after the sweep."""
    sync = Synchronizer(make_rig(), ["camera", "lidar"], {})
    sets = feed(sync, [frame(81), frame(114, delay_ms=20), sweep(100)])
    assert [(s.stamps_ns["camera"] - START) // MS for s in sets] == [114]
    assert sets[0].emitted_ns == START + 134 * MS


def test_the_deadline_bounds_the_wait() -> None:
    sync = Synchronizer(make_rig(), ["camera", "lidar"], {})
    late = frame(CAMERA_MS * 21, 21, delay_ms=150)
    sets = feed(sync, [*frames(0, 690), late, *sweeps(1, 8)], until_ms=840)
    last = sets[6]
    assert last.emitted_ns == START + (700 + LIDAR_DELAY + 60) * MS
    assert last.missing == {"camera": "silent"}  # nothing has arrived for three of its periods
    assert sync.counts == {}  # the frame is usable for the next sweep, so it is no drop


@pytest.mark.parametrize(
    ("policy", "max_age_ms", "held", "missing"),
    [
        ("required", 150, (), {"camera": "silent"}),
        ("hold", 150, ("camera",), {}),
        ("hold", 20, (), {"camera": "silent"}),
        ("mask", 150, (), {"camera": "late"}),
    ],
)
def test_policies_without_a_fresh_frame(
    policy: str, max_age_ms: float, held: tuple[str, ...], missing: dict[str, str]
) -> None:
    """The last frame is 40 ms older than the sweep."""
    sync = Synchronizer(make_rig(policy, max_age_ms), ["camera", "lidar"], {})
    (got,) = feed(sync, [frame(27), frame(60), sweep(100)], until_ms=200)
    assert (got.held, got.missing) == (held, missing)
    waited = got.emitted_ns - START - 130 * MS
    assert waited == (0 if policy == "mask" else 60 * MS)


def test_a_stream_that_is_long_dead_is_not_waited_for() -> None:
    sets = feed(Synchronizer(make_rig(), ["camera", "lidar"], {}), frames(0, 300) + sweeps(1, 12))
    waits = [(s.emitted_ns - s.stamp_ns) // MS - LIDAR_DELAY for s in sets]
    assert max(waits) <= 60
    assert waits[3:] == [0] * 8
    assert sets[-1].missing == {"camera": "silent"}


def test_fail_over_emits_the_predicted_ticks_and_returns() -> None:
    samples = frames(0, 1600) + sweeps(1, 6) + sweeps(11, 16)
    sets = feed(Synchronizer(make_rig(), ["camera", "lidar"], {}), samples)
    assert relative_ms(sets) == [100.0 * k for k in range(1, 16)]
    assert [s.predicted for s in sets] == [6 <= k <= 10 for k in range(1, 16)]
    assert sets[5].emitted_ns == START + (500 + LIDAR_DELAY + 150) * MS
    assert sets[5].missing == {"lidar": "late"}
    assert np.diff([s.emitted_ns for s in sets]).max() <= 150 * MS


def test_an_anchor_later_than_its_prediction_is_dropped_and_counted() -> None:
    samples = [*frames(0, 750), *sweeps(1, 4), sweep(400, 4, delay_ms=90), *sweeps(5, 8)]
    sync = Synchronizer(make_rig(), ["camera", "lidar"], {})
    sets = feed(sync, samples)
    assert relative_ms(sets) == [100.0 * k for k in range(1, 8)]
    assert [s.predicted for s in sets].count(True) == 1
    assert sync.dropped == {"lidar:superseded": 1}


def test_a_lasting_delay_of_the_anchor_is_followed() -> None:
    """60 ms more from the sixth sweep on: one predicted tick, then the anchor leads again."""
    delayed = [sweep(100 * k, k, delay_ms=LIDAR_DELAY + 60) for k in range(6, 20)]
    sets = feed(Synchronizer(make_rig(), ["camera", "lidar"], {}), frames(0, 2000) + sweeps(1, 6) + delayed)
    assert [s.predicted for s in sets].count(True) <= 1
    assert not any(s.predicted for s in sets[-10:])


@pytest.mark.parametrize("by_ms", [120, 190, 260])
def test_a_much_slower_link_of_the_anchor_is_followed_within_a_second(by_ms: int) -> None:
    delayed = [sweep(100 * k, k, delay_ms=LIDAR_DELAY + by_ms) for k in range(6, 30)]
    sets = feed(Synchronizer(make_rig(), ["camera", "lidar"], {}), frames(0, 3200) + sweeps(1, 6) + delayed)
    assert [s.predicted for s in sets[:-3]].count(True) <= 8
    assert not any(s.predicted or s.missing for s in sets[12:-3])
    assert np.diff([s.emitted_ns for s in sets]).max() <= 220 * MS


def test_silence_of_all_gives_blind_sets() -> None:
    sets = feed(Synchronizer(make_rig(), ["camera", "lidar"], {}), frames(0, 300) + sweeps(1, 3), until_ms=1500)
    last = sets[-1]
    assert last.predicted
    assert last.samples == {}
    assert last.missing.keys() == {"camera", "lidar"}
    assert np.diff([s.emitted_ns for s in sets]).max() <= 150 * MS


def test_without_an_anchor_the_others_go_on() -> None:
    """Neither an anchor that never comes nor one that is not connected silences the camera."""
    never = feed(Synchronizer(make_rig(), ["camera", "lidar"], {}), frames(0, 3000))
    unconnected = feed(Synchronizer(make_rig(), ["camera"], {}), frames(0, 3000))
    for sets in (never, unconnected):
        assert (sets[0].emitted_ns - START) // MS == 180
        assert all(s.predicted and s.samples.keys() == {"camera"} for s in sets)
        assert sets[-1].missing == {"lidar": "never seen"}
        assert set(np.diff([s.emitted_ns for s in sets[1:]]) // MS) == {100}


@pytest.mark.parametrize("step_ms", [-5000, 5000, -700, 700])
@pytest.mark.parametrize("stream", ["camera", "lidar"])
def test_a_stepping_clock_gets_a_new_epoch_alone(stream: str, step_ms: int) -> None:
    samples = []
    for sample in sweeps(1, 60) + frames(0, 6000):
        stepped = sample.stream == stream and sample.stamp_ns > START + 2000 * MS
        stamp_ns = sample.stamp_ns + (step_ms * MS if stepped else 0)
        samples.append(Sample(sample.stream, stamp_ns, sample.arrival_ns, sample.seq, sample.payload))
    sync = Synchronizer(make_rig(), ["camera", "lidar"], {})
    sets = feed(sync, samples)
    after = [s for s in sets if s.stamp_ns > START + 2400 * MS]
    assert len(after) >= 34
    assert not any(s.missing or s.predicted for s in after)
    assert {name: {s.samples[name].epoch for s in after} for name in ("camera", "lidar")} == {
        "camera": {int(stream == "camera")},
        "lidar": {int(stream == "lidar")},
    }
    assert sync.offsets_ns[stream] == pytest.approx(-step_ms * MS, abs=MS)
    assert sync.counts[f"{stream}:clock_step"] == 1
    assert np.diff([s.emitted_ns for s in sets]).max() <= 200 * MS
    assert max(s.spread_ms for s in after) < 18


def test_a_burst_after_a_stall_is_no_clock_step() -> None:
    """Ten frames that queued for a third of a second and more come at once."""
    stalled = [
        Sample(s.stream, s.stamp_ns, START + 1400 * MS + k, s.seq, s.payload) for k, s in enumerate(frames(700, 1400))
    ]
    sync = Synchronizer(make_rig(), ["camera", "lidar"], {})
    sets = feed(sync, frames(0, 700) + stalled + frames(1400, 2900) + sweeps(1, 29))
    assert sync.offsets_ns == {"camera": 0, "lidar": 0}
    assert all(s.spread_ms < 18 for s in sets)
    assert not any(s.missing for s in sets[-12:])


def test_clocks_that_start_far_apart_are_mapped() -> None:
    """The camera stamps Unix time, arrivals are on the host's monotonic axis."""
    unix = [Sample(s.stream, s.stamp_ns + 10**18, s.arrival_ns, s.seq, s.payload) for s in frames(0, 2900)]
    sets = feed(Synchronizer(make_rig(), ["camera", "lidar"], {}), unix + sweeps(1, 29))
    assert not any(s.missing for s in sets[3:])
    assert all(s.spread_ms < 18 for s in sets[3:])


def test_unusual_stamps_are_counted_by_reason() -> None:
    sync = Synchronizer(make_rig(), ["camera", "lidar"], {})
    samples = [*frames(0, 600), *sweeps(1, 6)]
    copy = Sample("camera", START + 99 * MS, START + 116 * MS, 99, FRAME)
    swapped = Sample("camera", START + 205 * MS, START + 250 * MS, 98, FRAME)
    future = Sample("camera", START + 5000 * MS, START + 260 * MS, 97, FRAME)
    sets = feed(sync, [*samples, copy, swapped, future])
    assert sync.counts == {"camera:duplicate": 1, "camera:reordered": 1, "camera:future": 1}
    assert sync.dropped == {"camera:duplicate": 1, "camera:future": 1}
    assert not any(s.missing for s in sets)


def test_latency_offsets_move_stamps() -> None:
    rig = make_rig()
    camera = rig.streams["camera"].model_copy(update={"latency_offset_ms": -120.0})
    rig = rig.model_copy(update={"streams": {**rig.streams, "camera": camera}})
    ahead = [Sample(s.stream, s.stamp_ns + 120 * MS, s.arrival_ns, s.seq, s.payload) for s in frames(0, 500)]
    sets = feed(Synchronizer(rig, ["camera", "lidar"], {}), ahead + sweeps(1, 5))
    assert [(s.stamps_ns["camera"] - s.stamp_ns) // MS for s in sets] == [-1, -2, -3, -4]


def test_flush_gives_what_is_pending() -> None:
    sync = Synchronizer(make_rig(), ["camera", "lidar"], {})
    assert feed(sync, [frame(60), sweep(100)]) == []
    assert [s.stamp_ns for s in sync.flush()] == [START + 100 * MS]
    assert sync.flush() == []
    assert sync.next_deadline_ns() is None


def test_streams_that_were_not_announced_are_ignored() -> None:
    sets = feed(Synchronizer(make_rig(), ["lidar"], {}), frames(0, 400) + sweeps(1, 4))
    assert all(s.samples.keys() == {"lidar"} and not s.missing for s in sets)


def test_a_stream_that_the_rig_lacks_is_refused() -> None:
    with pytest.raises(RigError, match="no stream 'radar'"):
        Synchronizer(make_rig(), ["lidar", "radar"], {})


@dataclass(frozen=True)
class Trouble:
    """What happens to one stream in 3 s: message -> lost, copied, or so many ms late; and a clock step."""

    odd: dict[int, str | int]
    step_at_ms: int
    step_ms: int

    def applied(self, regular: list[Sample]) -> list[Sample]:
        samples = []
        for k, s in enumerate(regular):
            kind = self.odd.get(k, 0)
            if kind == "lose":
                continue
            late = kind if isinstance(kind, int) else 0
            stamp = s.stamp_ns + (self.step_ms * MS if s.stamp_ns > START + self.step_at_ms * MS else 0)
            samples.append(Sample(s.stream, stamp, s.arrival_ns + late * MS, k, s.payload))
            if kind == "copy":
                samples.append(Sample(s.stream, stamp, s.arrival_ns + 3 * MS, k, s.payload))
        return samples


TROUBLE = st.builds(
    Trouble,
    st.dictionaries(st.integers(0, 90), st.sampled_from(["lose", 40, 180, 900, "copy"]), max_size=25),
    st.integers(0, 3000),
    st.sampled_from([0, 0, -5000, 5000, 150, -150]),
)


def disturbed(camera: Trouble, lidar: Trouble) -> list[Sample]:
    return camera.applied(frames(0, 3000)) + lidar.applied(sweeps(1, 29))


@settings(max_examples=150, deadline=None)
@given(TROUBLE, TROUBLE, st.sampled_from(["required", "hold", "mask"]))
def test_whatever_comes_the_promises_hold(camera: Trouble, lidar: Trouble, policy: str) -> None:
    sync = Synchronizer(make_rig(policy), ["camera", "lidar"], {})
    sets = feed(sync, disturbed(camera, lidar), until_ms=3400) + sync.flush()
    stamps = [s.stamp_ns for s in sets]
    assert stamps == sorted(set(stamps)), "stamps only ever grow"
    emitted = [s.emitted_ns for s in sets]
    assert emitted == sorted(emitted)
    assert max(np.diff(emitted), default=0) <= 220 * MS, "no sensor silences the others"
    for got in sets:
        assert got.samples.keys() == got.stamps_ns.keys()
        assert got.samples.keys() | got.missing.keys() == {"camera", "lidar"}
        assert all(s.arrival_ns <= got.emitted_ns for s in got.samples.values()), "nothing from the future"
        if "lidar" in got.samples and not got.predicted:
            assert got.stamps_ns["lidar"] == got.stamp_ns
            proving = 200 * MS if got.samples["lidar"].epoch else 0  # it takes three sweeps to prove a clock step
            assert got.emitted_ns - got.samples["lidar"].arrival_ns <= 60 * MS + proving, "the budget holds"
        if "camera" in got.samples:
            age = abs(got.stamp_ns - got.stamps_ns["camera"])
            assert age <= (150 * MS if "camera" in got.held else 1.05 * CAMERA_MS * MS)


@settings(max_examples=40, deadline=None)
@given(TROUBLE, TROUBLE)
def test_the_same_samples_give_the_same_sets(camera: Trouble, lidar: Trouble) -> None:
    samples = disturbed(camera, lidar)
    runs = [feed(Synchronizer(make_rig(), ["camera", "lidar"], {}), samples) for _ in range(2)]
    keys = [[(s.stamp_ns, s.emitted_ns, s.held, tuple(s.missing.items()), s.spread_ms) for s in r] for r in runs]
    assert keys[0] == keys[1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=80), st.lists(st.integers(-20, 20), min_size=20))
def test_matches_are_the_nearest(order: list[int], jitter: list[int]) -> None:
    """Against a brute-force search over everything that had arrived by the time of emission."""
    camera = [
        frame(33 * k + jitter[k % len(jitter)] / 10, k, delay_ms=5 + order[k % len(order)] % 20) for k in range(60)
    ]
    sync = Synchronizer(make_rig(), ["camera", "lidar"], {})
    for got in feed(sync, camera + sweeps(1, 18)):
        if got.predicted or "camera" in got.missing:
            continue
        there = [s.stamp_ns for s in camera if s.arrival_ns <= got.emitted_ns]
        best = min(abs(s - got.stamp_ns) for s in there)
        assert abs(got.stamps_ns["camera"] - got.stamp_ns) == best
