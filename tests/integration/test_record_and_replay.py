"""`edge run --record` and `--source mcap:FILE`: a replay gives the same results to the byte."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from edge.cli import app
from edge.fused_run import Recording, run_bundle
from edge.runtime.bundle import Bundle
from edge.runtime.errors import ConfigError, EdgeError, SourceError
from edge.runtime.faults.grammar import KINDS, parse_fault
from edge.runtime.faults.source import FaultySource
from edge.runtime.rig import Rig
from edge.runtime.sample import AudioChunk, Image, PointCloud, Sample
from edge.runtime.simulate.rig import street_rig
from edge.runtime.sinks.mcap_recorder import McapRecorder
from edge.runtime.sources.mcap_source import McapSource
from edge.runtime.sources.simulator import SimulatorSource

pytest.importorskip("mcap")

pytestmark = pytest.mark.integration


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["run", *map(str, arguments)])


def results(out: Path) -> bytes:
    return (out / "results.jsonl").read_bytes()


def report(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "report.json").read_text())
    return loaded


def test_a_recorded_simulation_replays_to_the_byte(small_bundle: Path, tmp_path: Path) -> None:
    film, again = tmp_path / "run.mcap", tmp_path / "again.mcap"
    arguments = ("--source", "sim:seed=4,duration=4", "--duration", "3")
    for name, extra in (("plain", ()), ("first", ("--record", film)), ("repeated", ("--record", again))):
        done = run(small_bundle, *arguments, "--out", tmp_path / name, *extra)
        assert done.exit_code == 0, done.output
    assert "Recording:" in done.output
    assert results(tmp_path / "first") == results(tmp_path / "plain")
    assert film.read_bytes() == again.read_bytes()
    done = run(small_bundle, "--source", f"mcap:{film}", "--out", tmp_path / "replay")
    assert done.exit_code == 0, done.output
    assert results(tmp_path / "replay") == results(tmp_path / "plain")
    assert len(results(tmp_path / "plain").splitlines()) > 20
    first, replayed = report(tmp_path / "first"), report(tmp_path / "replay")
    assert replayed["runtime"]["dropped"] == first["runtime"]["dropped"]
    assert "recorded from: simulated street, seed 4" in replayed["data"]
    assert replayed["notes"] == first["notes"]  # a recorded simulation is still a simulation


def test_a_recorded_drive_replays_to_the_byte(small_bundle: Path, shared_data: Path, tmp_path: Path) -> None:
    film = tmp_path / "drive.mcap"
    done = run(
        small_bundle,
        *("--source", f"kitti:{shared_data / 'kitti_raw_0052'}", "--duration", "3"),
        *("--record", film, "--out", tmp_path / "first"),
    )
    assert done.exit_code == 0, done.output
    replayed = run(small_bundle, "--source", f"mcap:{film}", "--out", tmp_path / "replay")
    assert replayed.exit_code == 0, replayed.output
    assert results(tmp_path / "replay") == results(tmp_path / "first")
    assert len(results(tmp_path / "first").splitlines()) > 20


def test_a_recording_is_never_replaced(small_bundle: Path, tmp_path: Path) -> None:
    film = tmp_path / "run.mcap"
    film.write_bytes(b"the only copy")
    done = run(small_bundle, "--source", "sim:duration=1", "--record", film, "--out", tmp_path / "run")
    assert isinstance(done.exception, ConfigError)
    assert "exists already" in str(done.exception)
    assert film.read_bytes() == b"the only copy"
    assert not (tmp_path / "run").exists()


def test_a_run_that_fails_leaves_no_recording(small_bundle: Path, tmp_path: Path) -> None:
    broken = tmp_path / "cut.mcap"
    film = tmp_path / "run.mcap"
    assert run(small_bundle, "--source", "sim:duration=2", "--record", film, "--out", tmp_path / "a").exit_code == 0
    content = bytearray(film.read_bytes())
    content[len(content) // 2] ^= 1
    broken.write_bytes(bytes(content))
    done = run(small_bundle, "--source", f"mcap:{broken}", "--record", tmp_path / "new.mcap", "--out", tmp_path / "b")
    assert isinstance(done.exception, SourceError), done.output
    assert sorted(p.name for p in tmp_path.iterdir() if "new" in p.name or p.name.endswith("b")) == []


def test_recording_in_real_time_keeps_every_sample(small_bundle: Path, tmp_path: Path) -> None:
    film = tmp_path / "run.mcap"
    done = run(
        small_bundle, "--source", "sim:seed=4,duration=1", "--realtime", "--record", film, "--out", tmp_path / "run"
    )
    assert done.exit_code == 0, done.output
    expected = [(s.stream, s.seq, s.stamp_ns, s.arrival_ns) for s in SimulatorSource(4, 1.0).samples()]
    assert [(s.stream, s.seq, s.stamp_ns, s.arrival_ns) for s in McapSource(film).samples()] == expected


def test_images_may_be_recorded_as_jpeg(small_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    sizes = []
    for name, extra in (("raw", ()), ("jpeg", ("--record-jpeg", "80"))):
        film = tmp_path / f"{name}.mcap"
        arguments = ("--source", "sim:duration=1", "--record", film, *extra, "--out", tmp_path / name)
        assert run(small_bundle, *arguments).exit_code == 0
        sizes.append(film.stat().st_size)
    assert sizes[1] < sizes[0]
    done = run(small_bundle, "--source", f"mcap:{tmp_path / 'jpeg.mcap'}", "--out", tmp_path / "replay")
    assert done.exit_code == 0, done.output
    states = [report(tmp_path / name)["runtime"]["completeness"] for name in ("jpeg", "replay")]
    assert states[0] == states[1]
    assert any("images were recorded as JPEG" in note for note in report(tmp_path / "replay")["notes"])


def test_a_recording_may_hold_more_than_the_model_reads(small_bundle: Path, tmp_path: Path) -> None:
    """A second microphone and a table: recorded as well, and no obstacle to a replay."""
    film = tmp_path / "more.mcap"
    raw = street_rig().model_dump(by_alias=True)
    raw["streams"]["radio"] = {"kind": "audio", "rate_hz": 10, "sample_rate_hz": 8000}
    recorder = McapRecorder(film, Rig.model_validate(raw))
    for sample in SimulatorSource(4, 1.5).samples():
        recorder.add_sample(sample)
    recorder.add_sample(Sample("radio", 2 * 10**9, 2 * 10**9, 0, AudioChunk(np.ones((1, 8), np.float32), 8000)))
    recorder.close(complete=True)
    again = tmp_path / "again.mcap"
    done = run(small_bundle, "--source", f"mcap:{film}", "--record", again, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert [s.seq for s in McapSource(again).samples() if s.stream == "radio"] == [0]


def test_a_pipeline_that_cannot_be_built_leaves_no_recording(small_bundle: Path, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000), 16_000)
    done = run(
        small_bundle,
        *("--source", f"audio={tmp_path / 'a.wav'}", "--record", tmp_path / "film.mcap", "--out", tmp_path / "run"),
    )
    assert isinstance(done.exception, EdgeError)
    assert "validated for all" in str(done.exception)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.wav", "bundle"]


def harmed(sample: Sample) -> list[Sample]:
    """Faults of every kind, each for a while: a clock step, losses, garbage, doubles and a burst."""
    kind, number, payload = sample.stream, sample.seq, sample.payload
    if kind == "lidar" and 10 <= number < 13 and isinstance(payload, PointCloud):
        return [dataclasses.replace(sample, payload=PointCloud(np.full_like(payload.points, np.nan)))]
    if kind == "lidar" and number >= 20:
        return [dataclasses.replace(sample, stamp_ns=sample.stamp_ns - 5 * 10**9, epoch=1)]
    if kind == "camera" and 30 <= number < 45 and isinstance(payload, Image):
        odd = [np.zeros_like(payload.pixels), payload.pixels[:-1], payload.pixels[..., 0]]
        return [dataclasses.replace(sample, payload=Image(odd[number % 3], payload.format))]
    if kind == "camera" and 60 <= number < 75:
        return []
    if kind == "audio" and number % 40 == 0:
        return [sample, dataclasses.replace(sample, payload=AudioChunk(np.full((1, 3), np.inf, np.float32), 44_100))]
    return [sample]


class HarmedSource:
    """The simulator's street with faults."""

    description = "harmed"

    def __init__(self) -> None:
        self._street = SimulatorSource(4, 4.0)
        self.rig = self._street.rig

    def samples(self) -> Iterator[Sample]:
        return (made for sample in self._street.samples() for made in harmed(sample))


