"""Sound files as a source: stamps, loops, channels, and files that are none."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.errors import SourceError
from edge.runtime.sample import AudioChunk, Sample
from edge.runtime.sources.audio_file import AudioFileSource

soundfile = pytest.importorskip("soundfile")

RATE = 8000
CHUNK = 160  # 20 ms


def write(path: Path, count: int, channels: int = 1, rate_hz: int = RATE) -> NDArray[np.float32]:
    values = np.random.default_rng(count).uniform(-1, 1, (count, channels)).astype(np.float32)
    soundfile.write(path, values, rate_hz, subtype="FLOAT")
    return values


def heard(samples: list[Sample]) -> NDArray[np.float32]:
    chunks = [sample.payload for sample in samples if isinstance(sample.payload, AudioChunk)]
    assert len(chunks) == len(samples)
    return np.concatenate([chunk.samples for chunk in chunks], axis=1)


@pytest.fixture
def street(tmp_path: Path) -> Path:
    return tmp_path / "street.wav"


def test_a_file_is_given_whole(street: Path) -> None:
    values = write(street, 1000)
    source = AudioFileSource(street)
    samples = list(source.samples())
    assert np.array_equal(heard(samples), values.T)
    assert heard(samples).dtype == np.float32
    assert [s.seq for s in samples] == list(range(7))
    assert source.description == "street.wav: mixed in, not recorded with the other sensors"


def test_stamps_mark_the_first_value_and_a_chunk_arrives_after_its_last(street: Path) -> None:
    write(street, 1000)
    samples = list(AudioFileSource(street, start_ns=7_000_000_003).samples())
    assert [s.stamp_ns for s in samples] == [7_000_000_003 + n * 20 * NS_PER_MS for n in range(7)]
    assert {s.arrival_ns - s.stamp_ns for s in samples[:-1]} == {25 * NS_PER_MS}
    assert samples[-1].arrival_ns - samples[-1].stamp_ns == 10 * NS_PER_MS  # 40 values and the transport


def test_stamps_do_not_drift_at_a_rate_that_does_not_divide_a_second(street: Path) -> None:
    write(street, 100, rate_hz=44_101)
    samples = list(AudioFileSource(street, duration_s=30.0).samples())
    chunk = 882
    assert [s.stamp_ns for s in samples] == [n * chunk * NS_PER_S // 44_101 for n in range(len(samples))]


def test_channels_are_averaged(street: Path) -> None:
    values = write(street, 500, channels=2)
    assert np.allclose(heard(list(AudioFileSource(street).samples()))[0], values.mean(axis=1), atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 700), wanted=st.integers(1, 2000))
def test_a_short_file_is_looped_without_a_seam_and_a_long_one_cut(
    tmp_path_factory: pytest.TempPathFactory, length: int, wanted: int
) -> None:
    path = tmp_path_factory.mktemp("loop") / "street.wav"
    values = write(path, length)[:, 0]
    source = AudioFileSource(path, duration_s=wanted / RATE)
    assert np.array_equal(heard(list(source.samples()))[0], np.resize(values, wanted))
    assert ("looped" in source.description) == (wanted > length)


def test_samples_can_be_asked_for_twice(street: Path) -> None:
    write(street, 300)
    source = AudioFileSource(street, duration_s=0.1)
    assert np.array_equal(heard(list(source.samples())), heard(list(source.samples())))


def test_the_rig_has_one_microphone(street: Path) -> None:
    write(street, 300)
    rig = AudioFileSource(street, stream="roof").rig
    assert (rig.anchor, list(rig.streams)) == ("roof", ["roof"])
    stream = rig.stream("roof")
    assert (stream.kind, stream.rate_hz, stream.sample_rate_hz) == ("audio", RATE / CHUNK, RATE)
    assert (stream.clock, stream.stamp, stream.transport_ms) == ("sample-counter", "first-sample", 5.0)


def test_another_rate_is_refused_with_the_command_that_converts(tmp_path: Path) -> None:
    path = tmp_path / "my street.wav"
    write(path, 300, rate_hz=44_100)
    assert AudioFileSource(path, rate_hz=44_100).rig.stream("audio").sample_rate_hz == 44_100
    with pytest.raises(SourceError, match="is at 44100 Hz, 16000 Hz is needed") as caught:
        AudioFileSource(path, rate_hz=16_000)
    out = tmp_path / "my street_16000hz.wav"
    assert f"sox '{path}' -r 16000 -c 1 '{out}'" in caught.value.remedy


def test_files_that_are_no_sound_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no sound file"):
        AudioFileSource(tmp_path / "absent.wav")
    with pytest.raises(SourceError, match="there is no sound file"):
        AudioFileSource(tmp_path)
    path = tmp_path / "text.wav"
    for content in (b"", b"no sound at all " * 20, b"RIFF\0\0\0\0WAVE"):
        path.write_bytes(content)
        with pytest.raises(SourceError, match="no sound file"):
            AudioFileSource(path)
    write(path, 0)
    with pytest.raises(SourceError, match="holds no sound"):
        AudioFileSource(path)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_a_cut_wav_is_refused(street: Path, subtype: str) -> None:
    soundfile.write(street, np.zeros(RATE, np.float32), RATE, subtype=subtype)
    AudioFileSource(street)
    street.write_bytes(street.read_bytes()[:9000])
    with pytest.raises(SourceError, match=r"truncated: \d+ of \d+ bytes"):
        AudioFileSource(street)


def test_a_wav_of_unknown_length_from_a_pipe_is_read_to_its_end(street: Path) -> None:
    soundfile.write(street, np.zeros(RATE, np.float32), RATE, subtype="PCM_16")
    data = bytearray(street.read_bytes())
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    street.write_bytes(data)
    assert heard(list(AudioFileSource(street).samples())).shape == (1, RATE)


def test_a_cut_flac_is_refused_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "street.flac"
    soundfile.write(path, np.random.default_rng(0).normal(size=5 * RATE) * 0.1, RATE)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(SourceError, match="truncated"):
        list(AudioFileSource(path).samples())


@pytest.mark.parametrize("duration_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_duration_must_be_a_length(street: Path, duration_s: float) -> None:
    write(street, 300)
    with pytest.raises(SourceError, match="duration"):
        AudioFileSource(street, duration_s=duration_s)


def test_a_real_street_recording(shared_data: Path) -> None:
    (path,) = (shared_data / "scaper_street" / "background" / "street").glob("*.wav")
    source = AudioFileSource(path, duration_s=3.0)
    samples = list(source.samples())
    expected, rate = soundfile.read(path, frames=3 * 44_100, dtype="float32", always_2d=True)
    assert rate == source.rig.stream("audio").sample_rate_hz == 44_100
    assert np.allclose(heard(samples)[0], expected.mean(axis=1), atol=1e-7)
    assert samples[-1].stamp_ns == 149 * 20 * NS_PER_MS
