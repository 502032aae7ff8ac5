"""The simulator as a source: order, rates, stamps, repeatability, and truth for its stamps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pytest

from edge.runtime.clock import NS_PER_S
from edge.runtime.errors import ConfigError, RigError
from edge.runtime.rig import Rig
from edge.runtime.sample import AudioChunk, Image, PointCloud, Sample
from edge.runtime.simulate.microphone import StreetMicrophone
from edge.runtime.simulate.rig import street_rig
from edge.runtime.simulate.street import StreetConfig
from edge.runtime.sources.base import Source
from edge.runtime.sources.simulator import SimulatorSource

DRIVE_S = 4.0


@pytest.fixture(scope="module")
def source() -> SimulatorSource:
    return SimulatorSource(seed=5, duration_s=DRIVE_S)


@pytest.fixture(scope="module")
def samples(source: SimulatorSource) -> list[Sample]:
    return list(source.samples())


def _of(samples: Iterable[Sample], stream: str) -> list[Sample]:
    return [s for s in samples if s.stream == stream]


def _digest(samples: Iterable[Sample]) -> str:
    digest = hashlib.sha256()
    for s in samples:
        digest.update(f"{s.stream} {s.seq} {s.stamp_ns} {s.arrival_ns}".encode())
        match s.payload:
            case Image(pixels=data) | PointCloud(points=data) | AudioChunk(samples=data):
                digest.update(np.ascontiguousarray(data).tobytes())
    return digest.hexdigest()


def test_is_a_source(source: SimulatorSource) -> None:
    checked: Source = source
    assert "simulated" in checked.description
    assert checked.rig == street_rig()


def test_samples_come_in_the_order_of_their_arrival(samples: list[Sample]) -> None:
    arrivals = [s.arrival_ns for s in samples]
    assert arrivals == sorted(arrivals)
    for stream in ("camera", "lidar", "audio"):
        mine = _of(samples, stream)
        assert [s.seq for s in mine] == list(range(len(mine)))
        assert (np.diff([s.stamp_ns for s in mine]) > 0).all()


def test_each_stream_has_its_rate_and_its_own_phase(samples: list[Sample]) -> None:
    for stream, rate in (("camera", 29.97), ("lidar", 10.0), ("audio", 50.0)):
        mine = _of(samples, stream)
        assert len(mine) == pytest.approx(rate * DRIVE_S, abs=1)
        periods = np.diff([s.stamp_ns for s in mine]) / NS_PER_S
        assert periods.mean() == pytest.approx(1 / rate, rel=0.002)
        assert 0.0001 < periods.std() < 0.003
    first = {stream: _of(samples, stream)[0].stamp_ns for stream in ("camera", "lidar")}
    assert first["camera"] != first["lidar"]


def test_transport_takes_its_time_and_a_sweep_ends_first(samples: list[Sample]) -> None:
    for stream, after_stamp_ms in (("camera", 15.0), ("lidar", 50.0 + 30.0), ("audio", 20.0 + 5.0 - 8.0)):
        delay = np.array([s.arrival_ns - s.stamp_ns for s in _of(samples, stream)]) / 1e6
        assert delay.min() > after_stamp_ms - 3.0
        assert after_stamp_ms < delay.mean() < after_stamp_ms + 4.0


def test_a_drive_repeats_byte_for_byte(source: SimulatorSource, samples: list[Sample]) -> None:
    assert _digest(samples) == _digest(source.samples())
    assert _digest(samples) == _digest(SimulatorSource(seed=5, duration_s=DRIVE_S).samples())
    assert _digest(_of(samples, "audio")) != _digest(_of(SimulatorSource(6, 1.0).samples(), "audio"))


def test_audio_chunks_are_cut_from_one_recording(source: SimulatorSource, samples: list[Sample]) -> None:
    chunks = [s.payload.samples for s in _of(samples, "audio") if isinstance(s.payload, AudioChunk)]
    joined = np.concatenate(chunks, 1)
    assert joined.shape == (1, int(DRIVE_S * 16_000))
    whole = StreetMicrophone(source.rig).window(source.street, DRIVE_S, joined.shape[1])
    assert np.array_equal(joined, whole)


def test_audio_stamps_mark_the_first_sample_once_the_offset_is_added(samples: list[Sample]) -> None:
    offset_ns = street_rig().stream("audio").latency_offset_ms * 1e6
    errors = [s.stamp_ns + offset_ns - s.seq * 0.02 * NS_PER_S for s in _of(samples, "audio")]
    assert np.abs(errors).max() < 0.9e6 + 1
    assert np.std(errors) > 1e4


def test_truth_of_a_stamp_matches_the_sweep(source: SimulatorSource, samples: list[Sample]) -> None:
    agreeing, labelled = 0, 0
    camera, lidar = source._sensors.camera, source._sensors.lidar
    for sweep in _of(samples, "lidar")[::4]:
        assert isinstance(sweep.payload, PointCloud)
        truth = source.labels_at(sweep.stamp_ns, (8, 26))
        seen = sweep.payload.points[:, :3] + lidar.origin - camera.origin
        u = (camera.lens.cx - camera.lens.fx * seen[:, 1] / seen[:, 0] + 0.5) // 16
        v = (camera.lens.cy - camera.lens.fy * seen[:, 2] / seen[:, 0] + 0.5) // 16
        for row, column in zip(*np.nonzero(truth.grid.classes), strict=True):
            depths = seen[(u == column) & (v == row), 0]
            if len(depths):
                labelled += 1
                agreeing += int(np.abs(depths / truth.grid.distance_m[row, column] - 1).min() < 0.05)
        assert truth.events.heard.shape == (2,)
    assert labelled > 50
    assert agreeing / labelled > 0.95


def test_bad_input_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be simulated"):
        SimulatorSource(duration_s=0.0)
    with pytest.raises(ConfigError, match="seed"):
        SimulatorSource(seed=-1)
    content = street_rig().model_dump(by_alias=True)
    content["streams"]["lidar"]["stamp"] = "start"
    with pytest.raises(RigError, match="stamps mark 'mid'"):
        SimulatorSource(rig=Rig.model_validate(content))


def test_another_rig_and_config_are_honoured() -> None:
    content = street_rig().model_dump(by_alias=True)
    content["streams"]["camera"]["rate_hz"] = 15.0
    content["streams"]["audio"]["sample_rate_hz"] = 8_000
    config = StreetConfig(night=1.0)
    source = SimulatorSource(1, 1.0, config, Rig.model_validate(content))
    assert source.street.surroundings.night
    found = list(source.samples())
    assert len(_of(found, "camera")) == pytest.approx(15, abs=1)
    chunk = _of(found, "audio")[0].payload
    assert isinstance(chunk, AudioChunk) and chunk.samples.shape == (1, 160)
    assert chunk.rate_hz == 8_000
