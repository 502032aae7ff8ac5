"""Windows of sound: cut to the anchor's stamp, bridged where a little is lost, missing where it is more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.rig import Rig, Stream
from edge.runtime.sample import AudioChunk, PointCloud, Sample
from edge.runtime.synchronize.sound import StampedChunk, cut_window
from edge.runtime.synchronizer import Synchronizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.runtime.synchronize.synced import SyncedSet

MS = 1_000_000
START = 1_000_000 * MS
LIDAR = Stream(kind="lidar", rate_hz=10, stamp="end", transport_ms=30)
AUDIO = Stream(kind="audio", rate_hz=50, stamp="first-sample", transport_ms=5, sample_rate_hz=1000)
SWEEP = PointCloud(np.zeros((1, 4), np.float32))


def make_rig() -> Rig:
    return Rig(schema=1, anchor="lidar", streams={"lidar": LIDAR, "audio": AUDIO})


def sweep(at_ms: float, seq: int = 0, delay_ms: float = 30) -> Sample:
    return Sample("lidar", START + round(at_ms * MS), START + round((at_ms + delay_ms) * MS), seq, SWEEP)


def sweeps(first: int, last: int) -> list[Sample]:
    return [sweep(100 * k, k) for k in range(first, last)]


def chunk(seq: int, first: int = 0) -> Sample:
    """20 samples at 1 kHz whose values are their own numbers."""
    values = np.arange(20 * seq, 20 * seq + 20, dtype=np.float32)[None] + first
    at = START + 20 * seq * MS
    return Sample("audio", at, at + 25 * MS, seq, AudioChunk(values, 1000))


def feed(sync: Synchronizer, samples: Iterable[Sample]) -> list[SyncedSet]:
    """Pushes in the order of arrival and wakes the synchronizer at each deadline, as a pipeline does."""
    sets: list[SyncedSet] = []
    for sample in sorted(samples, key=lambda s: s.arrival_ns):
        while (due := sync.next_deadline_ns()) is not None and due <= sample.arrival_ns:
            sets += sync.advance(due)
        sets += sync.push(sample)
    return sets


def test_sound_is_the_window_that_ends_at_the_anchor() -> None:
    sync = Synchronizer(make_rig(), ["audio", "lidar"], {"audio": 250 * MS})
    sets = feed(sync, [chunk(k) for k in range(50)] + [sweep(100 * k + 7, k) for k in range(1, 9)])
    assert sets[0].missing == {"audio": "incomplete"}
    assert sets[1].concealed_ms == {"audio": 43.0}  # 207 of 250 ms had been heard
    for got in sets[2:8]:
        assert not got.missing and not got.concealed_ms
        window = got.samples["audio"].payload
        assert isinstance(window, AudioChunk)
        end = (got.stamp_ns - START) // MS
        np.testing.assert_array_equal(window.samples, np.arange(end - 250, end, dtype=np.float32)[None])
        assert got.samples["audio"].stamp_ns == got.stamp_ns - 250 * MS
        assert got.stamps_ns["audio"] == got.stamp_ns


def test_sound_waits_until_it_is_buffered() -> None:
    """The sweep of 107 ms has arrived at 112, the chunk of 100 to 120 ms only at 125."""
    sync = Synchronizer(make_rig(), ["audio", "lidar"], {"audio": 60 * MS})
    (got,) = feed(sync, [chunk(k) for k in range(8)] + [sweep(107, 1, delay_ms=5)])
    assert got.emitted_ns == START + 125 * MS


def test_a_hole_in_the_sound_is_missing_until_the_window_has_passed() -> None:
    sync = Synchronizer(make_rig(), ["audio", "lidar"], {"audio": 250 * MS})
    sets = [s for s in feed(sync, [chunk(k) for k in range(70) if k not in range(25, 29)] + sweeps(3, 14)) if s.samples]
    # The lost chunks span 500 to 580 ms, and 60 can be concealed.
    assert [(s.stamp_ns - START) // (100 * MS) for s in sets if s.missing and not s.predicted] == [6, 7]
    assert {s.missing.get("audio") for s in sets} == {None, "gap"}


def test_a_short_hole_in_the_sound_is_filled_with_silence() -> None:
    sync = Synchronizer(make_rig(), ["audio", "lidar"], {"audio": 250 * MS})
    sets = feed(sync, [chunk(k) for k in range(70) if k != 25] + sweeps(3, 14))
    concealed = [s for s in sets if s.concealed_ms and not s.predicted]
    assert [(s.stamp_ns - START) // (100 * MS) for s in concealed] == [6, 7]
    assert all(s.concealed_ms == {"audio": 20.0} for s in concealed)
    window = concealed[0].samples["audio"].payload
    assert isinstance(window, AudioChunk)
    expected = np.arange(350, 600, dtype=np.float32)
    expected[150:170] = 0.0
    np.testing.assert_array_equal(window.samples, expected[None])
    assert sync.counts["audio:concealed"] >= 2
    assert sync.dropped == {}


def test_sound_of_another_rate_within_a_window_is_missing() -> None:
    sync = Synchronizer(make_rig(), ["audio", "lidar"], {"audio": 250 * MS})
    odd = Sample("audio", START + 500 * MS, START + 525 * MS, 25, AudioChunk(np.zeros((1, 40), np.float32), 2000))
    sets = feed(sync, [*(chunk(k) for k in range(70) if k != 25), odd, *sweeps(3, 14)])
    missing = [s for s in sets if s.missing.get("audio") == "incomplete" and not s.predicted]
    assert [(s.stamp_ns - START) // (100 * MS) for s in missing] == [6, 7]


def test_sound_survives_a_step_of_its_clock() -> None:
    stepped = []
    for k in range(142):
        s = chunk(k)
        stepped.append(Sample(s.stream, s.stamp_ns - (5000 * MS if k > 60 else 0), s.arrival_ns, s.seq, s.payload))
    sync = Synchronizer(make_rig(), ["audio", "lidar"], {"audio": 250 * MS})
    sets = feed(sync, stepped + sweeps(3, 28))
    missing = [s for s in sets if s.missing and not s.predicted]
    assert len(missing) <= 1
    window = sets[-1].samples["audio"].payload
    assert isinstance(window, AudioChunk)
    np.testing.assert_array_equal(np.diff(window.samples[0]), np.ones(249, np.float32))


def test_overlapping_sound_is_dropped() -> None:
    sync = Synchronizer(make_rig(), ["audio", "lidar"], {"audio": 60 * MS})
    again = Sample("audio", START + 100 * MS, START + 127 * MS, 99, chunk(5).payload)
    sets = feed(sync, [*(chunk(k) for k in range(20)), again, *sweeps(1, 4)])
    assert sync.dropped == {"audio:duplicate": 1}
    assert not any(s.missing for s in sets)


def stamped(first_ms: float, *values: list[float]) -> list[StampedChunk]:
    """Chunks at 1 kHz that follow each other without a hole from `first_ms` on."""
    chunks = []
    for part in values:
        sample = Sample("audio", 0, 0, 0, AudioChunk(np.array([part], np.float32), 1000))
        chunks.append(StampedChunk(round(first_ms * MS), sample))
        first_ms += len(part)
    return chunks


def cut(chunks: list[StampedChunk], end_ms: float, window_ms: int = 6, conceal_ms: int = 0) -> list[float] | None:
    window = cut_window(chunks, round(end_ms * MS), window_ms * MS, conceal_ms * MS)
    return None if window is None else window.payload.samples[0].tolist()


def test_a_window_ends_inside_a_chunk() -> None:
    chunks = stamped(10, [1, 2, 3, 4], [5, 6, 7, 8])
    assert cut(chunks, 17) == [2, 3, 4, 5, 6, 7]
    assert cut(chunks, 18) == [3, 4, 5, 6, 7, 8]


def test_jitter_of_stamps_neither_tears_nor_doubles_sound() -> None:
    early, late = stamped(10, [1, 2, 3, 4]), stamped(14, [5, 6, 7, 8])
    for shift_ms in (-1.5, -0.4, 0.4, 1.5):
        (first,) = early
        moved = StampedChunk(first.stamp_ns + round(shift_ms * MS), first.sample)
        assert cut([moved, *late], 18) == [3, 4, 5, 6, 7, 8]


def test_overlapping_sound_is_cut() -> None:
    assert cut(stamped(10, [1, 2, 3, 4]) + stamped(11, [2, 3, 4, 5, 6]), 16) == [1, 2, 3, 4, 5, 6]


def test_too_little_sound_is_no_window() -> None:
    assert cut(stamped(10, [1, 2, 3]), 13) is None
    assert cut(stamped(10, [1, 2, 3]), 13, conceal_ms=3) == [0, 0, 0, 1, 2, 3]


def test_other_channels_within_a_window_are_no_window() -> None:
    stereo = Sample("audio", 0, 0, 0, AudioChunk(np.zeros((2, 4), np.float32), 1000))
    assert cut([StampedChunk(10 * MS, stereo), *stamped(14, [5, 6, 7, 8])], 18) is None
