"""`edge run` on a real KITTI drive with street sound mixed in: matching, repeatability, real time, and bad input."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly
from typer.testing import CliRunner, Result

from edge.cli import app
from edge.packing.pack import pack_bundle
from edge.runtime.errors import EdgeError
from edge.runtime.manifest import TrainingData

if TYPE_CHECKING:
    from edge.packing.pack import BundleContents

pytestmark = pytest.mark.integration

FRAMES = 78
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def drive(shared_data: Path) -> Path:
    return shared_data / "kitti_raw_0052"


@pytest.fixture(scope="module")
def street(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of street background at the model's rate: shorter than the drive, so it is looped."""
    (recorded,) = (shared_data / "scaper_street" / "background" / "street").glob("*.wav")
    sound, rate = soundfile.read(recorded, frames=5 * 44_100)
    assert rate == 44_100
    path = tmp_path_factory.mktemp("sound") / "street.wav"
    soundfile.write(path, resample_poly(sound, 160, 441), RATE_HZ)
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["run", *map(str, arguments)])


def report_of(out: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((out / "report.json").read_text())
    return loaded


def results_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def test_fuses_every_sweep_in_virtual_time(small_bundle: Path, drive: Path, street: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = run(small_bundle, "--source", f"kitti:{drive}", "--source", f"audio={street}", "--out", out)
    assert done.exit_code == 0, done.output
    figures = report_of(out)["runtime"]
    assert (figures["anchors"], figures["fused"], figures["predicted"]) == (FRAMES, FRAMES, 0)
    assert figures["completeness"] == {"all": 1.0}
    assert figures["dropped"] == {}
    assert figures["time"] == "virtual"
    # The camera trails the lidar by 10.506 ms in this drive (standard deviation 0.076 ms).
    assert figures["offset_ms"]["camera"] == pytest.approx(10.506, abs=0.01)
    assert figures["spread_ms"]["max"] < 11
    assert figures["max_gap_s"] == pytest.approx(0.1035, abs=0.001)
    # Half a sweep, 5 ms of transport and 10 ms of compute time.
    assert figures["age_ms"]["lidar"]["max"] == pytest.approx(51.75 + 5 + 10, abs=0.05)
    assert figures["age_ms"]["lidar"]["p99"] is None
    lines = results_of(out)
    assert [line["seq"] for line in lines] == list(range(FRAMES))
    assert all(line["valid"] and line["present"] == ["camera", "lidar", "audio"] for line in lines)
    assert "real" in figures["source"] and "mixed in" in figures["source"]
    assert any("untrained" in note for note in report_of(out)["notes"])
    assert sorted(p.name for p in out.iterdir()) == ["report.json", "results.jsonl", "run.yaml"]


def test_a_repeated_run_is_the_same_to_the_byte(small_bundle: Path, drive: Path, street: Path, tmp_path: Path) -> None:
    written = []
    for name in ("first", "second"):
        out = tmp_path / name
        done = run(
            small_bundle, "--source", f"kitti:{drive}", "--source", f"audio={street}", "--duration", "4", "--out", out
        )
        assert done.exit_code == 0, done.output
        written.append((out / "results.jsonl").read_bytes())
    assert written[0] == written[1]
    assert b"siren" in written[0] or b"horn" in written[0] or b"car" in written[0]


def test_keeps_up_in_real_time(small_bundle: Path, drive: Path, street: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    sources = ("--source", f"kitti:{drive}", "--source", f"audio={street}")
    done = run(small_bundle, *sources, "--realtime", "--out", out)
    assert done.exit_code == 0, done.output
    figures = report_of(out)["runtime"]
    assert (figures["anchors"], figures["fused"]) == (FRAMES, FRAMES)
    assert figures["dropped"] == {}
    assert figures["completeness"] == {"all": 1.0}
    assert figures["time"] == "wall"
    assert figures["age_ms"]["result"]["max"] <= 103.5, "older than one sweep"
    assert figures["stages_ms"]["total"]["n"] == FRAMES


def test_a_model_of_the_simulator_is_said_to_mean_nothing_here(
    small_contents: BundleContents, drive: Path, tmp_path: Path
) -> None:
    data = TrainingData(kind="simulated", description="streets")
    bundle = pack_bundle(tmp_path / "bundle", dataclasses.replace(small_contents, data=data)).path
    for source, warns in ((f"kitti:{drive}", True), ("sim", False)):
        out = tmp_path / "run"
        assert run(bundle, "--source", source, "--duration", "1", "--out", out).exit_code == 0
        assert any("not meaningful" in note for note in report_of(out)["notes"]) is warns


def test_without_sound_the_state_says_so(small_bundle: Path, drive: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(small_bundle, "--source", f"kitti:{drive}", "--out", out).exit_code == 0
    figures = report_of(out)["runtime"]
    assert figures["completeness"] == {"no_audio": 1.0}
    assert figures["fused"] == FRAMES


def test_an_earlier_run_is_replaced_whole(small_bundle: Path, drive: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for seconds in ("4", "2"):
        done = run(small_bundle, "--source", f"kitti:{drive}", "--duration", seconds, "--out", out)
        assert done.exit_code == 0, done.output
    assert 15 <= len(results_of(out)) <= 20
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".run")] == []


def test_a_fused_run_loads_no_torch(small_bundle: Path, drive: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from edge.cli import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print([name for name in ('torch', 'transformers', 'onnx', 'matplotlib') if name in sys.modules])"
    )
    arguments = ["run", small_bundle, "--source", f"kitti:{drive}", "--duration", "1", "--out", tmp_path / "run"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def _copy_official(drive: Path, to: Path) -> Path:
    """The official part of the drive (ten frames), writable."""
    shutil.copytree(drive / "2011_09_26", to / "2011_09_26", copy_function=shutil.copyfile)
    for path in to.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return to / "2011_09_26"


def _backwards(day: Path) -> None:
    (stamps,) = day.glob("*/velodyne_points/timestamps.txt")
    lines = stamps.read_text().splitlines()
    lines[3], lines[4] = lines[4], lines[3]
    stamps.write_text("\n".join(lines) + "\n")


def _truncated(day: Path) -> None:
    sweep = next(day.glob("*/velodyne_points/data/0000000002.bin"))
    sweep.write_bytes(sweep.read_bytes()[:-7])


def _no_rectified_projection(day: Path) -> None:
    path = day / "calib_cam_to_cam.txt"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("P_rect_02")))


def _no_image(day: Path) -> None:
    next(day.glob("*/image_02/data/0000000004.png")).write_bytes(b"\x89PNG nothing else")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_backwards, "timestamps.txt"),
        (_truncated, "0000000002.bin"),
        (_no_rectified_projection, "P_rect_02"),
        (_no_image, "0000000004.png"),
    ],
)
def test_a_damaged_recording_is_named_and_leaves_nothing(
    small_bundle: Path, drive: Path, tmp_path: Path, harm: Any, message: str
) -> None:
    day = _copy_official(drive, tmp_path / "copy")
    harm(day)
    _expect_refusal(small_bundle, tmp_path, ["--source", f"kitti:{day}"], message)


