"""Recordings as a source: Foxglove's messages by other writers, and recordings of ours that were spoilt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.runtime.errors import SourceError
from edge.runtime.mcap_layout import RECORDING, RIG_NAME
from edge.runtime.rig import Stream
from edge.runtime.sample import AudioChunk, Image, PointCloud, Sample, Text
from edge.runtime.simulate.rig import street_rig
from edge.runtime.sinks.mcap_recorder import McapRecorder
from edge.runtime.sources.mcap_source import McapSource, RecordingOptions

mcap_writer = pytest.importorskip("mcap.writer")
protobuf = pytest.importorskip("mcap_protobuf.writer")
pytest.importorskip("foxglove_schemas_protobuf")

from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage  # noqa: E402
from foxglove_schemas_protobuf.Log_pb2 import Log  # noqa: E402
from foxglove_schemas_protobuf.PackedElementField_pb2 import PackedElementField  # noqa: E402
from foxglove_schemas_protobuf.PointCloud_pb2 import PointCloud as FoxgloveCloud  # noqa: E402
from foxglove_schemas_protobuf.RawAudio_pb2 import RawAudio  # noqa: E402
from foxglove_schemas_protobuf.RawImage_pb2 import RawImage  # noqa: E402
from google.protobuf.timestamp_pb2 import Timestamp  # noqa: E402

NOW = Timestamp(seconds=17, nanos=5)
NAMELESS = PackedElementField(name="x", offset=0, type=PackedElementField.UNKNOWN)
OPTIONS = RecordingOptions(rig=street_rig(), rig_name="that of the bundle")


def foreign(path: Path, messages: Sequence[tuple[str, Any]]) -> Path:
    with path.open("wb") as file, protobuf.Writer(file) as writer:
        for n, (topic, message) in enumerate(messages):
            writer.write_message(topic, message, log_time=18_000_000_000 + n, publish_time=0, sequence=7)
    return path


def cloud_message(**changed: Any) -> Any:
    types: dict[str, Any] = {
        "x": PackedElementField.FLOAT64,
        "y": PackedElementField.FLOAT32,
        "z": PackedElementField.INT16,
    }
    types |= {"reflectivity": PackedElementField.UINT8, "t": PackedElementField.UINT32}
    offsets = (0, 8, 12, 14, 16)
    fields = [PackedElementField(name=n, offset=o, type=t) for (n, t), o in zip(types.items(), offsets, strict=True)]
    rows = np.zeros(2, [("x", "<f8"), ("y", "<f4"), ("z", "<i2"), ("reflectivity", "u1"), ("pad", "u1"), ("t", "<u4")])
    rows["x"], rows["z"], rows["reflectivity"], rows["t"] = (1.5, 2.5), (-3, 4), (0, 255), (0, 500)
    given = {"timestamp": NOW, "point_stride": 20, "fields": fields, "data": rows.tobytes()}
    return FoxgloveCloud(**{**given, **changed})


def test_foxglove_messages_by_others(tmp_path: Path) -> None:
    image = RawImage(timestamp=NOW, width=2, height=1, encoding="rgb8", step=8, data=bytes(range(8)))
    sound = RawAudio(
        timestamp=NOW,
        data=np.array([0, 16384], "<i2").tobytes(),
        format="pcm-s16",
        sample_rate=16_000,
        number_of_channels=1,
    )
    path = foreign(tmp_path / "a.mcap", [("/a", image), ("/b", cloud_message()), ("/c", sound), ("/a", image)])
    source = McapSource(path, OPTIONS)
    samples = list(source.samples())
    assert [(s.stream, s.seq, s.stamp_ns, s.epoch) for s in samples] == [
        ("camera", 0, 17_000_000_005, 0),
        ("lidar", 0, 17_000_000_005, 0),
        ("audio", 0, 17_000_000_005, 0),
        ("camera", 1, 17_000_000_005, 0),
    ]
    assert [s.arrival_ns for s in samples] == [18_000_000_000 + n for n in range(4)]
    pixels, points, heard, _ = (s.payload for s in samples)
    assert isinstance(pixels, Image)
    assert pixels.pixels.tolist() == [[[0, 1, 2], [3, 4, 5]]]
    assert isinstance(points, PointCloud)
    assert points.points.tolist() == [[1.5, 0, -3, 0], [2.5, 0, 4, 1]]
    assert points.time_offset_s == pytest.approx([0, 5e-7])
    assert isinstance(heard, AudioChunk)
    assert heard.samples.tolist() == [[0, 0.5]]
    assert not source.simulated


def test_a_log_by_others_is_text(tmp_path: Path) -> None:
    path = foreign(tmp_path / "a.mcap", [("/log", Log(timestamp=NOW, message="pump is loud")), ("/c", cloud_message())])
    streams = {**street_rig().streams, "report": Stream(kind="text", rate_hz=1)}
    rig = street_rig().model_copy(update={"streams": streams})
    text, _ = McapSource(path, RecordingOptions(rig=rig)).samples()
    assert isinstance(text.payload, Text) and text.payload.text == "pump is loud"
    assert (text.stream, text.stamp_ns, text.arrival_ns) == ("report", 17_000_000_005, 18_000_000_000)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (RawImage(width=2, height=1, encoding="rgb8", step=6, data=b"12"), "need 6 bytes, 2 are there"),
        (RawImage(width=2, height=1, encoding="32FC1", step=8, data=bytes(8)), "encoding '32FC1'"),
        (CompressedImage(format="jpeg", data=b""), "0 bytes of 'jpeg'"),
        (cloud_message(point_stride=0), "no points of 0"),
        (cloud_message(data=b"123"), "3 bytes are no points of 20"),
        (
            cloud_message(fields=[PackedElementField(name="x", offset=0, type=PackedElementField.UNKNOWN)]),
            "field 'x' has no known type",
        ),
        (RawAudio(data=b"12", format="opus", sample_rate=8000, number_of_channels=1), "'opus' is none of"),
        (RawAudio(data=b"123", format="pcm-s16", sample_rate=8000, number_of_channels=1), "3 bytes are no 1 channels"),
        (RawAudio(data=b"12", format="pcm-s16", sample_rate=8000), "no 0 channels"),
    ],
)
def test_malformed_messages_are_named(tmp_path: Path, message: Any, expected: str) -> None:
    path = foreign(tmp_path / "a.mcap", [("/topic", message)])
    with pytest.raises(SourceError, match=f"message 7 on /topic cannot be used: .*{expected}") as caught:
        list(McapSource(path, OPTIONS).samples())
    assert caught.value.remedy


def plain(path: Path, topics: Sequence[tuple[str, str, str, bytes]]) -> Path:
    """Topic, type, encoding and content of one message each."""
    with path.open("wb") as file:
        writer = mcap_writer.Writer(file)
        writer.start()
        for n, (topic, kind, encoding, data) in enumerate(topics):
            schema = writer.register_schema(kind, "protobuf" if encoding == "protobuf" else "jsonschema", b"")
            writer.add_message(writer.register_channel(topic, encoding, schema), n, data, n, n)
        writer.finish()
    return path


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        ([], "has nothing for camera, lidar, audio: it has no topic at all"),
        ([("/a", "foxglove.RawImage", "json", b"{}")], "/a cannot be read: foxglove.RawImage in json is not supported"),
        ([("/a", "foxglove.Grid", "protobuf", b"")], "it has /a .foxglove.Grid."),
        ([("/a", "foxglove.RawImage", "protobuf", b"\xff\xff")], "message 0 on /a cannot be used: it is no RawImage"),
        (
            [("/a", "foxglove.RawImage", "protobuf", b""), ("/a", "foxglove.PointCloud", "protobuf", b"")],
            "/a holds two types: foxglove.PointCloud and foxglove.RawImage|not clear",
        ),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, topics: list[tuple[str, str, str, bytes]], expected: str) -> None:
    with pytest.raises(SourceError, match=expected) as caught:
        list(McapSource(plain(tmp_path / "a.mcap", topics), OPTIONS).samples())
    assert caught.value.remedy


def a_recording(path: Path) -> Path:
    recorder = McapRecorder(path, street_rig(), description="a street", compression="none")
    for n in range(3):
        recorder.add_sample(Sample("lidar", n, n, n, PointCloud(np.ones((2, 4), np.float32))))
    recorder.close(complete=True)
    return path


def spoilt(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The same recording with other metadata, attachments or messages, written by the official package."""
    from mcap.reader import make_reader

    with a_recording(path).open("rb") as file:
        reader = make_reader(file)
        parts: dict[str, Any] = {
            "metadata": {m.name: m.metadata for m in reader.iter_metadata()},
            "attachments": {a.name: a.data for a in reader.iter_attachments()},
            "messages": [[s.name, c.topic, dict(c.metadata), m.data] for s, c, m in reader.iter_messages()],
        }
    change(parts)
    with path.open("wb") as file:
        writer = mcap_writer.Writer(file)
        writer.start()
        for name, values in parts["metadata"].items():
            writer.add_metadata(name, values)
        for name, data in parts["attachments"].items():
            writer.add_attachment(0, 0, name, "application/yaml", data)
        for n, (schema, topic, marks, data) in enumerate(parts["messages"]):
            number = writer.register_schema(schema, "protobuf", b"")
            writer.add_message(writer.register_channel(topic, "protobuf", number, marks), n, data, n, n)
        writer.finish()
    return path


