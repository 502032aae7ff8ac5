"""The RUN path on a scripted source and engine: time, mailbox, degradation, and what is left after a failure."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.runtime.bundle import Bundle
from edge.runtime.errors import BundleError, ConfigError, ModelError, SourceError
from edge.runtime.pipeline import Pipeline, RunSettings
from edge.runtime.rig import Rig
from edge.runtime.sample import AudioChunk, Image, PointCloud, Sample
from edge.runtime.simulate.rig import street_rig
from edge.runtime.sinks.jsonl import JsonlSink
from tests.runtime.engines.simulated_board import SimulatedBoard
from tests.runtime.engines.simulated_tensorrt import SCRATCH_BYTES, make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.runtime.result import FusedResult

MS = 1_000_000
RATE_HZ = 16_000


class ScriptedSource:
    """Camera at 30 Hz, lidar at 10 Hz and sound, all regular; `change` may alter or remove any sample."""

    description = "scripted"

    def __init__(
        self, seconds: float, change: Callable[[Sample], Sample | None] = lambda s: s, rig: Rig | None = None
    ) -> None:
        self.rig = rig or street_rig()
        self._seconds, self._change = seconds, change

    def samples(self) -> Iterator[Sample]:
        due: list[Sample] = []
        lens = self.rig.intrinsics("camera")
        # Two of each in turn: a stream that repeats itself is frozen.
        images = [Image(np.full((lens.height, lens.width, 3), 90 + i, np.uint8)) for i in range(2)]
        clouds = [PointCloud(np.tile(np.array([10, 1, i, 0.5], np.float32), (50, 1))) for i in range(2)]
        ramp = np.linspace(-0.1, 0.1, RATE_HZ // 50, dtype=np.float32)[None]
        sounds = [AudioChunk(ramp * (1 + i), RATE_HZ) for i in range(2)]
        for k in range(int(self._seconds * 30)):
            due.append(Sample("camera", k * 33_366_700, k * 33_366_700 + 15 * MS, k, images[k % 2]))
        for k in range(int(self._seconds * 10)):
            due.append(Sample("lidar", (k * 100 + 50) * MS, (k * 100 + 130) * MS, k, clouds[k % 2]))
        for k in range(int(self._seconds * 50)):
            due.append(Sample("audio", (k * 20 + 8) * MS, (k * 20 + 25) * MS, k, sounds[k % 2]))
        for sample in sorted(due, key=lambda s: s.arrival_ns):
            changed = self._change(sample)
            if changed is not None and changed.stream in self.rig.streams:
                yield changed


class ScriptedEngine:
    """Answers like `small_graph`, with a detection nowhere; calls `on_run` each time."""

    name = "scripted"

    def __init__(self, on_run: Callable[[int], None] = lambda _count: None) -> None:
        self.runs = 0
        self.present: list[list[float]] = []
        self._on_run = on_run

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        self.runs += 1
        self.present.append(inputs["present"][0].tolist())
        self._on_run(self.runs)
        objects = np.zeros((1, 3, 4, 13), np.float32)
        objects[:, 0] = 9
        return {
            "objects": objects,
            "distance": np.zeros((1, 1, 4, 13), np.float32),
            "events": np.array([[3.0, -3.0]], np.float32),
        }


class Collector:
    def __init__(self) -> None:
        self.results: list[FusedResult] = []
        self.complete: bool | None = None

    def write(self, result: FusedResult) -> None:
        self.results.append(result)

    def close(self, *, complete: bool) -> None:
        self.complete = complete


@pytest.fixture
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edge-")]


def without(**intervals: tuple[int, int]) -> Callable[[Sample], Sample | None]:
    """Removes a stream's samples that arrive between two instants in milliseconds."""

    def change(sample: Sample) -> Sample | None:
        begin, end = intervals.get(sample.stream, (0, 0))
        return None if begin * MS <= sample.arrival_ns < end * MS else sample

    return change