def _expect_refusal(bundle: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    out = tmp_path / "refused"
    done = run(bundle, *arguments, "--out", out)
    assert isinstance(done.exception, EdgeError), done.output
    assert done.exception.exit_code == 2
    assert message in str(done.exception)
    assert [p.name for p in tmp_path.iterdir() if "refused" in p.name] == []


def test_a_changed_bundle_is_refused(small_bundle: Path, drive: Path, tmp_path: Path) -> None:
    graph = small_bundle / "graph.fp32.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 3] ^= 4
    graph.write_bytes(bytes(content))
    _expect_refusal(small_bundle, tmp_path, ["--source", f"kitti:{drive}"], "graph.fp32.onnx was altered")


def test_a_bundle_with_a_file_more_is_refused(small_bundle: Path, drive: Path, tmp_path: Path) -> None:
    (small_bundle / "notes.txt").write_text("hello")
    _expect_refusal(small_bundle, tmp_path, ["--source", f"kitti:{drive}"], "notes.txt does not belong")


def test_sound_of_another_rate_is_refused(small_bundle: Path, drive: Path, tmp_path: Path) -> None:
    path = tmp_path / "cd.wav"
    soundfile.write(path, np.zeros(44_100, np.float32), 44_100)
    arguments = ["--source", f"kitti:{drive}", "--source", f"audio={path}"]
    _expect_refusal(small_bundle, tmp_path, arguments, "44100")


def test_an_unknown_source_names_the_known(small_bundle: Path, tmp_path: Path) -> None:
    _expect_refusal(small_bundle, tmp_path, ["--source", "kitty:somewhere"], "kitti")


def test_sound_that_the_model_does_not_hear_is_refused(small_bundle: Path, street: Path, tmp_path: Path) -> None:
    _expect_refusal(small_bundle, tmp_path, ["--source", f"radio={street}"], "name it audio=FILE")


def test_sensors_that_fit_no_validated_state_are_refused(small_bundle: Path, street: Path, tmp_path: Path) -> None:
    _expect_refusal(small_bundle, tmp_path, ["--source", f"audio={street}"], "validated for all")


def test_a_folder_with_other_files_is_not_replaced(small_bundle: Path, drive: Path, tmp_path: Path) -> None:
    out = tmp_path / "letters"
    out.mkdir()
    (out / "dear.txt").write_text("dear")
    done = run(small_bundle, "--source", f"kitti:{drive}", "--out", out)
    assert isinstance(done.exception, EdgeError)
    assert (out / "dear.txt").read_text() == "dear"
