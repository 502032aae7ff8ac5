"""The words that name sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.runtime.clock import NS_PER_S
from edge.runtime.errors import EdgeError, SourceError
from edge.runtime.sample import PointCloud, Sample
from edge.runtime.simulate.rig import street_rig
from edge.runtime.sinks.mcap_recorder import McapRecorder
from edge.runtime.sources.audio_file import AudioFileSource
from edge.runtime.sources.grammar import FORMS, LEAD_IN_S, open_sources
from edge.runtime.sources.kitti import KittiSource
from edge.runtime.sources.merge import MergedSource
from edge.runtime.sources.simulator import SimulatorSource

soundfile = pytest.importorskip("soundfile")


@pytest.fixture
def street(tmp_path: Path) -> Path:
    path = tmp_path / "street=night.wav"
    soundfile.write(path, np.zeros(8000), 8000)
    return path


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("sim", "seed 0, 20 s"),
        ("sim:", "seed 0, 20 s"),
        ("sim:seed=3,duration=10", "seed 3, 10 s"),
        ("sim:duration=2.5", "seed 0, 2.5 s"),
        ("sim: duration = 2.5 , seed=4", "seed 4, 2.5 s"),
    ],
)
def test_the_simulator_and_its_options(spec: str, said: str) -> None:
    source = open_sources([spec])
    assert isinstance(source, SimulatorSource)
    assert said in source.description


def test_a_duration_is_the_simulators_where_its_options_name_none() -> None:
    assert "seed 0, 4 s" in open_sources(["sim"], duration_s=4.0).description
    assert "seed 0, 7 s" in open_sources(["sim:duration=7"], duration_s=4.0).description


def test_a_sound_file_alone(street: Path) -> None:
    source = open_sources([f"roof={street}"], audio_rate_hz=8000, duration_s=2.5)
    assert isinstance(source, AudioFileSource)
    assert list(source.rig.streams) == ["roof"]
    samples = list(source.samples())
    assert (samples[0].stamp_ns, len(samples)) == (0, 125)
    with pytest.raises(SourceError, match="16000 Hz is needed"):
        open_sources([f"roof={street}"], audio_rate_hz=16_000)


def test_sound_beside_the_simulator_starts_with_it(street: Path) -> None:
    source = open_sources(["sim:duration=0.3", f"roof={street}"], duration_s=0.3)
    assert isinstance(source, MergedSource)
    assert sorted(source.rig.streams) == ["audio", "camera", "lidar", "roof"]
    assert next(s.stamp_ns for s in source.samples() if s.stream == "roof") == 0
    with pytest.raises(SourceError, match="two sources have a stream 'audio'"):
        open_sources(["sim", f"audio={street}"])


@pytest.mark.parametrize("sound_first", [True, False])
def test_sound_beside_a_drive_is_on_its_clock(shared_data: Path, street: Path, sound_first: bool) -> None:
    pytest.importorskip("cv2")
    folder = shared_data / "kitti_raw_0052" / "2011_09_26"
    specs = [f"kitti:{folder}", f"audio={street}"]
    source = open_sources(specs[::-1] if sound_first else specs, duration_s=1.0)
    assert (source.rig.anchor, sorted(source.rig.streams)) == ("lidar", ["audio", "camera", "lidar"])
    assert "street=night.wav looped: mixed in" in source.description
    samples = list(source.samples())
    sound = [s for s in samples if s.stream == "audio"]
    first, last = KittiSource(folder).span_ns
    assert sound[0].stamp_ns == first - round(LEAD_IN_S * NS_PER_S)
    assert 0 <= sound[-1].arrival_ns - last < NS_PER_S // 50
    assert len([s for s in samples if s.stream != "audio"]) == 20
    assert [s.arrival_ns for s in samples] == sorted(s.arrival_ns for s in samples)


def test_sound_beside_a_recording_is_on_its_clock(tmp_path: Path, street: Path) -> None:
    pytest.importorskip("mcap")
    streets = street_rig()
    seen = streets.model_copy(update={"streams": {k: v for k, v in streets.streams.items() if k != "audio"}})
    recorder = McapRecorder(tmp_path / "a.mcap", seen)
    for n in range(5):
        cloud = PointCloud(np.ones((2, 4), np.float32))
        recorder.add_sample(Sample("lidar", n, 50 * NS_PER_S + n * NS_PER_S // 10, n, cloud))
    recorder.close(complete=True)
    source = open_sources([f"mcap:{tmp_path / 'a.mcap'}", f"audio={street}"], audio_rate_hz=8000)
    samples = list(source.samples())
    sound = [s for s in samples if s.stream == "audio"]
    last = max(s.arrival_ns for s in samples if s.stream == "lidar")
    assert sound[0].stamp_ns == 50 * NS_PER_S - round(LEAD_IN_S * NS_PER_S)
    assert 0 <= sound[-1].arrival_ns - last < NS_PER_S // 50
    assert len(samples) - len(sound) == 5


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("simm", "unknown kind 'simm' .did you mean 'sim'"),
        ("kiti:x", "unknown kind 'kiti' .did you mean 'kitti'"),
        ("ros2:", "unknown kind 'ros2'"),
        ("", "unknown kind ''"),
        ("kitti", "names no folder"),
        ("kitti:", "names no folder"),
        ("kitti:/nowhere/at=all", "there is no folder /nowhere/at=all"),
        ("mcap:", "names no file"),
        ("mcap:/nowhere.mcap", "there is no recording /nowhere.mcap"),
        ("mcab:x", "unknown kind 'mcab' .did you mean 'mcap'"),
        ("sim:sed=3", "no option 'sed' .did you mean 'seed'"),
        ("sim:3", "no option '3'"),
        ("sim:seed", "seed has no value"),
        ("sim:seed=", "seed '' is no number"),
        ("sim:seed=1.5", "seed '1.5' is no number"),
        ("sim:duration=long", "duration 'long' is no number"),
        ("sim:duration=nan", "drive of nan s"),
        ("sim:seed=-1", "seed cannot be -1"),
        ("audio=alsa:hw:1", "'alsa:hw:1' is no sound file"),
        ("audio=", "lacks"),
        ("=street.wav", "lacks"),
        ("audio=absent.wav", "there is no sound file absent.wav"),
    ],
)
def test_malformed_words_are_named(spec: str, message: str) -> None:
    with pytest.raises(EdgeError, match=message) as caught:
        open_sources([spec])
    assert caught.value.remedy
    if "unknown" in message:
        assert FORMS in caught.value.remedy


def test_there_must_be_a_word() -> None:
    with pytest.raises(SourceError, match="no source"):
        open_sources([])
