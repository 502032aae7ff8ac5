"""What a live run keeps of each result's road, and streams that it matches beside those of the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.runtime.bundle import Bundle
from edge.runtime.live.runtime import Runtime
from edge.runtime.live_clock import ManualClock
from edge.runtime.sample import Image, Sample
from edge.runtime.simulate.rig import street_rig
from edge.runtime.trace.road_recorder import ABSENT, RoadRecorder
from tests.runtime.live.test_runtime import MS, PATIENCE_S, ScriptedEngine, feed, recording


@pytest.fixture
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


def test_streams_beside_the_models_are_looked_at_and_matched_and_not_read(bundle: Bundle, no_leak: None) -> None:
    rig, clock = street_rig(), ManualClock()
    grown = rig.model_copy(update={"streams": {**rig.streams, "camera_2": rig.stream("camera")}})
    samples = recording(1.0)
    second = [Sample("camera_2", s.stamp_ns, s.arrival_ns, s.seq, s.payload) for s in samples if s.stream == "camera"]
    black = Image(np.zeros((128, 416, 3), np.uint8))
    second[3] = Sample("camera_2", second[3].stamp_ns, second[3].arrival_ns, 3, black)
    with Runtime(bundle, grown, ScriptedEngine(), depth=64, clock=clock, beside=("camera_2",)) as runtime:
        for sample in sorted([*samples, *second], key=lambda s: s.arrival_ns):
            clock.move_to(sample.arrival_ns)
            assert runtime.push(sample) == (sample.payload is not black)
            assert runtime.settle(PATIENCE_S)
        runtime.finish()
        results = list(runtime)
    assert len(results) == 10
    assert {name for result in results for name in result.present} <= {"camera", "lidar", "audio"}
    streams = runtime.trace.summary()["streams"]
    assert (streams["camera_2"]["received"], streams["camera_2"]["refused"]) == (30, 1)
    assert streams["camera_2"]["used"] > 0


def test_the_road_of_every_result_is_kept(bundle: Bundle, no_leak: None) -> None:
    clock, roads = ManualClock(), RoadRecorder(("camera", "lidar", "audio"))
    with Runtime(bundle, street_rig(), ScriptedEngine(), depth=64, clock=clock, roads=roads) as runtime:
        feed(runtime, clock, recording(1.0))
        runtime.finish()
        results = list(runtime)
    kept = roads.roads()
    assert kept.fields["number"].tolist() == [result.seq for result in results]
    for i, result in enumerate(results):
        ages_ms = (kept.fields["ready"][i] - kept.stamps[i]) / MS
        seen = {name: age for name, age in zip(kept.streams, ages_ms, strict=True) if name in result.present}
        assert seen == pytest.approx(result.ages_ms)
        assert kept.fields["emitted"][i] <= kept.fields["taken"][i] <= kept.fields["ready"][i]
    assert (kept.fields["engine"] > 0).all() and (kept.fields["transfer"] == ABSENT).all()
    assert runtime.trace.summary()["stages_ms"]["queue"].n == 10