def _points(parts: dict[str, Any]) -> list[Any]:
    return [message for message in parts["messages"] if message[0] == "foxglove.PointCloud"]


SPOILT: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "other version": (lambda p: p["metadata"][RECORDING].update(version="9"), "is a recording of version 9"),
    "no rig": (lambda p: p["attachments"].clear(), "has lost its attachment rig.yaml"),
    "rig is no rig": (lambda p: p["attachments"].update({RIG_NAME: b"anchor: lidar"}), "the rig in .* is not valid"),
    "rig is no yaml": (lambda p: p["attachments"].update({RIG_NAME: b"\t- ]["}), "the rig in .* is not valid"),
    "rig runs code": (
        lambda p: p["attachments"].update({RIG_NAME: b"!!python/object/apply:os.system [exit]"}),
        "the rig in .* is not valid",
    ),
    "epoch is no number": (lambda p: _points(p)[0][2].update({"edge.epoch": "soon"}), "cannot be read"),
    "points cut": (
        lambda p: _points(p)[0].__setitem__(3, cloud_message(point_stride=16, data=b"123").SerializeToString()),
        "3 bytes are no points of 16",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_recording_is_refused_with_its_cause(tmp_path: Path, case: str) -> None:
    change, expected = SPOILT[case]
    path = spoilt(tmp_path / "a.mcap", change)
    with pytest.raises(SourceError, match=expected) as caught:
        list(McapSource(path).samples())
    assert caught.value.remedy


def test_a_recording_rewritten_by_the_official_package_is_the_same(tmp_path: Path) -> None:
    first = list(McapSource(a_recording(tmp_path / "a.mcap")).samples())
    second = list(McapSource(spoilt(tmp_path / "b.mcap", lambda _: None)).samples())
    assert len(first) == len(second) == 3
    assert [s.stamp_ns for s in first] == [s.stamp_ns for s in second]


def test_a_topic_for_a_stream_that_our_recording_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    path = a_recording(tmp_path / "a.mcap")
    with pytest.raises(SourceError, match=r"names a stream 'radar' .*\(streams are audio, camera, lidar\)"):
        McapSource(path, RecordingOptions({"radar": "/lidar/points"}))


def test_a_topic_of_our_own_may_be_told(tmp_path: Path) -> None:
    path = a_recording(tmp_path / "a.mcap")
    raw = street_rig().model_dump(by_alias=True)
    raw["streams"]["roof"] = raw["streams"].pop("lidar")
    raw["anchor"] = "roof"
    rig = type(street_rig()).model_validate(raw)
    options = RecordingOptions({"roof": "/lidar/points"}, rig, "rig.yaml", rig_is_told=True)
    assert [s.stream for s in McapSource(path, options).samples()] == ["roof"] * 3


@pytest.mark.parametrize(
    ("encoding", "schema", "definition", "message"),
    [
        ("cdr", "ros2idl", b"module a {};", "with a schema in 'ros2idl'"),
        ("ros1", "ros1msg", b"", "is in 'ros1'"),
        ("cdr", "ros2msg", b"uint8 ][ x", "cannot be parsed|no usual"),
        ("cdr", "ros2msg", b"uint8 a", "no usual|it is no sensor_msgs/msg/Image"),
    ],
)
def test_ros_encodings_that_are_not_supported_are_named(
    tmp_path: Path, encoding: str, schema: str, definition: bytes, message: str
) -> None:
    with (tmp_path / "a.mcap").open("wb") as file:
        writer = mcap_writer.Writer(file)
        writer.start()
        number = writer.register_schema("sensor_msgs/msg/Image", schema, definition)
        channel = writer.register_channel("/front", encoding, number)
        writer.add_message(channel, 1, b"\0\1\0\0\5", 1, 0)
        writer.finish()
    with pytest.raises(SourceError, match=message) as caught:
        list(McapSource(tmp_path / "a.mcap", OPTIONS).samples())
    assert caught.value.remedy
