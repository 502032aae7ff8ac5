"""Recording: valid standard messages, exact samples, equal bytes, and nothing left of an incomplete run."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edge.runtime.errors import ConfigError, SampleError
from edge.runtime.mcap_layout import RECORDING, RESULT_SCHEMA, RIG_NAME, json_schema
from edge.runtime.result import Decoded, Detection, Event, FusedResult
from edge.runtime.rig import Rig
from edge.runtime.sample import AudioChunk, Image, Payload, PointCloud, Pose, Reading, Sample, Text, Twist
from edge.runtime.simulate.rig import street_rig
from edge.runtime.sinks.mcap_recorder import McapRecorder
from edge.runtime.sinks.mcap_scene import quaternion
from edge.runtime.sources.mcap_source import McapSource

pytest.importorskip("mcap")
pytest.importorskip("foxglove_schemas_protobuf")

FLOATS = st.floats(width=32)  # with NaN, infinities and negative zero
KINDS: dict[type, str] = {
    Image: "camera",
    PointCloud: "lidar",
    AudioChunk: "audio",
    Reading: "weather",
    Text: "log",
    Twist: "wheels",
    Pose: "odometry",
}


def rig_with_table() -> Rig:
    raw = street_rig().model_dump(by_alias=True)
    raw["streams"]["weather"] = {"kind": "table", "rate_hz": 1.0, "fields": ["rain", "wind"]}
    raw["streams"]["log"] = {"kind": "text", "rate_hz": 1.0}
    raw["streams"] |= {"wheels": {"kind": "twist", "rate_hz": 50.0}, "odometry": {"kind": "pose", "rate_hz": 20.0}}
    raw["deskew"] = {"motion": "wheels", "to": "camera"}
    return Rig.model_validate(raw)


def a_result(seq: int = 0, stamp_ns: int = 1_000_000_000, **changed: Any) -> FusedResult:
    car = Detection("car", 0.75, (10.0, 20.0, 50.5, 60.0), 12.5, (12.0, 1.0, 0.5), "base")
    made = FusedResult(
        seq=seq,
        stamp_ns=stamp_ns,
        state="all",
        present=("camera", "lidar"),
        held=(),
        ages_ms={"camera": 80.0, "lidar": 90.0},
        spread_ms=10.0,
        epochs={"camera": 0, "lidar": 0},
        valid=True,
        reason="",
        level="ok",
        levels={"camera": "ok", "lidar": "ok"},
        decoded=Decoded((car,), (Event("siren", 0.9),), {"events": np.array([0.5], np.float32)}),
    )
    return dataclasses.replace(made, **changed)


def record(path: Path, samples: Sequence[Sample], results: Sequence[FusedResult] = (), **options: Any) -> Path:
    recorder = McapRecorder(path, rig_with_table(), **options)
    for sample in samples:
        recorder.add_sample(sample)
    for result in results:
        recorder.write(result)
    recorder.close(complete=True)
    return path


def assert_same(first: Sample, second: Sample) -> None:
    for name in ("stream", "stamp_ns", "arrival_ns", "seq", "epoch"):
        assert getattr(first, name) == getattr(second, name)
    assert type(first.payload) is type(second.payload)
    for item in dataclasses.fields(first.payload):
        mine, theirs = getattr(first.payload, item.name), getattr(second.payload, item.name)
        if isinstance(mine, np.ndarray):
            assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
            exact = not isinstance(first.payload, Reading)  # a NaN's sign is not kept there
            assert mine.tobytes() == theirs.tobytes() if exact else np.array_equal(mine, theirs, equal_nan=True)
        else:
            assert mine == theirs


@st.composite
def images(draw: st.DrawFn) -> Image:
    kind = draw(st.sampled_from(["rgb8", "bgr8", "mono8"]))
    size = draw(st.tuples(st.integers(0, 6), st.integers(0, 7)))
    pixels = draw(hnp.arrays(np.uint8, (*size, 3) if kind != "mono8" else size))
    strided: NDArray[np.uint8] = draw(st.sampled_from([pixels, pixels[::-1, ::2], pixels[1:, 1:]]))
    return Image(strided, kind)  # type: ignore[arg-type]


@st.composite
def clouds(draw: st.DrawFn) -> PointCloud:
    count = draw(st.integers(0, 5))
    times = draw(st.none() | hnp.arrays(np.float32, count, elements=FLOATS))
    return PointCloud(draw(hnp.arrays(np.float32, (count, 4), elements=FLOATS)), times)


@st.composite
def sounds(draw: st.DrawFn) -> AudioChunk:
    shape = draw(st.tuples(st.integers(1, 3), st.integers(0, 9)))
    return AudioChunk(draw(hnp.arrays(np.float32, shape, elements=FLOATS)), draw(st.sampled_from([8000, 44_100])))


readings = hnp.arrays(np.float32, 2, elements=FLOATS).map(lambda v: Reading(v, ("rain", "wind")))
twists = st.builds(Twist, *[hnp.arrays(np.float64, 3)] * 2)
texts = st.builds(Text, st.text(max_size=30))
poses = st.builds(Pose, hnp.arrays(np.float64, 3), hnp.arrays(np.float64, 4))
# What faulty sensors give: other types, shapes and numbers of fields.
garbage = st.sampled_from(
    [
        Image(np.ones((2, 3), np.float64)),
        Image(np.ones((2, 3, 4), np.uint8)),
        PointCloud(np.full((3, 5), np.nan, np.float32)),
        PointCloud(np.ones((3, 4), np.float32), np.ones(2, np.float32)),
        AudioChunk(np.ones(4, np.float32), 8000),
        AudioChunk(np.ones((1, 4), np.int16), 8000),
        Reading(np.ones(3, np.float32), ("rain", "wind")),
        Reading(np.ones(2, np.float32), ("rain", "rain")),
        Text("half of a pair: \ud83d"),
    ]
)
payloads = st.one_of(images(), clouds(), sounds(), readings, texts, twists, poses, garbage)
stamps = st.integers(-(10**18), 2 * 10**18)


@given(st.lists(st.tuples(payloads, stamps, st.integers(0, 3), st.integers(0, 2**32 - 1)), max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_replay_gives_every_sample_as_it_was(parts: list[tuple[Payload, int, int, int]]) -> None:
    samples = [
        Sample(KINDS[type(payload)], stamp_ns, 1_000 * n // 2, seq, payload, epoch)
        for n, (payload, stamp_ns, epoch, seq) in enumerate(parts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        source = McapSource(record(Path(folder) / "run.mcap", samples))
        assert source.rig == rig_with_table()
        replayed = list(source.samples())
    assert len(replayed) == len(samples)
    for mine, theirs in zip(samples, replayed, strict=True):
        assert_same(mine, theirs)


@given(payloads)
@settings(max_examples=20, deadline=None)
def test_equal_input_gives_equal_bytes(payload: Payload) -> None:
    samples = [Sample(KINDS[type(payload)], 5, 10 + n, n, payload) for n in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        files = [record(Path(folder) / f"{n}.mcap", samples, [a_result()]).read_bytes() for n in range(2)]
    assert files[0] == files[1]


def some_samples() -> list[Sample]:
    ns = 1_000_000_000
    return [
        Sample("camera", ns, ns + 10, 0, Image(np.full((4, 6, 3), 7, np.uint8))),
        Sample("lidar", ns, ns + 20, 0, PointCloud(np.ones((3, 4), np.float32), np.zeros(3, np.float32))),
        Sample("audio", ns, ns + 30, 0, AudioChunk(np.array([[0.5, -1.0, 2.0, np.nan]], np.float32), 16_000)),
        Sample("weather", ns, ns + 40, 0, Reading(np.array([0.5, np.inf], np.float32), ("rain", "wind"))),
    ]


def decoded(path: Path) -> dict[str, list[Any]]:
    """Every message as the official packages decode it, by the schema that the file itself carries."""
    from mcap.reader import NonSeekingReader
    from mcap_protobuf.decoder import DecoderFactory

    found: dict[str, list[Any]] = {}
    factory = DecoderFactory()
    with path.open("rb") as file:
        for schema, channel, message in NonSeekingReader(file, validate_crcs=True).iter_messages():
            decode = factory.decoder_for(channel.message_encoding, schema)
            found.setdefault(channel.topic, []).append(decode(message.data) if decode else json.loads(message.data))
    return found


def test_every_message_is_valid_by_its_own_schema(tmp_path: Path) -> None:
    path = record(tmp_path / "run.mcap", some_samples(), [a_result(stamp_ns=1_000_000_000)])
    messages = decoded(path)
    assert sorted(messages) == [
        "/audio/exact",
        "/audio/sound",
        "/camera/annotations",
        "/camera/calibration",
        "/camera/image",
        "/fused/result",
        "/fused/scene",
        "/lidar/points",
        "/tf",
        "/weather/reading",
    ]
    image, cloud = messages["/camera/image"][0], messages["/lidar/points"][0]
    assert (image.width, image.height, image.step, image.encoding, len(image.data)) == (6, 4, 18, "rgb8", 72)
    assert image.timestamp.seconds == 1
    assert [f.name for f in cloud.fields] == ["x", "y", "z", "intensity", "time"]
    assert (cloud.point_stride, len(cloud.data), cloud.pose.orientation.w) == (20, 60, 1)
    sound = messages["/audio/sound"][0]
    assert (sound.format, sound.number_of_channels, sound.sample_rate) == ("pcm-s16", 1, 16_000)
    assert np.frombuffer(sound.data, "<i2").tolist() == [16384, -32768, 32767, 0]
    assert messages["/weather/reading"][0]["values"] == {"rain": 0.5, "wind": "inf"}
    assert messages["/fused/result"][0] == a_result().to_json()


def test_the_schema_of_results_names_every_field_of_a_result() -> None:
    told = json.loads(json_schema(RESULT_SCHEMA))
    result = a_result().to_json()
    assert list(told["properties"]) == list(result)
    assert sorted(told["required"]) == sorted(result)
    found = told["properties"]["detections"]["items"]["properties"]
    assert list(found) == list(result["detections"][0])


def test_detections_are_drawn_on_the_image_that_was_fused(tmp_path: Path) -> None:
    ns, ms = 1_000_000_000, 1_000_000
    frames = [Sample("camera", ns + k * 33 * ms, ns + k * 33 * ms + 9, k, some_samples()[0].payload) for k in range(9)]
    fused = a_result(stamp_ns=ns + 100 * ms, ages_ms={"lidar": 90.0, "camera": 91.0})  # the camera's third, 99 ms
    messages = decoded(record(tmp_path / "run.mcap", frames, [fused]))
    drawn, scene = messages["/camera/annotations"][0], messages["/fused/scene"][0]
    box = drawn.points[0]
    assert box.timestamp.nanos == 99 * ms
    assert [(p.x, p.y) for p in box.points] == [(10, 20), (50.5, 20), (50.5, 60), (10, 60)]
    assert drawn.texts[0].text == "car 0.75 12.5 m"
    place = scene.entities[0].spheres[0].pose.position
    assert (place.x, place.y, place.z, scene.entities[0].frame_id) == (12, 1, 0.5, "base")
    assert scene.deletions[0].type == 1  # what was there before goes


def test_rig_and_lenses_are_told(tmp_path: Path) -> None:
    messages = decoded(record(tmp_path / "run.mcap", some_samples()))
    rig, lens = rig_with_table(), rig_with_table().intrinsics("camera")
    calibration = messages["/camera/calibration"][0]
    assert list(calibration.K) == [lens.fx, 0, lens.cx, 0, lens.fy, lens.cy, 0, 0, 1]
    assert (calibration.distortion_model, len(calibration.D), len(calibration.P)) == ("plumb_bob", 5, 12)
    frames = {t.child_frame_id: t for t in messages["/tf"][0].transforms}
    assert sorted(frames) == sorted(rig.streams)
    T = np.asarray(rig.stream("camera").T_base_from_sensor)
    told = frames["camera"]
    assert (told.translation.x, told.translation.y, told.translation.z) == pytest.approx(tuple(T[:3, 3]))
    assert told.parent_frame_id == "base"
    q = told.rotation
    assert rotation(q.w, q.x, q.y, q.z) == pytest.approx(T[:3, :3], abs=1e-9)


def rotation(w: float, x: float, y: float, z: float) -> NDArray[np.float64]:
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@given(hnp.arrays(np.float64, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_quaternions_give_their_rotation_back(q: NDArray[np.float64]) -> None:
    R = rotation(*(q / np.linalg.norm(q)))
    assert rotation(*quaternion(R)) == pytest.approx(R, abs=1e-7)


def test_times_and_marks_are_where_viewers_and_replays_look(tmp_path: Path) -> None:
    from mcap.reader import make_reader

    samples = [
        *some_samples(),
        dataclasses.replace(some_samples()[0], stamp_ns=-5, arrival_ns=2 * 10**9, seq=9, epoch=2),
    ]
    path = record(tmp_path / "run.mcap", samples, [a_result()], description="a street", simulated=True)
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        rows = {(c.topic, m.sequence): (c.metadata, m) for _, c, m in reader.iter_messages()}
        (rig,) = reader.iter_attachments()
        (about,) = reader.iter_metadata()
    metadata, message = rows["/camera/image", 9]
    assert metadata == {"edge.stream": "camera", "edge.epoch": "2"}
    assert (message.log_time, message.publish_time) == (2 * 10**9, 0)
    ready = 1_000_000_000 + 90 * 1_000_000  # the stamp and the age of the anchor, the lidar
    assert rows["/fused/result", 0][1].log_time == ready
    assert (rig.name, rig.media_type) == (RIG_NAME, "application/yaml")
    assert (about.name, about.metadata) == (
        RECORDING,
        {"description": "a street", "images": "raw", "simulated": "true", "version": "1"},
    )


def test_the_index_tells_what_the_file_holds(tmp_path: Path) -> None:
    """What `mcap doctor` looks at: counts, spans and chunks of the summary against a reading from end to end."""
    from mcap.reader import NonSeekingReader, make_reader

    image = Image(np.random.default_rng(0).integers(0, 255, (700, 900, 3), np.uint8))
    samples = [Sample("camera", n, 2 * n, n, image) for n in range(9)]
    path = record(tmp_path / "run.mcap", samples, [a_result(n, 1_000_000 * n) for n in range(20)])
    with path.open("rb") as file:
        linear = [(m.log_time, c.id) for _, c, m in NonSeekingReader(file, validate_crcs=True).iter_messages()]
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        indexed = [(m.log_time, c.id) for _, c, m in reader.iter_messages()]
        summary = reader.get_summary()
    assert summary is not None
    counted = summary.statistics
    assert counted is not None
    assert sorted(indexed) == sorted(linear)
    assert counted.message_count == len(linear) == sum(counted.channel_message_counts.values())
    assert (counted.message_start_time, counted.message_end_time) == (min(linear)[0], max(linear)[0])
    assert len(summary.chunk_indexes) == counted.chunk_count > 2
    assert all(chunk.compression == "lz4" and chunk.message_index_offsets for chunk in summary.chunk_indexes)


def test_a_blind_result_is_recorded_at_the_newest_arrival(tmp_path: Path) -> None:
    from mcap.reader import make_reader

    blind = a_result(ages_ms={}, present=(), valid=False, state="blind", level="blind", decoded=Decoded())
    path = record(tmp_path / "run.mcap", some_samples(), [blind])
    with path.open("rb") as file:
        times = [m.log_time for _, c, m in make_reader(file).iter_messages(topics=["/fused/result"])]
    assert times == [some_samples()[-1].arrival_ns]


@pytest.mark.parametrize("name", ["arrival_ns", "seq"])
@pytest.mark.parametrize("value", [-1, 2**64])
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, name: str, value: int) -> None:
    changed: dict[str, Any] = {name: value}
    recorder = McapRecorder(tmp_path / "run.mcap", rig_with_table())
    with pytest.raises(SampleError, match=name):
        recorder.add_sample(dataclasses.replace(some_samples()[0], **changed))
    recorder.close(complete=False)
    assert list(tmp_path.iterdir()) == []


def test_an_incomplete_run_leaves_nothing(tmp_path: Path) -> None:
    recorder = McapRecorder(tmp_path / "run.mcap", rig_with_table())
    recorder.add_sample(some_samples()[0])
    assert not (tmp_path / "run.mcap").exists()
    recorder.close(complete=False)
    recorder.close(complete=True)  # too late
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    recorder = McapRecorder(tmp_path / "run.mcap", rig_with_table(), compression="none")
    big = Image(np.zeros((1200, 1200, 3), np.uint8))
    recorder._file.close()
    recorder._file = recorder._writer._Writer__stream = _FullDisk()  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="No space left"):
        for n in range(4):
            recorder.add_sample(Sample("camera", n, n, n, big))
    recorder.close(complete=False)
    assert list(tmp_path.iterdir()) == []


class _FullDisk:
    closed = False

    def write(self, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    def tell(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


def test_an_existing_recording_and_an_unwritable_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run.mcap").write_bytes(b"a drive")
    with pytest.raises(ConfigError, match="exists already"):
        McapRecorder(tmp_path / "run.mcap", rig_with_table())
    with pytest.raises(ConfigError, match="cannot be written"):
        McapRecorder(tmp_path / "run.mcap" / "below.mcap", rig_with_table())


@pytest.mark.parametrize("pixels", ["rgb8", "bgr8", "mono8"])
def test_jpeg_keeps_format_and_nearly_the_colours(tmp_path: Path, pixels: Any) -> None:
    pytest.importorskip("cv2")
    down, across = np.mgrid[0:256:8, 0:256:8].astype(np.uint8)
    image = down if pixels == "mono8" else np.stack([down, across, np.full_like(down, 90)], -1)
    sample = Sample("camera", 1, 2, 3, Image(image, pixels))
    path = record(tmp_path / "run.mcap", [sample], jpeg_quality=95)
    (replayed,) = McapSource(path).samples()
    assert isinstance(replayed.payload, Image)
    assert replayed.payload.format == pixels
    assert np.abs(replayed.payload.pixels.astype(int) - image).mean() < 8
