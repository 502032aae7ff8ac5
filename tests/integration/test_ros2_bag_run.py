"""`edge run` on a ROS 2 bag: topics chosen by hand, the bundle's rig, and a recording of the run that repeats it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edge.cli import app
from edge.runtime.errors import SourceError
from edge.runtime.sample import AudioChunk, Image, PointCloud, Sample
from edge.runtime.sources.simulator import SimulatorSource

rosbag2 = pytest.importorskip("rosbags.rosbag2")
typesys = pytest.importorskip("rosbags.typesys")
pytest.importorskip("mcap_ros2")

pytestmark = pytest.mark.integration

STORE = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
STORE.register(
    {
        **typesys.get_types_from_msg("uint8[] data", "audio_common_msgs/msg/AudioData"),
        **typesys.get_types_from_msg(
            "std_msgs/Header header\naudio_common_msgs/AudioData audio", "audio_common_msgs/msg/AudioDataStamped"
        ),
        **typesys.get_types_from_msg(
            "uint8 channels\nuint32 sample_rate\nstring sample_format\nuint32 bitrate\nstring coding_format",
            "audio_common_msgs/msg/AudioInfo",
        ),
    }
)
T = STORE.types
TOPICS = {"camera": "/front/image_raw", "lidar": "/velodyne_points", "audio": "/audio_stamped"}


def message(sample: Sample) -> Any:
    """What a ROS driver would publish of a simulated sample."""
    seconds, nanos = divmod(max(sample.stamp_ns, 0), 10**9)
    header = T["std_msgs/msg/Header"](stamp=T["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanos), frame_id="a")
    payload = sample.payload
    if isinstance(payload, Image):
        height, width = payload.pixels.shape[:2]
        data = payload.pixels.ravel()
        return T["sensor_msgs/msg/Image"](header, height, width, payload.format, 0, 3 * width, data)
    if isinstance(payload, PointCloud):
        rows = (payload.points * np.array([1, 1, 1, 255], np.float32)).astype(np.float32)
        names = ("x", "y", "z", "intensity")
        fields = [T["sensor_msgs/msg/PointField"](name, 4 * n, 7, 1) for n, name in enumerate(names)]
        data = np.frombuffer(rows.tobytes(), np.uint8)
        return T["sensor_msgs/msg/PointCloud2"](header, 1, len(rows), fields, False, 16, 16 * len(rows), data, True)
    assert isinstance(payload, AudioChunk)
    values = np.clip(payload.samples[0] * 32768, -32768, 32767).astype("<i2")
    sound = T["audio_common_msgs/msg/AudioData"](np.frombuffer(values.tobytes(), np.uint8))
    return T["audio_common_msgs/msg/AudioDataStamped"](header, sound)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of the simulated street as a ROS 2 bag, with a second camera beside."""
    path = tmp_path_factory.mktemp("ros") / "bag"
    with rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP) as writer:
        kinds = {"camera": "sensor_msgs/msg/Image", "lidar": "sensor_msgs/msg/PointCloud2"}
        kinds["audio"] = "audio_common_msgs/msg/AudioDataStamped"
        connections = {s: writer.add_connection(TOPICS[s], kind, typestore=STORE) for s, kind in kinds.items()}
        rear = writer.add_connection("/rear/image_raw", kinds["camera"], typestore=STORE)
        told = writer.add_connection("/audio_info", "audio_common_msgs/msg/AudioInfo", typestore=STORE)
        info = T["audio_common_msgs/msg/AudioInfo"](1, 16_000, "S16LE", 256_000, "wave")
        writer.write(told, 0, STORE.serialize_cdr(info, told.msgtype))
        for sample in SimulatorSource(4, 3.0).samples():
            connection = connections[sample.stream]
            data = STORE.serialize_cdr(message(sample), connection.msgtype)
            writer.write(connection, sample.arrival_ns, data)
            if sample.stream == "camera":
                writer.write(rear, sample.arrival_ns, data)
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["run", *map(str, arguments)])


def test_a_bag_is_fused_with_the_bundles_rig(small_bundle: Path, bag: Path, tmp_path: Path) -> None:
    film, mapped = tmp_path / "film.mcap", ("--map", f"camera={TOPICS['camera']}")
    source = ("--source", f"mcap:{bag}")
    done = run(small_bundle, *source, *mapped, "--record", film, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["runtime"]["completeness"]["all"] > 0.5
    assert report["runtime"]["fused"] >= 28
    notes = "\n".join(report["notes"])
    assert "the rig is that of the bundle small" in notes
    assert "camera is read from /front/image_raw (sensor_msgs/msg/Image), as told" in notes
    assert "lidar is read from /velodyne_points (sensor_msgs/msg/PointCloud2), the only one that fits" in notes
    assert "reflectance is intensity / 255" in notes
    assert "camera from /front/image_raw" in done.output.replace("\n", "")
    assert run(small_bundle, "--source", f"mcap:{film}", "--out", tmp_path / "replay").exit_code == 0
    first, replayed = ((tmp_path / name / "results.jsonl").read_bytes() for name in ("run", "replay"))
    assert first == replayed


def test_a_bag_gives_what_the_source_of_its_messages_gave(small_bundle: Path, bag: Path, tmp_path: Path) -> None:
    """Camera and matching are exact; reflectance and sound went through other number formats."""
    mapped = ("--map", f"camera={TOPICS['camera']}")
    assert run(small_bundle, "--source", f"mcap:{bag}", *mapped, "--out", tmp_path / "bag").exit_code == 0
    assert run(small_bundle, "--source", "sim:seed=4,duration=3", "--out", tmp_path / "sim").exit_code == 0
    names = ("seq", "stamp_ns", "state", "present", "ages_ms", "spread_ms")
    read, made = (
        [{name: json.loads(line)[name] for name in names} for line in text.splitlines()]
        for text in ((tmp_path / name / "results.jsonl").read_text() for name in ("bag", "sim"))
    )
    assert read[3:-3] == made[3:-3]
    assert len(read) > 20


def test_two_cameras_ask_for_a_choice(small_bundle: Path, bag: Path, tmp_path: Path) -> None:
    done = run(small_bundle, "--source", f"mcap:{bag}", "--out", tmp_path / "run")
    assert isinstance(done.exception, SourceError)
    assert "/front/image_raw (sensor_msgs/msg/Image), /rear/image_raw" in str(done.exception)
    assert "--map camera=TOPIC" in str(done.exception)
