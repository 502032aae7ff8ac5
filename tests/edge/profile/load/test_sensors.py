"""Synthetic sensors: rates, stamps, arrivals, copies; and the processor time of a thread."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edge.profile.load.config import LoadConfig
from edge.profile.load.sensors import SyntheticSensors, captured, synthetic_sensors
from edge.profile.load.thread_time import thread_cpu_ns
from edge.runtime.clock import NS_PER_S
from edge.runtime.sample import Image
from edge.runtime.synchronize.rig_streams import usual_delay_ns


@pytest.fixture(scope="module")
def sensors() -> SyntheticSensors:
    return synthetic_sensors(LoadConfig(cameras=3, lidars=2))


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