def test_a_run_with_faults_replays_to_the_byte(small_bundle: Path, tmp_path: Path) -> None:
    bundle, film = Bundle.open(small_bundle), tmp_path / "harmed.mcap"
    first = run_bundle(bundle, HarmedSource(), tmp_path / "first", recording=Recording(film))
    second = run_bundle(bundle, McapSource(film), tmp_path / "second")
    assert results(tmp_path / "first") == results(tmp_path / "second")
    assert first.dropped == second.dropped
    assert sum(first.dropped.values()) > 20
    assert {"all", "no_camera"} <= first.completeness.keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--record-jpeg", "80"), "--record-jpeg is given without --record"),
        (("--map", "camera=/a"), "--map and --rig are for MCAP recordings"),
        (("--source", "mcap:x.mcap", "--map", "camera"), "--map camera is not one topic of one stream"),
        (
            ("--source", "mcap:x.mcap", "--map", "camera=/a", "--map", "camera=/b"),
            "--map camera=/b is not one topic of one stream",
        ),
        (("--source", "mcap:x.mcap", "--rig", "absent.yaml"), "absent.yaml"),
    ],
)
def test_malformed_options_are_named(
    small_bundle: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = run(small_bundle, "--source", "sim:duration=1", *arguments, "--out", tmp_path / "run")
    assert isinstance(done.exception, EdgeError), done.output
    assert message in str(done.exception)


def test_another_rig_may_be_named(small_bundle: Path, tmp_path: Path) -> None:
    film, rig = tmp_path / "run.mcap", tmp_path / "rig.yaml"
    assert run(small_bundle, "--source", "sim:duration=2", "--record", film, "--out", tmp_path / "a").exit_code == 0
    raw = street_rig().model_dump(mode="json", by_alias=True)
    raw["streams"]["camera"]["latency_offset_ms"] += 5
    rig.write_text(yaml.safe_dump(raw))
    done = run(small_bundle, "--source", f"mcap:{film}", "--rig", rig, "--out", tmp_path / "b")
    assert done.exit_code == 0, done.output
    assert any(f"the rig is {rig}, as told" in note for note in report(tmp_path / "b")["notes"])
    assert results(tmp_path / "a") != results(tmp_path / "b")


NEEDED = {"late": ",by=50ms", "clock-step": ",by=-5s", "drift": ",ppm=300", "offset": ",by=40ms"}


def test_every_fault_of_the_library_replays_to_the_byte(small_bundle: Path, tmp_path: Path) -> None:
    """Each kind on each stream for 200 ms, one after the other."""
    words = [
        f"{stream}:{kind}@{1000 + 200 * n}ms+200ms{NEEDED.get(kind, '')}"
        for n, kind in enumerate(KINDS)
        for stream in ("camera", "lidar", "audio")
    ]
    bundle, film = Bundle.open(small_bundle), tmp_path / "faults.mcap"
    source = FaultySource(SimulatorSource(4, 1.5 + 0.2 * len(KINDS)), [parse_fault(word) for word in words], seed=3)
    first = run_bundle(bundle, source, tmp_path / "first", recording=Recording(film))
    second = run_bundle(bundle, McapSource(film), tmp_path / "second")
    assert results(tmp_path / "first") == results(tmp_path / "second")
    assert first.dropped == second.dropped
    assert len(first.dropped) > 5
    assert sum(source.hits.values()) > 100
