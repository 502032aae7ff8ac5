"""`edge run --record` and `--source mcap:FILE`: a replay gives the same results to the byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from edge.cli import app
from edge.runtime.errors import ConfigError, EdgeError, SourceError
from edge.runtime.simulate.rig import street_rig

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
    from edge.runtime.sources.mcap_source import McapSource
    from edge.runtime.sources.simulator import SimulatorSource

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
    assert (
        report(tmp_path / "replay")["runtime"]["completeness"] == report(tmp_path / "jpeg")["runtime"]["completeness"]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--record-jpeg", "80"), "--record-jpeg is given without --record"),
        (("--map", "camera"), "--map camera is not one topic of one stream"),
        (("--map", "camera=/a", "--map", "camera=/b"), "--map camera=/b is not one topic of one stream"),
        (("--rig", "absent.yaml"), "absent.yaml"),
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
