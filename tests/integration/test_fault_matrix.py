"""Every fault on every stream at every time: the synchronizer never falls silent, and is complete again afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.fused_run import RESULTS_NAME, run_bundle
from edge.runtime.bundle import Bundle
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.faults import FaultySource, parse_fault
from edge.runtime.faults.grammar import KINDS
from edge.runtime.pipeline import Pipeline, RunSettings
from edge.runtime.rig import Intrinsics, Rig, Stream
from edge.runtime.sample import AudioChunk, Image, Payload, PointCloud, Sample
from edge.runtime.sanity.gate import SanityGate
from edge.runtime.sources.simulator import SimulatorSource
from edge.runtime.synchronizer import Synchronizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.runtime.synchronize.synced import SyncedSet

pytestmark = pytest.mark.integration

S, MS = 1_000_000_000, 1_000_000
SECONDS = 10
CAMERA_NS, LIDAR_NS, AUDIO_NS = 33_366_700, 100 * MS, 20 * MS
WINDOW_NS = 500 * MS
SILENCE_NS = 2 * LIDAR_NS + 20 * MS
FILLED_NS = 700 * MS  # by then the first window of sound is full
RECOVERY_NS = S
STREAMS = ("camera", "lidar", "audio", "all")
OPTIONS = {"late": ",by=200ms", "clock-step": ",by=-5s", "drift": ",ppm=1000", "offset": ",by=40ms"}
TIMES = {"start": "0s+2s", "middle": "4s+2s", "end": "8s"}
REFUSED = {
    ("camera", "nan"): "empty",
    ("lidar", "nan"): "empty",
    ("audio", "nan"): "not_finite",
    **{(name, "empty"): "empty" for name in STREAMS[:3]},
    **{(name, "wrong-size"): "wrong_size" for name in STREAMS[:3]},
    **{(name, "frozen"): "frozen" for name in STREAMS[:3]},
}


def make_rig() -> Rig:
    lens = Intrinsics(width=8, height=6, fx=8, fy=8, cx=4, cy=3)
    return Rig(
        schema=1,
        anchor="lidar",
        streams={
            "camera": Stream(
                kind="camera",
                rate_hz=1e9 / CAMERA_NS,
                clock="ptp",
                stamp="mid",
                transport_ms=15,
                policy="hold",
                max_age_ms=150,
                intrinsics=lens,
            ),
            "lidar": Stream(kind="lidar", rate_hz=10, clock="ptp", stamp="mid", transport_ms=30),
            "audio": Stream(
                kind="audio",
                rate_hz=50,
                clock="sample-counter",
                stamp="first-sample",
                transport_ms=5,
                sample_rate_hz=1000,
            ),
        },
    )


class JitteredSource:
    """Camera at 30 Hz, lidar at 10 Hz, sound at 50 Hz; each arrival with an exponential tail of 1.5 ms."""

    description = "jittered"

    def __init__(self, seed: int = 3) -> None:
        self.rig = make_rig()
        random = np.random.default_rng(seed)
        samples = []
        for name, period, phase, delay in (
            ("camera", CAMERA_NS, 7 * MS, 15 * MS),
            ("lidar", LIDAR_NS, 50 * MS, 80 * MS),
            ("audio", AUDIO_NS, 0, 25 * MS),
        ):
            for k in range(SECONDS * S // period):
                stamp = phase + k * period
                arrival = stamp + delay + round(random.exponential(1.5) * MS)
                samples.append(Sample(name, stamp, arrival, k, payload(name, k)))
        self._samples = sorted(samples, key=lambda s: s.arrival_ns)

    def samples(self) -> Iterator[Sample]:
        return iter(self._samples)


def payload(name: str, k: int) -> Payload:
    if name == "camera":
        return Image(np.full((6, 8, 3), 1 + k % 250, np.uint8))
    if name == "lidar":
        return PointCloud(np.full((3, 4), 1 + k, np.float32))
    return AudioChunk(np.sin(np.arange(20 * k, 20 * k + 20, dtype=np.float32))[None] * np.float32(0.1), 1000)


@dataclass(frozen=True)
class Run:
    sets: list[SyncedSet]
    dropped: Counter[str]
    hits: int
    epochs: dict[str, int]
    moved_ns: dict[str, int]  # what the streams' clocks were re-mapped by in the end
    origin_ns: int


@cache
def jittered(seed: int = 3) -> JitteredSource:
    return JitteredSource(seed)


def fuse(*texts: str, seed: int = 3) -> Run:
    """As the pipeline does in virtual time, with a model that takes none."""
    source = FaultySource(jittered(seed), [parse_fault(text) for text in texts])
    gate = SanityGate(source.rig)
    sync = Synchronizer(source.rig, STREAMS[:3], {"audio": WINDOW_NS})
    dropped: Counter[str] = Counter()
    sets: list[SyncedSet] = []
    for sample in source.samples():
        while (due := sync.next_deadline_ns()) is not None and due <= sample.arrival_ns:
            sets += sync.advance(due)
        refusal = gate.refusal(sample)
        if refusal:
            dropped[f"{sample.stream}:{refusal}"] += 1
        else:
            sets += sync.push(sample)
    sets += sync.flush()
    health = {name: sync.health(name) for name in STREAMS[:3]}
    return Run(
        sets,
        dropped + Counter(sync.dropped),
        sum(source.hits.values()),
        {name: found.epoch for name, found in health.items()},
        {name: found.epoch_offset_ns for name, found in health.items()},
        next(jittered(seed).samples()).arrival_ns,
    )


def fault_text(stream: str, kind: str, when: str) -> str:
    time = "8s+2s" if (kind, when) == ("burst", "end") else TIMES[when]
    return f"{stream}:{kind}@{time}{OPTIONS.get(kind, '')}"


def incomplete(
    sets: Sequence[SyncedSet], begin_ns: int, end_ns: int | None = None
) -> list[tuple[float, dict[str, str]]]:
    """Emission in milliseconds, and what was missing."""
    chosen = (s for s in sets if begin_ns <= s.emitted_ns and (end_ns is None or s.emitted_ns < end_ns))
    return [(s.emitted_ns / MS, s.missing) for s in chosen if s.missing]


def longest_silence_ns(sets: Sequence[SyncedSet]) -> int:
    return max(b.emitted_ns - a.emitted_ns for a, b in pairwise(sets))


def test_the_healthy_run_is_complete() -> None:
    run = fuse()
    assert len(run.sets) == SECONDS * 10
    assert incomplete(run.sets, run.origin_ns + FILLED_NS) == []
    assert not run.dropped


@pytest.mark.parametrize("when", TIMES)
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("kind", KINDS)
def test_matrix(kind: str, stream: str, when: str) -> None:
    fault = parse_fault(fault_text(stream, kind, when))
    run = fuse(str(fault))
    assert run.hits >= 10
    assert longest_silence_ns(run.sets) <= SILENCE_NS
    assert all(a.stamp_ns < b.stamp_ns for a, b in pairwise(run.sets))
    begin_ns = run.origin_ns + fault.start_ns
    assert incomplete(run.sets, run.origin_ns + FILLED_NS, begin_ns) == []
    if fault.end_ns is not None and when != "end":
        over_ns = run.origin_ns + fault.end_ns
        assert incomplete(run.sets, over_ns + RECOVERY_NS) == []
        assert len([s for s in run.sets if s.emitted_ns >= over_ns + RECOVERY_NS]) >= 29
        assert max(abs(moved) for moved in run.moved_ns.values()) <= 10 * MS, "what belonged together does so again"


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("stream", ["camera", "audio"])
def test_a_delay_at_the_threshold_of_a_step_leaves_no_offset(stream: str, seed: int) -> None:
    """With jitter a part of the samples is beyond it, on the way out or on the way back."""
    run = fuse(f"{stream}:late@4s+2s,by=200ms", seed=seed)
    assert max(abs(moved) for moved in run.moved_ns.values()) <= 10 * MS


@pytest.mark.parametrize(("stream", "kind"), REFUSED)
def test_what_no_model_should_see_is_counted_by_reason(stream: str, kind: str) -> None:
    run = fuse(fault_text(stream, kind, "middle"))
    refused = run.dropped[f"{stream}:{REFUSED[stream, kind]}"]
    assert run.hits - 5 <= refused <= run.hits  # five repeats are what a frozen sensor is allowed


@pytest.mark.parametrize("stream", STREAMS[:3])
def test_copies_are_counted_as_duplicates(stream: str) -> None:
    run = fuse(f"{stream}:duplicate@4s+2s")
    assert run.dropped[f"{stream}:duplicate"] == run.hits
    assert incomplete(run.sets, run.origin_ns + FILLED_NS) == []


@pytest.mark.parametrize("stream", STREAMS[:3])
@pytest.mark.parametrize("kind", ["drop", "stall"])
def test_what_never_arrives_is_missing_and_not_dropped(stream: str, kind: str) -> None:
    run = fuse(f"{stream}:{kind}@4s+2s")
    during = [s for s in run.sets if 4.6 * S <= s.stamp_ns < 5.9 * S]
    assert len(during) == 13
    assert all(s.missing == {stream: "silent"} for s in during)
    assert not run.dropped


def test_what_arrives_too_late_is_counted_as_late() -> None:
    assert fuse("lidar:burst@4s+2s").dropped["lidar:late"] >= 18
    assert fuse("lidar:reorder@4s+2s").dropped["lidar:late"] == 10


@pytest.mark.parametrize("by", ["-5s", "5s"])
@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("length", ["", "+2s"])
def test_a_clock_step_is_followed(stream: str, by: str, length: str) -> None:
    run = fuse(f"{stream}:clock-step@4s{length},by={by}")
    assert longest_silence_ns(run.sets) <= 200 * MS
    steps = 1 if length == "" else 2
    for step in range(steps):
        at_ns = run.origin_ns + (4 + 2 * step) * S
        assert incomplete(run.sets, at_ns + RECOVERY_NS, at_ns + 2 * S) == []
    stepped = STREAMS[:3] if stream == "all" else (stream,)
    assert run.epochs == {name: steps * (name in stepped) for name in STREAMS[:3]}
    left_ns = 0 if length else parse_fault(f"all:clock-step@0s,by={by}").model_dump()["by_ns"]
    for name in STREAMS[:3]:
        expected = -left_ns if name in stepped else 0
        assert abs(run.moved_ns[name] - expected) <= 10 * MS


def every_kind() -> list[str]:
    streams = ("camera", "lidar", "audio")
    return [f"{streams[i % 3]}:{kind}@1100ms+600ms{OPTIONS.get(kind, '')}" for i, kind in enumerate(KINDS)]


def test_a_replay_with_every_fault_is_the_same_to_the_byte(small_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(small_bundle)
    faults = [parse_fault(text) for text in every_kind()] + [parse_fault("all:drop@0s,p=.2")]

    def results(name: str, seed: int) -> bytes:
        source = FaultySource(SimulatorSource(seed=2, duration_s=2.5), faults, seed)
        run_bundle(bundle, source, tmp_path / name)
        return (tmp_path / name / RESULTS_NAME).read_bytes()

    first = results("a", 1)
    assert first.count(b"\n") >= 20
    assert results("b", 1) == first
    assert results("c", 2) != first


@pytest.mark.parametrize("realtime", [False, True])
def test_the_pipeline_tells_how_long_recovery_took(small_bundle: Path, realtime: bool) -> None:
    bundle = Bundle.open(small_bundle)
    engine = OnnxRuntimeEngine(bundle.graph("fp32"), "fp32", model_io=bundle.model_io)
    source = FaultySource(SimulatorSource(seed=2, duration_s=2.5), [parse_fault("lidar:stall@1100ms+400ms")])
    trace = Pipeline(bundle, source, engine, settings=RunSettings(realtime=realtime)).run()
    assert trace.recovery_ns is not None
    assert 0 < trace.recovery_ns <= (900 if realtime else 300) * MS  # a busy host may miss a set or two
    assert trace.states["blind"] + trace.states["no_lidar"] >= 1


def test_nothing_recovers_from_a_fault_that_lasts(small_bundle: Path) -> None:
    bundle = Bundle.open(small_bundle)
    engine = OnnxRuntimeEngine(bundle.graph("fp32"), "fp32", model_io=bundle.model_io)
    source = FaultySource(SimulatorSource(seed=2, duration_s=0.5), [parse_fault("lidar:stall@100ms")])
    assert Pipeline(bundle, source, engine).run().recovery_ns is None
