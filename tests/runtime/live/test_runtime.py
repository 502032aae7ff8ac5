"""The live runtime on a scripted engine: results, callbacks, failures, ends; nothing hangs and nothing is left."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.runtime.bundle import Bundle
from edge.runtime.errors import ConfigError, ModelError, RunError
from edge.runtime.fusion import Fusion
from edge.runtime.live import runtime as live
from edge.runtime.live.runtime import Runtime
from edge.runtime.live_clock import ManualClock
from edge.runtime.pipeline import Pipeline, RunSettings
from edge.runtime.result import FusedResult
from edge.runtime.rig import Rig
from edge.runtime.sample import AudioChunk, Image, PointCloud, Sample
from edge.runtime.simulate.rig import street_rig

MS = 1_000_000
RATE_HZ = 16_000
PATIENCE_S = 60.0


class ScriptedEngine:
    """Answers like `small_graph`; calls `on_run` with the number of the run first."""

    name = "scripted"

    def __init__(self, on_run: Callable[[int], None] = lambda _count: None) -> None:
        self.runs = 0
        self._on_run = on_run

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        self.runs += 1
        self._on_run(self.runs)
        objects = np.zeros((1, 3, 4, 13), np.float32)
        objects[:, 0] = 9
        events = np.array([[3.0, -3.0]], np.float32)
        return {"objects": objects, "distance": np.zeros((1, 1, 4, 13), np.float32), "events": events}


def recording(seconds: float) -> list[Sample]:
    """Camera at 30 Hz, lidar at 10 Hz and sound, in the order of their arrival."""
    lens = street_rig().intrinsics("camera")
    samples = []
    for k in range(int(seconds * 30)):
        pixels = np.full((lens.height, lens.width, 3), 90 + k % 2, np.uint8)
        samples.append(Sample("camera", k * 33_366_700, k * 33_366_700 + 15 * MS, k, Image(pixels)))
    for k in range(int(seconds * 10)):
        points = np.tile(np.array([10, 1, k % 2, 0.5], np.float32), (50, 1))
        samples.append(Sample("lidar", (k * 100 + 50) * MS, (k * 100 + 130) * MS, k, PointCloud(points)))
    for k in range(int(seconds * 50)):
        sound = np.linspace(-0.1, 0.1 * (1 + k % 2), RATE_HZ // 50, dtype=np.float32)[None]
        samples.append(Sample("audio", (k * 20 + 8) * MS, (k * 20 + 25) * MS, k, AudioChunk(sound, RATE_HZ)))
    return sorted(samples, key=lambda s: s.arrival_ns)


def feed(runtime: Runtime, clock: ManualClock, samples: list[Sample]) -> None:
    for sample in samples:
        clock.move_to(sample.arrival_ns)
        assert runtime.push(sample)
        assert runtime.settle(PATIENCE_S)


@pytest.fixture
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


class Collector:
    def __init__(self) -> None:
        self.results: list[FusedResult] = []

    def write(self, result: FusedResult) -> None:
        self.results.append(result)

    def close(self, *, complete: bool) -> None:
        assert complete


class RecordedSource:
    description = "recorded"
    rig = street_rig()

    def __init__(self, samples: list[Sample]) -> None:
        self._samples = samples

    def samples(self) -> Iterator[Sample]:
        yield from self._samples


def test_gives_what_the_pipeline_gives(bundle: Bundle, no_leak: None) -> None:
    samples, sink, clock = recording(3.0), Collector(), ManualClock()
    Pipeline(bundle, RecordedSource(samples), ScriptedEngine(), [sink], RunSettings(compute_ms=0)).run()
    with Runtime(bundle, street_rig(), ScriptedEngine(), depth=64, clock=clock) as runtime:
        feed(runtime, clock, samples)
        runtime.finish()
        results = [r.to_json() for r in runtime]
    expected = [r.to_json() for r in sink.results]
    for one in (*results, *expected):
        del one["ages_ms"]  # they depend on when the model had time
    assert results == expected
    assert len(results) == 30
    summary = runtime.trace.summary()
    assert (summary["anchors"], summary["fused"], summary["dropped"]) == (30, 30, {})
    assert summary["stages_ms"].keys() == {"arrival", "queue", "preprocess", "engine", "decode", "total", "overhead"}
    assert summary["high_water"].keys() == {"ring:camera", "ring:lidar", "ring:audio"}


def test_a_fusion_may_be_given_instead(bundle: Bundle, no_leak: None) -> None:
    clock = ManualClock()
    with Runtime(Fusion(bundle, street_rig(), ScriptedEngine()), street_rig(), depth=64, clock=clock) as runtime:
        feed(runtime, clock, recording(1.0))
        runtime.finish()
        assert len(list(runtime)) == 10
        assert runtime.join(PATIENCE_S)
    with pytest.raises(ConfigError, match="both a fusion and an engine"):
        Runtime(Fusion(bundle, street_rig(), ScriptedEngine()), street_rig(), ScriptedEngine())
    with pytest.raises(ConfigError, match="no engine"):
        Runtime(bundle, street_rig())


def test_what_callbacks_raise_stops_nothing(bundle: Bundle, no_leak: None, caplog: pytest.LogCaptureFixture) -> None:
    clock, seen = ManualClock(), []
    with Runtime(bundle, street_rig(), ScriptedEngine(), depth=64, clock=clock) as runtime:

        @runtime.on_result
        def broken(result: FusedResult) -> None:
            raise ValueError(f"no use for {result.seq}")

        runtime.on_result(lambda result: seen.append(result.seq))
        feed(runtime, clock, recording(2.0))
        runtime.finish()
        assert runtime.join(PATIENCE_S)
        assert seen == list(range(20))
        assert runtime.counts["callback:error"] == 20
        assert len(runtime.callback_errors) == 16
        returned = runtime.close()
    assert [str(e) for e in returned][-1] == "no use for 19"
    assert "a callback has raised" in caplog.text
    with pytest.raises(RunError, match="closed"):
        runtime.on_result(broken)


def test_a_callback_that_blocks_delays_nobody_else(bundle: Bundle, no_leak: None) -> None:
    clock, gate, entered = ManualClock(), threading.Event(), threading.Event()

    def blocks(_result: FusedResult) -> None:
        entered.set()
        gate.wait(PATIENCE_S)

    with Runtime(bundle, street_rig(), ScriptedEngine(), depth=64, results=4, clock=clock) as runtime:
        runtime.on_result(blocks)
        results = iter(runtime)
        threading.Thread(target=feed, args=(runtime, clock, recording(2.0))).start()
        first = [next(results) for _ in range(3)]
        assert [r.seq for r in first] == sorted({r.seq for r in first})
        assert entered.wait(PATIENCE_S)
        while runtime.trace.fused < 20:
            assert runtime.settle(PATIENCE_S)
        assert runtime.counts["callback:overrun"] >= 20 - 1 - 4
        gate.set()


def test_one_failed_inference_is_one_invalid_result(bundle: Bundle, no_leak: None) -> None:
    def fails(run: int) -> None:
        if run in (3, 7, 8):
            raise ModelError("the engine gave NaN", "look at it")

    clock = ManualClock()
    with Runtime(bundle, street_rig(), ScriptedEngine(fails), depth=64, clock=clock) as runtime:
        feed(runtime, clock, recording(2.0))
        runtime.finish()
        results = list(runtime)
    invalid = {r.seq: r.reason for r in results if not r.valid}
    assert invalid == dict.fromkeys((2, 6, 7), "inference failed: the engine gave NaN; look at it")
    assert {r.state for r in results if not r.valid} == {"blind"}
    assert runtime.counts == {"audio:concealed": 1, "engine:failed": 3}
    assert str(runtime.engine_error) == "the engine gave NaN; look at it"


def test_a_broken_engine_ends_the_run_where_it_cannot_be_reopened(bundle: Bundle, no_leak: None) -> None:
    def fails(run: int) -> None:
        if run > 4:
            raise ModelError("out of memory", "free some")

    clock = ManualClock()
    runtime = Runtime(bundle, street_rig(), ScriptedEngine(fails), depth=64, clock=clock)
    for sample in recording(2.0):
        clock.move_to(sample.arrival_ns)
        try:
            runtime.push(sample)
        except RunError as error:
            assert isinstance(error.__cause__, ModelError)
            break
        runtime.settle(PATIENCE_S)
    seen = []
    with pytest.raises(RunError, match="the run has failed: out of memory"):
        for result in runtime:
            seen.append(result.valid)
    assert seen == [True] * 4 + [False] * 3
    assert runtime.close() == ()
    with pytest.raises(RunError, match="out of memory"):
        runtime.push(recording(0.2)[0])


def test_closing_tells_of_a_failure_that_nobody_saw(bundle: Bundle, no_leak: None) -> None:
    def fails(_run: int) -> None:
        raise MemoryError

    clock = ManualClock()
    runtime = Runtime(bundle, street_rig(), ScriptedEngine(fails), depth=64, clock=clock)
    for sample in [s for s in recording(0.6) if s.stream == "lidar"]:
        clock.move_to(sample.arrival_ns)
        if runtime._failure is None:
            runtime.push(sample)
        runtime.settle(PATIENCE_S)
    clock.move_to(2000 * MS)
    runtime.join(PATIENCE_S)
    with pytest.raises(RunError, match="MemoryError"):
        runtime.close()
    assert runtime.close() == ()


def test_an_engine_is_reopened_with_growing_pauses(bundle: Bundle, no_leak: None) -> None:
    """The first dies after five runs; reopening fails twice, 100 and 200 ms apart; then all is well."""

    def dies(run: int) -> None:
        if run > 5:
            raise ModelError("the device is lost", "wait")

    clock, tries = ManualClock(), []

    def reopen() -> ScriptedEngine:
        tries.append(clock.now_ns() // MS)
        if len(tries) < 3:
            raise ModelError("no device yet", "wait")
        return ScriptedEngine()

    results: list[FusedResult] = []
    with Runtime(bundle, street_rig(), ScriptedEngine(dies), reopen=reopen, clock=clock) as runtime:
        given = iter(runtime)
        for sample in recording(2.5):
            clock.move_to(sample.arrival_ns)
            runtime.push(sample)
            assert runtime.settle(PATIENCE_S)
            if sample.stream == "lidar":
                results.append(next(given))
    reasons = [r.reason for r in results]
    assert reasons[4:10] == [
        "",
        *["inference failed: the device is lost; wait"] * 3,
        *["the engine is broken: no device yet; wait"] * 2,
    ]
    assert tries == [130 + 800, 130 + 900, 130 + 1100]
    assert reasons[10] == reasons[8]
    assert set(reasons[11:]) == {""}
    assert runtime.counts == {"audio:concealed": 1, "engine:failed": 3, "engine:reopened": 1}


def test_samples_that_no_model_should_see_are_refused(bundle: Bundle, no_leak: None) -> None:
    with Runtime(bundle, street_rig(), ScriptedEngine()) as runtime:
        assert not runtime.push("lidar", 0, PointCloud(np.zeros((0, 4), np.float32)))
        assert not runtime.push("camera", 0, Image(np.zeros((2, 2, 3), np.uint8)))
        assert not runtime.push("radar", 0, PointCloud(np.ones((4, 4), np.float32)))
    assert runtime.trace.dropped == {"lidar:empty": 1, "camera:wrong_size": 1}


def test_closing_under_load_lets_go_of_everything(bundle: Bundle, no_leak: None) -> None:
    refs: list[weakref.ref[NDArray[np.float32]]] = []
    begun = threading.Event()

    def produce(runtime: Runtime) -> None:
        for k in range(20_000):
            points = np.tile(np.array([10, 1, k % 2, 0.5], np.float32), (50, 1))
            refs.append(weakref.ref(points))
            runtime.push("lidar", time.monotonic_ns(), PointCloud(points))
            if k == 200:
                begun.set()

    runtime = Runtime(bundle, street_rig(), ScriptedEngine())
    thread = threading.Thread(target=produce, args=(runtime,))
    thread.start()
    assert begun.wait(PATIENCE_S)
    runtime.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert runtime._sync.held_samples == 0
    del runtime, thread
    gc.collect()
    assert sum(ref() is not None for ref in refs) == 0


def test_a_callback_may_close(bundle: Bundle, no_leak: None) -> None:
    clock, closed = ManualClock(), threading.Event()
    runtime = Runtime(bundle, street_rig(), ScriptedEngine(), clock=clock)

    def close(_result: FusedResult) -> None:
        runtime.close()
        closed.set()

    runtime.on_result(close)
    for sample in recording(1.0):
        clock.move_to(sample.arrival_ns)
        runtime.push(sample)
    assert closed.wait(PATIENCE_S)
    assert list(runtime) == []
    runtime.close()


def test_what_does_not_return_is_named(bundle: Bundle, no_leak: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PATIENCE_S", 0.01)
    gate, entered, clock = threading.Event(), threading.Event(), ManualClock()

    def hangs(_run: int) -> None:
        entered.set()
        gate.wait(PATIENCE_S)

    runtime = Runtime(bundle, street_rig(), ScriptedEngine(hangs), clock=clock)
    feed(runtime, clock, recording(0.5))
    assert entered.wait(PATIENCE_S)
    with pytest.raises(RunError, match="the engine has not returned"):
        runtime.close()
    gate.set()
    assert runtime.join(PATIENCE_S)
    assert runtime.close() == ()


def test_a_rig_without_a_sensor_of_the_model(bundle: Bundle, no_leak: None) -> None:
    raw = street_rig().model_dump(by_alias=True)
    raw["streams"] = {k: v for k, v in raw["streams"].items() if k != "audio"}
    clock = ManualClock()
    with Runtime(bundle, Rig.model_validate(raw), ScriptedEngine(), depth=64, clock=clock) as runtime:
        feed(runtime, clock, [s for s in recording(1.0) if s.stream != "audio"])
        runtime.finish()
        assert {r.state for r in runtime} == {"no_audio"}


def test_a_program_may_end_without_closing(bundle: Bundle, small_bundle: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_runtime import Bundle, Runtime, ScriptedEngine, recording, street_rig
runtime = Runtime(Bundle.open(Path({str(small_bundle)!r})), street_rig(), ScriptedEngine())
runtime.on_result(print)
for sample in recording(0.3):
    runtime.push(sample)
print("pushed")
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    assert "pushed" in ended.stdout