def test_every_anchor_is_fused_in_virtual_time(bundle: Bundle) -> None:
    sink, engine = Collector(), ScriptedEngine()
    trace = Pipeline(bundle, ScriptedSource(5), engine, [sink]).run()
    assert (trace.anchors, trace.fused, sink.complete) == (50, 50, True)
    assert dict(trace.states) == {"all": 41, "no_audio": 9}  # a window of 0.975 s, of which 60 ms may be concealed
    last = sink.results[-1]
    assert last.state == "all"
    # The sweep arrives 80 ms after its stamp, the model takes 10 ms.
    assert last.ages_ms["lidar"] == pytest.approx(90)
    assert [e.class_name for e in last.decoded.events] == ["siren"]
    assert engine.present[-1] == [1, 1, 1]
    assert engine.present[0] == [1, 1, 0]
    summary = trace.summary()
    assert summary["completeness"]["all"] == pytest.approx(41 / 50)
    assert summary["age_ms"]["lidar"].max == pytest.approx(90)
    # The result is as old as its oldest sample: a frame of at most half a camera period before the sweep.
    assert 90 < summary["age_ms"]["result"].max <= 90 + 16.7
    assert summary["age_ms"]["result"].p99 is None  # 50 results support no p99
    assert summary["offset_ms"]["audio"] == pytest.approx(0)
    assert trace.dropped == {}


def test_equal_runs_give_equal_bytes(bundle: Bundle, tmp_path: Path) -> None:
    written = []
    for name in ("a.jsonl", "b.jsonl"):
        Pipeline(bundle, ScriptedSource(3), ScriptedEngine(), [JsonlSink(tmp_path / name)]).run()
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    lines = [json.loads(line) for line in written[0].splitlines()]
    assert [line["seq"] for line in lines] == list(range(30))
    assert {"state", "present", "held", "ages_ms", "spread_ms", "epochs", "valid", "reason"} <= lines[0].keys()
    assert (lines[0]["level"], lines[0]["levels"]["audio"]) == ("degraded", "blind")


def test_a_slow_model_gets_the_latest_set_and_the_rest_is_counted(bundle: Bundle) -> None:
    sink = Collector()
    settings = RunSettings(compute_ms=250)
    trace = Pipeline(bundle, ScriptedSource(5), ScriptedEngine(), [sink], settings).run()
    assert trace.fused + trace.dropped["set:overrun"] == 50
    assert 19 <= trace.fused <= 21
    # Never older than the set that was queued while the model ran once, plus that run.
    assert max(r.ages_ms["lidar"] for r in sink.results) <= 80 + 250 + 250


@pytest.mark.parametrize(
    ("gone", "state", "held"),
    [("camera", "no_camera", set()), ("audio", "no_audio", set())],
)
def test_a_dead_modality_is_left_out_of_the_state(bundle: Bundle, gone: str, state: str, held: set[str]) -> None:
    sink = Collector()
    trace = Pipeline(bundle, ScriptedSource(6, without(**{gone: (2000, 4000)})), ScriptedEngine(), [sink]).run()
    during = [r for r in sink.results if 2.5e9 < r.stamp_ns < 3.9e9]
    assert {r.state for r in during} == {state}
    assert all(gone not in r.present and r.valid for r in during)
    assert sink.results[-1].state == "all"
    assert trace.max_gap_ns <= 220 * MS
    assert set(during[-1].held) == held
    assert {(r.level, r.levels[gone]) for r in during} == {("degraded", "blind")}
    assert sink.results[-1].level == "ok"
    summary = trace.summary()
    assert summary["level_changes"]["degraded>ok"] >= 1
    assert summary["modality_levels"][gone]["blind"] > 0.2


def test_a_dead_anchor_leaves_blind_results_where_no_state_is_validated(bundle: Bundle) -> None:
    """Camera and sound alone were never validated: the result says so, and shows nothing."""
    sink, engine = Collector(), ScriptedEngine()
    trace = Pipeline(bundle, ScriptedSource(6, without(lidar=(2000, 4000))), engine, [sink]).run()
    during = [r for r in sink.results if 2.2e9 < r.stamp_ns < 3.7e9]
    assert len(during) >= 14
    assert {r.state for r in during} == {"blind"}
    assert all(not r.valid and r.decoded.detections == () and r.ages_ms == {} for r in during)
    assert "no validated state is contained in camera, audio" in during[0].reason
    assert trace.predicted >= 17
    assert trace.max_gap_ns <= 220 * MS
    assert sink.results[-1].state == "all"
    assert engine.runs == trace.fused - trace.states["blind"]
    assert {r.level for r in during} == {"blind"}
    assert {r.levels["lidar"] for r in during} == {"blind"}
    assert {r.levels["camera"] for r in during} == {"degraded"}, "it is there, but no validated state takes it"
    levels = trace.summary()["levels"]
    assert 0.2 < levels["blind"] < 0.4 and levels["ok"] > 0.3


