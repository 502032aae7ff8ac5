"""The trace: what it counts, and that a run of any length takes the same memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from edge.runtime.levels import Level
from edge.runtime.result import FusedResult
from edge.runtime.sample import PointCloud, Sample
from edge.runtime.synchronize.messages import Release, StreamHealth
from edge.runtime.synchronize.synced import SyncedSet
from edge.runtime.trace.trace import Trace

MS = 1_000_000
CLOUD = PointCloud(np.zeros((1, 4), np.float32))


def synced(stamp_ms: int, wait_ms: float = 2.0, camera_ms: int = -10, predicted: bool = False) -> SyncedSet:
    """A sweep that arrives 30 ms after its stamp, a frame before it, and the set `wait_ms` after the sweep."""
    stamp_ns, arrival_ns = stamp_ms * MS, (stamp_ms + 30) * MS
    stamps = {"lidar": stamp_ns, "camera": stamp_ns + camera_ms * MS}
    samples = {name: Sample(name, at_ns, at_ns + 30 * MS, 0, CLOUD) for name, at_ns in stamps.items()}
    emitted_ns = arrival_ns + round(wait_ms * MS)
    return SyncedSet(0, stamp_ns, samples, stamps, (), {}, emitted_ns, abs(camera_ms), predicted, {})


def result(seq: int, ages_ms: dict[str, float], state: str = "all") -> FusedResult:
    level: Level = "ok" if ages_ms else "blind"
    used = tuple(ages_ms)
    return FusedResult(seq, 0, state, used, (), ages_ms, 0.0, {}, bool(used), "", level, dict.fromkeys(used, level))


def add(trace: Trace, k: int, age_ms: float = 40.0) -> None:
    trace.add_arrival("lidar")
    trace.add_result(synced(100 * k), result(k, {"lidar": age_ms, "camera": age_ms + 10}), 100 * k * MS + 40 * MS)
    trace.add_stages(1 * MS, 5 * MS, MS // 2)
    trace.add_overhead(2 * MS)
    trace.add_lag(k % 7)
    trace.add_depth("ring", k % 5)


def test_figures_of_a_regular_run() -> None:
    trace = Trace("lidar", budget_ns=60 * MS)
    for k in range(300):
        add(trace, k)
    figures = trace.summary()
    assert figures["age_ms"].keys() == {"camera", "lidar", "result"}
    assert figures["age_ms"]["lidar"].p99 == pytest.approx(40)
    assert figures["age_ms"]["result"].max == pytest.approx(50)
    assert figures["spread_ms"].p50 == pytest.approx(10)
    assert figures["sync_wait_ms"].p90 == pytest.approx(2)
    assert figures["offset_ms"] == {"camera": -10}
    assert trace.offset_ms("camera") == -10 and trace.offset_ms("radar") is None
    assert figures["gap_ms"].n == 299 and figures["gap_ms"].p50 == pytest.approx(100)
    assert figures["max_gap_s"] == pytest.approx(0.1)
    assert {k: v.p50 for k, v in figures["stages_ms"].items()} == pytest.approx(
        {"arrival": 30, "preprocess": 1, "engine": 5, "decode": 0.5, "total": 6.5, "overhead": 2}
    )
    assert figures["high_water"] == {"ring": 4}
    assert figures["deadline_misses"] == 0
    assert figures["recovery_s"] is None


def test_a_percentile_that_n_does_not_support_is_null() -> None:
    trace = Trace("lidar")
    for k in range(298):
        add(trace, k)
    age = trace.summary()["age_ms"]["lidar"]
    assert (age.n, age.p99) == (298, None) and age.p90 is not None


def test_an_empty_run_has_no_percentile() -> None:
    figures = Trace("lidar").summary()
    assert figures["sync_wait_ms"].to_json() == {**dict.fromkeys(("p50", "p90", "p99", "p99.9", "max")), "n": 0}
    assert figures["age_ms"] == {} and figures["stages_ms"] == {} and figures["max_gap_s"] is None


def test_a_set_that_used_up_the_budget_missed_its_deadline() -> None:
    trace = Trace("lidar", budget_ns=60 * MS)
    for wait_ms, predicted in ((59.9, False), (60.0, False), (60.0, True)):
        trace.add_result(synced(0, wait_ms, predicted=predicted), result(0, {"lidar": 90.0}), 0)
    assert trace.summary()["deadline_misses"] == 1


def test_refused_samples_are_counted_by_stream_and_by_reason() -> None:
    trace = Trace("lidar")
    for k, refusal in enumerate(("", "frozen", "frozen")):
        trace.add_arrival("lidar", refusal, 100 * k * MS)
    trace.add_arrival("camera")
    trace.add_refusal("camera", "unusable")
    assert trace.anchors == 3
    assert trace.dropped == {"lidar:frozen": 2, "camera:unusable": 1}
    streams = trace.summary()["streams"]
    assert streams == {
        "camera": {"received": 1, "refused": 1, "rate_hz": None},
        "lidar": {"received": 3, "refused": 2, "rate_hz": 10.0},
    }


def test_the_synchronizers_facts_of_a_stream_are_passed_on() -> None:
    trace = Trace("lidar")
    trace.add_arrival("lidar")
    health = StreamHealth(9, {Release.USED: 7}, 0, 2, 1, -5 * MS, False, 30 * MS, 28 * MS, -2 * MS, 12.3456)
    trace.add_health("lidar", health)
    assert trace.summary()["streams"]["lidar"] == {
        "received": 1,
        "refused": 0,
        "rate_hz": None,
        "used": 7,
        "epochs": 1,
        "offset_ms": -2,
        "drift_ppm": 12.346,
        "delay_ms": 30,
        "negative_delays": 2,
        "stuck": False,
    }


def test_memory_does_not_grow_with_the_run() -> None:
    trace, one = Trace("lidar", budget_ns=60 * MS), synced(0)
    results = [result(k, {"lidar": 1.0 + 1.7 * k, "camera": 2.0 + k}) for k in range(97)]

    def play(first: int, count: int) -> None:
        for k in range(first, first + count):
            trace.add_arrival("camera")
            trace.add_result(one, results[k % 97], 100 * k * MS)
            trace.add_stages(k, 5 * k, 7)
            trace.add_lag(k)
            trace.add_depth("ring", k % 5)

    play(0, 1_000)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        play(1_000, 100_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2_048, "a run of any length must take the same memory"
    assert trace.fused == 101_000


def test_silence_until_the_end_counts_where_it_is_told() -> None:
    trace = Trace("lidar")
    trace.add_end(9000 * MS)
    assert trace.summary()["max_gap_s"] is None
    add(trace, 0)
    add(trace, 1)
    trace.add_end(200 * MS)
    assert trace.summary()["max_gap_s"] == 0.1
    trace.add_end(3140 * MS)
    assert trace.summary()["max_gap_s"] == 3.0
