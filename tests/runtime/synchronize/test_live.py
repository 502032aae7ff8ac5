"""The synchronizer on its own thread: what the deterministic one gives, whom it keeps alive, how it ends."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edge.runtime.errors import ConfigError, RigError, SampleError
from edge.runtime.live_clock import ManualClock
from edge.runtime.rig import Intrinsics, Rig, Stream
from edge.runtime.sample import AudioChunk, Image, Payload, PointCloud, Sample
from edge.runtime.synchronize.live import LiveSynchronizer
from edge.runtime.synchronize.synced import SyncedSet
from edge.runtime.synchronizer import Synchronizer

MS = 1_000_000
START = 1_000_000 * MS
RATE = 1000
LENS = Intrinsics(width=8, height=8, fx=8, fy=8, cx=4, cy=4)
WINDOWS = {"audio": 200 * MS}
PATIENCE_S = 60.0


def make_rig() -> Rig:
    return Rig(
        schema=1,
        anchor="lidar",
        streams={
            "camera": Stream(kind="camera", rate_hz=30, stamp="end", transport_ms=15, policy="hold", intrinsics=LENS),
            "lidar": Stream(kind="lidar", rate_hz=10, stamp="end", transport_ms=30),
            "audio": Stream(kind="audio", rate_hz=50, transport_ms=5, sample_rate_hz=RATE),
        },
    )


def payload_of(stream: str, seq: int) -> Payload:
    if stream == "camera":
        return Image(np.full((8, 8, 3), seq % 256, np.uint8))
    if stream == "lidar":
        return PointCloud(np.full((1, 4), seq, np.float32))
    return AudioChunk(np.full((1, RATE // 50), seq, np.float32), RATE)


def recording(seconds: float, fault: Callable[[Sample], Sample | None] | None = None) -> list[Sample]:
    """Samples of all streams in the order of their arrival."""
    periods = {"camera": 33_333_333, "lidar": 100 * MS, "audio": 20 * MS}
    delays = {"camera": 15 * MS, "lidar": 30 * MS, "audio": 25 * MS}
    samples = []
    for stream, period in periods.items():
        for k in range(int(seconds * 1e9) // period):
            stamp = START + k * period + k % 7
            sample = Sample(stream, stamp, stamp + delays[stream] + k % 5, k, payload_of(stream, k))
            kept = fault(sample) if fault else sample
            if kept is not None:
                samples.append(kept)
    return sorted(samples, key=lambda s: s.arrival_ns)


def outage(sample: Sample) -> Sample | None:
    """The lidar is away for a second, a clock steps, and some sound is lost."""
    at_ms = (sample.stamp_ns - START) // MS
    if (sample.stream == "lidar" and 1000 <= at_ms < 2000) or (sample.stream == "audio" and at_ms % 900 < 20):
        return None
    if sample.stream == "camera" and at_ms > 2500:
        return Sample("camera", sample.stamp_ns - 3000 * MS, sample.arrival_ns, sample.seq, sample.payload)
    return sample


def deterministic(samples: list[Sample]) -> tuple[list[SyncedSet], dict[str, int]]:
    sync, sets = Synchronizer(make_rig(), make_rig().streams, WINDOWS), []
    for sample in samples:
        while (due := sync.next_deadline_ns()) is not None and due <= sample.arrival_ns:
            sets += sync.advance(due)
        sets += sync.push(sample)
    return sets + sync.flush(), sync.counts


def described(one: SyncedSet) -> dict[str, object]:
    """Everything of a set that can be compared, the payloads by their bytes."""
    fields = {name: getattr(one, name) for name in one.__slots__ if name != "samples"}
    return fields | {
        name: (s.stamp_ns, s.arrival_ns, s.seq, s.epoch, content(s)) for name, s in sorted(one.samples.items())
    }


def array_of(payload: Payload) -> Any:
    """The NumPy array inside."""
    return next(getattr(payload, name) for name in ("pixels", "points", "samples") if hasattr(payload, name))


def content(sample: Sample) -> bytes:
    return bytes(array_of(sample.payload).tobytes())


@pytest.mark.parametrize("fault", [None, outage])
def test_gives_what_the_deterministic_one_gives(no_leak: None, fault: Callable[[Sample], Sample | None] | None) -> None:
    samples = recording(4.0, fault)
    expected, counts = deterministic(samples)
    clock = ManualClock(START)
    with LiveSynchronizer(make_rig(), make_rig().streams, WINDOWS, depth=200, clock=clock) as sync:
        for sample in samples:
            clock.move_to(sample.arrival_ns)
            assert sync.push(sample)
            assert sync.settle(PATIENCE_S)
        sync.finish()
        sets = list(sync)
        assert [described(s) for s in sets] == [described(s) for s in expected]
        assert len(sets) > 35
        assert sync.counts == counts
        assert sync.health("camera").epoch == (1 if fault else 0)


def test_pushes_with_and_without_the_interpreter_lock_may_meet(no_leak: None) -> None:
    """Two producers of one stream, who also free what comes back, are its owner in turn."""
    count = 2000
    with LiveSynchronizer(make_rig(), ["camera"], {}, policy="latest", ring=8192) as sync:
        core, sample = sync._core, Sample("camera", START, START, 0, payload_of("camera", 0))
        ways = (core.push, core.push_without_gil)

        def produce(turn: int) -> None:
            for k in range(count):
                assert ways[(turn + k) % 2](0, START + k, START + k, k, 0, sample) == 0
                core.reclaim()

        threads = [threading.Thread(target=produce, args=(turn,)) for turn in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sync.settle(PATIENCE_S)
        assert core.counts(0)[0] == 2 * count
        assert sum(sync.health("camera").released.values()) == 2 * count - 1
        core.reclaim()
        assert sync.held_samples == 1, "the latest"


def test_deadlines_fire_without_a_push(no_leak: None) -> None:
    clock = ManualClock(START)
    with LiveSynchronizer(make_rig(), ["camera", "lidar"], {}, clock=clock) as sync:
        assert sync.push("lidar", START, payload_of("lidar", 0))
        assert sync.settle(PATIENCE_S)
        assert sync.take(0) is None
        clock.move_to(START + 60 * MS)
        one = sync.take(PATIENCE_S)
        assert one is not None
        assert (one.stamp_ns, one.emitted_ns) == (START, START + 60 * MS)
        assert one.samples["lidar"].arrival_ns == START  # the clock's, because none was given
        assert one.missing == {"camera": "never seen"}


def test_every_payload_is_let_go_of(no_leak: None) -> None:
    """The newest are alive while they may be needed, none after the end."""
    clock = ManualClock(START)
    alive: list[weakref.ref[np.ndarray]] = []
    with LiveSynchronizer(make_rig(), make_rig().streams, WINDOWS, clock=clock) as sync:
        for sample in recording(3.0):
            payload = payload_of(sample.stream, sample.seq)
            array = array_of(payload)
            alive.append(weakref.ref(array))
            clock.move_to(sample.arrival_ns)
            assert sync.push(sample.stream, sample.stamp_ns, payload, sample.arrival_ns)
            assert sync.settle(PATIENCE_S)
            del array, payload
        kept = sum(ref() is not None for ref in alive)
        assert 0 < kept < 80
        taken = sync.take(0)
        assert taken is not None
        sync.close()
        assert sync.held_samples == 0
        frame = taken.samples["camera"].payload
        assert isinstance(frame, Image)
        assert sum(ref() is not None for ref in alive) <= 2  # the taken frame and sweep; sound was joined into an array
        assert frame.pixels.size
        del taken, frame
        gc.collect()
    assert sum(ref() is not None for ref in alive) == 0


def test_the_latest_set_wins(no_leak: None) -> None:
    clock = ManualClock(START)
    with LiveSynchronizer(make_rig(), ["lidar"], {}, clock=clock) as sync:
        for k in range(5):
            clock.move_to(START + k * 100 * MS)
            sync.push("lidar", START + k * 100 * MS, payload_of("lidar", k))
            assert sync.settle(PATIENCE_S)
        assert sync.waiting == 1
        one = sync.take(0)
        assert one is not None
        assert one.samples["lidar"].seq == 4
        assert sync.dropped == {"set:overrun": 4}


def test_a_queue_keeps_what_it_is_told_to(no_leak: None) -> None:
    kept = {}
    for overflow in ("oldest", "newest"):
        clock = ManualClock(START)
        with LiveSynchronizer(make_rig(), ["lidar"], {}, depth=2, overflow=overflow, clock=clock) as sync:
            for k in range(5):
                clock.move_to(START + k * 100 * MS)
                sync.push("lidar", START + k * 100 * MS, payload_of("lidar", k))
                assert sync.settle(PATIENCE_S)
            sync.finish()
            kept[overflow] = [one.samples["lidar"].seq for one in sync]
    assert kept == {"oldest": [3, 4], "newest": [0, 1]}


def test_closing_under_load_joins_and_lets_go(no_leak: None) -> None:
    refs: list[weakref.ref[PointCloud]] = []

    class Sweep(PointCloud):
        __slots__ = ("__weakref__",)

    for _ in range(5):
        sync = LiveSynchronizer(make_rig(), make_rig().streams, WINDOWS, depth=2)
        begun, stop = threading.Barrier(4), threading.Event()

        def produce(stream: str, sync: LiveSynchronizer = sync, begun=begun, stop=stop) -> None:  # type: ignore[no-untyped-def]
            begun.wait()
            for k in range(100_000):
                payload = payload_of(stream, k)
                if stream == "lidar":
                    payload = Sweep(np.zeros((1, 4), np.float32))
                    refs.append(weakref.ref(payload))
                sync.push(stream, k * 10 * MS, payload)
                if stop.is_set():
                    return

        def consume(sync: LiveSynchronizer = sync, begun=begun) -> None:  # type: ignore[no-untyped-def]
            begun.wait()
            for one in sync:
                assert one.emitted_ns

        threads = [threading.Thread(target=produce, args=(stream,)) for stream in ("lidar", "audio")]
        threads += [threading.Thread(target=consume)]
        for thread in threads:
            thread.start()
        begun.wait()
        while sync.health("lidar").received < 50:
            assert sync.settle(PATIENCE_S)
        sync.close()
        assert not sync.push("lidar", 0, payload_of("lidar", 0))
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        sync.close()
        assert sync.held_samples == 0
    del threads, thread, sync, produce, consume
    gc.collect()
    assert len(refs) >= 250
    assert sum(ref() is not None for ref in refs) == 0


def test_a_producer_may_die(no_leak: None) -> None:
    """Its stream falls silent and the others go on; then it comes back from another thread."""
    clock = ManualClock(START)
    with LiveSynchronizer(make_rig(), ["camera", "lidar"], {}, clock=clock, depth=50) as sync:

        def produce(samples: list[Sample]) -> None:
            for sample in samples:
                clock.move_to(sample.arrival_ns)
                sync.push(sample)
                assert sync.settle(PATIENCE_S)

        samples = [s for s in recording(3.0) if s.stream != "audio"]
        thirds = [[s for s in samples if k <= (s.arrival_ns - START) // (1000 * MS) < k + 1] for k in range(4)]
        for k, third in enumerate(thirds):
            part = [s for s in third if k != 1 or s.stream == "camera"]
            thread = threading.Thread(target=produce, args=(part,))
            thread.start()
            thread.join(PATIENCE_S)
        sync.finish()
        sets = list(sync)
        assert {one.missing.get("lidar", "") for one in sets} == {"", "silent", "late"}
        assert "lidar" in sets[-1].samples


def test_takers_are_woken_by_the_end(no_leak: None) -> None:
    sync = LiveSynchronizer(make_rig(), ["lidar"], {})
    found: list[SyncedSet | None] = []
    threads = [threading.Thread(target=lambda: found.append(sync.take())) for _ in range(3)]
    for thread in threads:
        thread.start()
    sync.close()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert found == [None, None, None]
    assert list(sync) == []


def test_what_it_holds_is_known_before() -> None:
    small = LiveSynchronizer.memory(make_rig(), make_rig().streams, WINDOWS)
    large = LiveSynchronizer.memory(make_rig(), make_rig().streams, {"audio": 2000 * MS}, depth=8, ring=256)
    assert 10_000 < small.bytes < large.bytes < 2_000_000
    assert small.frames.keys() == {"camera", "lidar", "audio"}
    assert small.frames["audio"] < large.frames["audio"]
    assert small.in_set["lidar"] == 1
    assert 10 < small.in_set["audio"] < small.frames["audio"]


def test_samples_that_cannot_be_used() -> None:
    with LiveSynchronizer(make_rig(), ["lidar", "audio"], WINDOWS) as sync:
        assert not sync.push("radar", 0, payload_of("lidar", 0))
        assert not sync.push(Sample("camera", 0, 0, 0, payload_of("camera", 0)))
        assert not sync.push("audio", 0, payload_of("lidar", 0))
        assert not sync.push("audio", 0, AudioChunk(np.zeros((1, 4), np.float32), 0))
        assert sync.dropped == {"audio:unusable": 2}
        with pytest.raises(SampleError, match=r"sample 0 of stream 'lidar' .* 64-bit"):
            sync.push(Sample("lidar", 2**63, 0, 0, payload_of("lidar", 0)))


@pytest.mark.parametrize("policy", ["exact", "optimal", "latest"])
def test_other_policies(no_leak: None, policy: str) -> None:
    clock = ManualClock(START)
    rig = make_rig()
    with LiveSynchronizer(rig, ["camera", "lidar"], {}, policy=policy, clock=clock, depth=9) as sync:  # type: ignore[arg-type]
        for k in range(4):
            for stream in ("camera", "lidar"):
                clock.move_to(START + k * 100 * MS)
                sync.push(stream, START + k * 100 * MS, payload_of(stream, k))
                assert sync.settle(PATIENCE_S)
        sync.finish()
        assert [one.samples["camera"].seq for one in sync][:3] == [0, 1, 2]


def test_wrong_arguments_are_refused() -> None:
    rig = make_rig()
    with pytest.raises(RigError):
        LiveSynchronizer(rig, ["radar"], {})
    with pytest.raises(ConfigError, match="no synchronization policy 'best'"):
        LiveSynchronizer(rig, ["lidar"], {}, policy="best")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cuts no windows"):
        LiveSynchronizer(rig, ["lidar", "audio"], WINDOWS, policy="latest")
    sizes: list[dict[str, Any]] = [{"depth": 0}, {"depth": 5000}, {"ring": 0}, {"depth": -1}]
    for wrong in sizes:
        with pytest.raises(ConfigError, match="depth between 1 and 4096"):
            LiveSynchronizer(rig, ["lidar"], {}, **wrong)
    with LiveSynchronizer(rig, ["lidar"], {}) as sync, pytest.raises(ConfigError, match="'radar' takes no part"):
        sync.health("radar")