def test_a_held_frame_is_stale_once_older_than_its_period(bundle: Bundle) -> None:
    """The camera's frames are held for 150 ms; after that it is missing."""
    sink = Collector()
    Pipeline(bundle, ScriptedSource(5, without(camera=(2000, 3000))), ScriptedEngine(), [sink]).run()
    held = [r for r in sink.results if "camera" in r.held]
    assert held and {r.level for r in held} == {"stale"} == {r.levels["camera"] for r in held}
    assert all("camera" not in r.present for r in sink.results if 2.3e9 < r.stamp_ns < 2.9e9)


def test_a_frozen_camera_is_left_out(bundle: Bundle) -> None:
    frozen: list[Any] = []

    def change(sample: Sample) -> Sample:
        if sample.stream != "camera" or not 2000 * MS < sample.arrival_ns < 3000 * MS:
            return sample
        frozen.append(sample.payload)
        return Sample(sample.stream, sample.stamp_ns, sample.arrival_ns, sample.seq, frozen[0])

    sink = Collector()
    trace = Pipeline(bundle, ScriptedSource(5, change), ScriptedEngine(), [sink]).run()
    # The first and five repeats are used: frames of 160 kB are compared whole from the first repeat on. The frame
    # after the freeze happens to be the same once more.
    assert trace.dropped == {"camera:frozen": 30 - 6 + 1}
    assert {r.state for r in sink.results if 2.5e9 < r.stamp_ns < 2.9e9} == {"no_camera"}
    assert sink.results[-1].state == "all"
    camera = trace.summary()["streams"]["camera"]
    assert (camera["received"], camera["refused"], camera["stuck"]) == (150, 25, False)
    assert camera["delay_ms"] == pytest.approx(15) and camera["offset_ms"] == pytest.approx(0)


def test_garbage_counts_as_missing(bundle: Bundle) -> None:
    def change(sample: Sample) -> Sample:
        if not 2000 * MS < sample.arrival_ns < 3000 * MS or sample.stream != "camera":
            return sample
        payload = Image(np.zeros_like(sample.payload.pixels))  # type: ignore[union-attr]
        return Sample(sample.stream, sample.stamp_ns, sample.arrival_ns, sample.seq, payload)

    sink = Collector()
    trace = Pipeline(bundle, ScriptedSource(5, change), ScriptedEngine(), [sink]).run()
    assert trace.dropped == {"camera:empty": 30}
    assert "no_camera" in {r.state for r in sink.results if 2.3e9 < r.stamp_ns < 2.9e9}


def test_a_payload_that_only_the_model_refuses_is_left_out(bundle: Bundle) -> None:
    """The rig says that 8 kHz is fine, the model wants 16."""
    street = street_rig()
    slow = street.streams["audio"].model_copy(update={"sample_rate_hz": 8_000})
    rig = street.model_copy(update={"streams": {**street.streams, "audio": slow}})

    def change(sample: Sample) -> Sample:
        if sample.stream != "audio":
            return sample
        halved = AudioChunk(np.full((1, 160), 0.1, np.float32), 8_000)
        return Sample(sample.stream, sample.stamp_ns, sample.arrival_ns, sample.seq, halved)

    sink = Collector()
    trace = Pipeline(bundle, ScriptedSource(2, change, rig), ScriptedEngine(), [sink]).run()
    assert {r.state for r in sink.results} == {"no_audio"}
    assert trace.dropped == {"audio:unusable": 11}


def test_streams_that_no_source_gives_are_not_waited_for(bundle: Bundle) -> None:
    raw = street_rig().model_dump(by_alias=True)
    raw["streams"] = {k: v for k, v in raw["streams"].items() if k != "audio"}
    sink = Collector()
    Pipeline(bundle, ScriptedSource(2, rig=Rig.model_validate(raw)), ScriptedEngine(), [sink]).run()
    assert {r.state for r in sink.results} == {"no_audio"}
    assert max(r.ages_ms["lidar"] for r in sink.results) == pytest.approx(90)


def test_a_source_that_fits_no_validated_state_is_refused(bundle: Bundle) -> None:
    raw = street_rig().model_dump(by_alias=True)
    raw["streams"] = {"audio": raw["streams"]["audio"]}
    source = ScriptedSource(1)
    source.rig = Rig.model_validate({**raw, "anchor": "audio"})
    with pytest.raises(BundleError, match="the source gives audio, but the bundle is validated for all"):
        Pipeline(bundle, source, ScriptedEngine())


