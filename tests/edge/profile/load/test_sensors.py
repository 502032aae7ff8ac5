"""Synthetic sensors: rates, stamps, arrivals, copies; and the processor time of a thread."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.packing.pack import pack_bundle
from edge.profile.load.config import LoadConfig
from edge.profile.load.random_payloads import drawn_payloads
from edge.profile.load.sensors import SyntheticSensors, captured, synthetic_sensors
from edge.profile.load.thread_time import thread_cpu_ns
from edge.runtime.clock import NS_PER_S
from edge.runtime.errors import ConfigError
from edge.runtime.model_io import ModelIO
from edge.runtime.rig import Rig
from edge.runtime.sample import Image, Reading, Text
from edge.runtime.synchronize.rig_streams import usual_delay_ns
from tests.runtime.text_bundle import text_contents

if TYPE_CHECKING:
    from pathlib import Path

    from edge.runtime.bundle import Bundle

LENS = {"width": 9, "height": 6, "fx": 9, "fy": 9, "cx": 4, "cy": 3}


@pytest.fixture(scope="module")
def sensors() -> SyntheticSensors:
    return synthetic_sensors(LoadConfig(cameras=3, lidars=2))


@pytest.fixture
def plant(tmp_path: Path) -> Bundle:
    """Reads a reading that leads, a series, and reports."""
    pytest.importorskip("onnx")
    return pack_bundle(tmp_path / "bundle", text_contents())


def test_streams_are_multiplied(sensors: SyntheticSensors) -> None:
    assert sensors.added == ("camera_2", "camera_3", "lidar_2")
    assert sensors.rig.streams.keys() == {"camera", "lidar", "audio", *sensors.added}
    assert sensors.rig.anchor == "lidar"


@pytest.mark.parametrize("factor", [1.0, 2.5])
def test_cameras_and_lidars_rise_and_sound_does_not(sensors: SyntheticSensors, factor: float) -> None:
    rates = {name: stream.rate_hz for name, stream in sensors.rig_at(factor).streams.items()}
    assert rates["lidar_2"] == 10 * factor and rates["camera_3"] == pytest.approx(29.97 * factor)
    assert rates["audio"] == 50
    begin, seconds = 5 * NS_PER_S, 4
    counts = dict.fromkeys(rates, 0)
    for sample in sensors.samples(factor, begin, begin + seconds * NS_PER_S):
        counts[sample.stream] += 1
    for name, rate in rates.items():  # less what has not arrived by the end
        assert rate * seconds - 0.25 * rate - 2 <= counts[name] <= rate * seconds + 1


def test_arrivals_rise_and_follow_their_stamps_by_the_rigs_delay(sensors: SyntheticSensors) -> None:
    rig = sensors.rig_at(2.0)
    arrivals = []
    for sample in sensors.samples(2.0, NS_PER_S, 2 * NS_PER_S):
        stream = rig.stream(sample.stream)
        measured_ns = sample.stamp_ns + round(stream.latency_offset_ms * 1e6)
        assert sample.arrival_ns - measured_ns == usual_delay_ns(stream)
        assert measured_ns >= NS_PER_S
        arrivals.append(sample.arrival_ns)
    assert arrivals == sorted(arrivals) and arrivals[-1] < 2 * NS_PER_S


def test_neighbours_differ_so_that_nothing_looks_frozen(sensors: SyntheticSensors) -> None:
    last: dict[str, object] = {}
    for sample in sensors.samples(1.0, 0, NS_PER_S):
        assert last.get(sample.stream) is not sample.payload
        last[sample.stream] = sample.payload


def test_a_captured_sample_has_memory_of_its_own(sensors: SyntheticSensors) -> None:
    sample = next(s for s in sensors.samples(1.0, 0, NS_PER_S) if s.stream == "camera")
    copy = captured(sample, 77)
    assert isinstance(copy.payload, Image) and isinstance(sample.payload, Image)
    assert copy.arrival_ns == 77 and copy.stamp_ns == sample.stamp_ns
    assert not np.shares_memory(copy.payload.pixels, sample.payload.pixels)
    np.testing.assert_array_equal(copy.payload.pixels, sample.payload.pixels)


def test_another_models_own_sensors_deliver_what_its_rig_says(plant: Bundle) -> None:
    own = synthetic_sensors(LoadConfig(), plant)
    assert own.rig == plant.rig and own.added == ()
    assert len(own.notes) == 1 and "drawn at random" in own.notes[0]
    raised = {name: stream.rate_hz for name, stream in own.rig_at(3.0).streams.items()}
    assert raised == {"speed": 30, "room": 60, "report": 3}
    kinds = {sample.stream: type(sample.payload) for sample in own.samples(1.0, 0, 3 * NS_PER_S)}
    assert kinds == {"speed": Reading, "room": Reading, "report": Text}
    sample = next(s for s in own.samples(1.0, 0, NS_PER_S) if isinstance(s.payload, Reading))
    copy = captured(sample, 5).payload
    assert isinstance(copy, Reading) and isinstance(sample.payload, Reading)
    assert not np.shares_memory(copy.values, sample.payload.values)


def test_a_slow_rig_begins_at_ten_a_second(plant: Bundle) -> None:
    slow = {name: stream.model_copy(update={"rate_hz": 0.5}) for name, stream in plant.rig.streams.items()}
    own = synthetic_sensors(LoadConfig(), replace(plant, rig=plant.rig.model_copy(update={"streams": slow})))
    assert {stream.rate_hz for stream in own.rig.streams.values()} == {10.0}
    assert "Rates of factor 1 are 20 times the rig's, whose anchor is slow." in own.notes


def test_more_of_what_a_rig_has_not_is_refused(plant: Bundle) -> None:
    with pytest.raises(ConfigError, match=r"no camera to have 2 of.*leave --cameras out"):
        synthetic_sensors(LoadConfig(cameras=2), plant)


def test_sound_sets_no_pace(plant: Bundle) -> None:
    sound = {"speed": plant.rig.stream("speed").model_copy(update={"kind": "audio", "sample_rate_hz": 8000})}
    rig = plant.rig.model_copy(update={"streams": {**plant.rig.streams, **sound}})
    with pytest.raises(ConfigError, match="the anchor speed is a stream of kind audio"):
        synthetic_sensors(LoadConfig(), replace(plant, rig=rig))


def test_every_kind_of_stream_has_payloads_of_its_size() -> None:
    streams = {
        "grey": {"kind": "camera", "rate_hz": 10, "intrinsics": LENS},
        "colour": {"kind": "camera", "rate_hz": 10, "intrinsics": LENS},
        "lidar": {"kind": "lidar", "rate_hz": 10, "max_points": 500},
        "sound": {"kind": "audio", "rate_hz": 50, "sample_rate_hz": 8000, "channels": 2},
        "table": {"kind": "table", "rate_hz": 1, "fields": ["a", "unknown"]},
        "words": {"kind": "text", "rate_hz": 1, "max_text_bytes": 40},
        "speed": {"kind": "twist", "rate_hz": 100},
        "place": {"kind": "pose", "rate_hz": 100},
    }
    rig = Rig.model_validate({"schema": 1, "anchor": "grey", "streams": streams})
    values = {"fields": ["a"], "mean": [500], "std": [1]}
    inputs = [
        {"feature": "image", "tensor": "grey", "stream": "grey", "shape": [1, 1, 8, 8], "mean": [0], "std": [1]},
        {"feature": "tensor", "tensor": "t", "stream": "table", "shape": [1, 1], **values},
        {"feature": "present", "streams": ["grey", "table"]},
    ]
    output = {"decoder": "softmax", "tensor": "y", "classes": ["a", "b"]}
    model_io = ModelIO.model_validate({"schema": 1, "inputs": inputs, "outputs": [output]})
    drawn = drawn_payloads(rig, model_io, 3)
    assert {len(bank) for bank in drawn.values()} == {16}
    first: dict[str, Any] = {name: bank[0] for name, bank in drawn.items()}
    assert first["grey"].pixels.shape == (6, 9) and first["colour"].pixels.shape == (6, 9, 3)
    assert first["lidar"].points.shape == (500, 4) and abs(first["lidar"].points[:, :3]).max() <= 60
    assert first["sound"].samples.shape == (2, 160) and abs(first["sound"].samples).max() <= 1
    assert first["table"].fields == ("a", "unknown") and abs(first["table"].values[0] - 500) < 10
    assert len(first["words"].text.encode()) <= 40
    assert first["place"].quaternion[3] == 1 and not first["speed"].linear.any()
    second, again = (made["colour"][i] for made, i in ((drawn, 1), (drawn_payloads(rig, model_io, 3), 0)))
    assert isinstance(again, Image) and isinstance(second, Image)
    assert np.array_equal(again.pixels, first["colour"].pixels) and not np.array_equal(second.pixels, again.pixels)


def test_a_threads_processor_time_is_its_own() -> None:
    found: list[int | None] = []

    def work() -> None:
        sum(k * k for k in range(200_000))
        found.append(thread_cpu_ns(threading.get_native_id()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[0] is not None and found[0] > 0
    assert thread_cpu_ns(2**22 + 1) is None