def test_the_duration_ends_a_run(bundle: Bundle) -> None:
    trace = Pipeline(bundle, ScriptedSource(10), ScriptedEngine(), settings=RunSettings(duration_s=2.0)).run()
    assert trace.anchors == 19


def test_real_time_fuses_what_virtual_time_fuses(bundle: Bundle) -> None:
    """On the host's clock: however busy the host is, every anchor is fused or counted."""
    sink, virtual = Collector(), Collector()
    settings = RunSettings(realtime=True)
    trace = Pipeline(bundle, ScriptedSource(1.5), ScriptedEngine(), [sink], settings).run()
    Pipeline(bundle, ScriptedSource(1.5), ScriptedEngine(), [virtual], RunSettings(compute_ms=0)).run()
    assert trace.anchors == 15
    assert trace.fused - trace.predicted + trace.dropped["set:overrun"] + trace.dropped["lidar:superseded"] >= 15
    assert {r.stamp_ns for r in sink.results} & {r.stamp_ns for r in virtual.results}
    stamps = [r.stamp_ns for r in sink.results]
    assert stamps == sorted(set(stamps))
    summary = trace.summary()
    assert summary["lag_ms"].n == 15 + 45 + 75
    assert summary["stages_ms"].keys() == {"arrival", "queue", "preprocess", "engine", "decode", "total", "overhead"}
    assert summary["high_water"].keys() == {"ring:camera", "ring:lidar", "ring:audio"}
    assert summary["streams"]["camera"]["received"] == 45


def _fail_from(count: int, error: BaseException) -> Callable[[int], None]:
    """In real time one failed inference is no reason to end; three in a row are."""

    def fail(runs: int) -> None:
        if runs >= count:
            raise error

    return fail


@pytest.mark.parametrize("realtime", [False, True])
@pytest.mark.parametrize("error", [ModelError("broken", "mend it"), KeyboardInterrupt()])
def test_a_failure_leaves_no_thread_and_no_file(
    bundle: Bundle, tmp_path: Path, realtime: bool, error: BaseException
) -> None:
    out = tmp_path / "results.jsonl"
    engine = ScriptedEngine(_fail_from(3, error))
    settings = RunSettings(realtime=realtime)
    pipeline = Pipeline(bundle, ScriptedSource(60), engine, [JsonlSink(out)], settings)
    with pytest.raises(type(error)):
        pipeline.run()
    assert not own_threads()
    assert [p.name for p in tmp_path.iterdir() if "results" in p.name] == []


@pytest.mark.parametrize("realtime", [False, True])
def test_a_source_that_breaks_off_is_an_error_of_the_run(bundle: Bundle, realtime: bool) -> None:
    def broken(sample: Sample) -> Sample:
        if sample.stream == "lidar" and sample.seq == 2:
            raise SourceError("sweep 2 is truncated", "download it again")
        return sample

    sink = Collector()
    settings = RunSettings(realtime=realtime)
    with pytest.raises(SourceError, match="sweep 2"):
        Pipeline(bundle, ScriptedSource(5, broken), ScriptedEngine(), [sink], settings).run()
    assert sink.complete is False
    assert not own_threads()


def test_an_empty_source_gives_an_empty_run(bundle: Bundle) -> None:
    nothing: Any = ScriptedSource(0)
    for realtime in (False, True):
        trace = Pipeline(bundle, nothing, ScriptedEngine(), settings=RunSettings(realtime=realtime)).run()
        assert (trace.anchors, trace.fused) == (0, 0)
        assert trace.summary()["max_gap_s"] is None


def test_an_engine_on_a_device_is_in_the_plan_and_under_the_limit(bundle: Bundle) -> None:
    board = SimulatedBoard(integrated=True)
    with board.open(make_plan(bundle.graph("fp32")), model_io=bundle.model_io) as engine:
        plans = [Pipeline(bundle, ScriptedSource(1), e).plan_memory() for e in (engine, ScriptedEngine())]
        told = {item.what: item.bytes for item in plans[0].items}
        assert told["temporaries of the engine, on the device"] == SCRATCH_BYTES
        assert told["tensors of the engine, on the device and for it"] == engine.buffer_bytes > 1 << 18
        assert told.keys() - {item.what for item in plans[1].items} == set(list(told)[-2:])
        settings = RunSettings(memory_limit=plans[0].total // 2)
        with pytest.raises(ConfigError, match="the run may take"):
            Pipeline(bundle, ScriptedSource(1), engine, settings=settings).run()
