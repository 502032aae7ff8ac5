"""ROS 2 bags in MCAP, written by `rosbags`, which shares no code with what reads them here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.runtime.errors import SourceError
from edge.runtime.rig import Rig, Stream
from edge.runtime.sample import AudioChunk, Image, PointCloud, Pose, Sample, Text, Twist
from edge.runtime.simulate.rig import street_rig
from edge.runtime.sources.mcap_source import McapSource, RecordingOptions

pytest.importorskip("mcap_ros2")
rosbag2 = pytest.importorskip("rosbags.rosbag2")
typesys = pytest.importorskip("rosbags.typesys")

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
STAMP = 1_700_000_000_123_456_789
FIELD_TYPES = {"u1": 2, "u2": 4, "u4": 6, "f4": 7, "f8": 8}


def header(stamp_ns: int = STAMP) -> Any:
    seconds, nanos = divmod(stamp_ns, 10**9)
    time = T["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanos)
    return T["std_msgs/msg/Header"](stamp=time, frame_id="sensor")


def image(pixels: Any, encoding: str = "rgb8", padding: int = 0, **changed: Any) -> Any:
    rows = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    given = {
        "header": header(),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "encoding": encoding,
        "is_bigendian": 0,
        "step": padded.shape[1],
        "data": padded.ravel(),
    }
    return T["sensor_msgs/msg/Image"](**{**given, **changed})


def cloud(rows: Any, **changed: Any) -> Any:
    field = T["sensor_msgs/msg/PointField"]
    fields = [
        field(name=n, offset=offset, datatype=FIELD_TYPES[kind.str[1:]], count=1)
        for n, (kind, offset, *_) in rows.dtype.fields.items()
    ]
    given = {
        "header": header(),
        "height": 1,
        "width": len(rows),
        "fields": fields,
        "is_bigendian": False,
        "point_step": rows.dtype.itemsize,
        "row_step": rows.dtype.itemsize * len(rows),
        "data": np.frombuffer(rows.tobytes(), np.uint8),
        "is_dense": False,
    }
    return T["sensor_msgs/msg/PointCloud2"](**{**given, **changed})


def ouster(count: int = 4) -> Any:
    """The layout of the Ouster driver: x y z with a pad, intensity, t, reflectivity."""
    dtype = np.dtype(
        {
            "names": ["x", "y", "z", "intensity", "t", "reflectivity"],
            "formats": ["<f4", "<f4", "<f4", "<f4", "<u4", "<u2"],
            "offsets": [0, 4, 8, 16, 20, 24],
            "itemsize": 32,
        }
    )
    rows = np.zeros(count, dtype)
    rows["x"], rows["t"], rows["reflectivity"] = np.arange(count), np.arange(count) * 1000, 51
    return rows


def sound(values: Any, stamped: bool = True) -> Any:
    data = T["audio_common_msgs/msg/AudioData"](data=np.frombuffer(np.asarray(values, "<i2").tobytes(), np.uint8))
    return T["audio_common_msgs/msg/AudioDataStamped"](header=header(), audio=data) if stamped else data


def info(**changed: Any) -> Any:
    given = {"channels": 1, "sample_rate": 16_000, "sample_format": "S16LE", "bitrate": 0, "coding_format": "wave"}
    return T["audio_common_msgs/msg/AudioInfo"](**{**given, **changed})


def camera_info(width: int, height: int, focal: float) -> Any:
    roi = T["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return T["sensor_msgs/msg/CameraInfo"](
        header=header(),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array([focal, 0, 1, 0, focal, 1, 0, 0, 1.0]),
        r=np.eye(3).ravel(),
        p=np.array([focal, 0, 1, 0, 0, focal, 1, 0, 0, 0, 1.0, 0]),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def bag(folder: Path, topics: Mapping[str, Any], count: int = 1, period_ns: int = 100_000_000) -> Path:
    """A bag with `count` messages of each topic; they are logged 7 ms after their stamps."""
    path = folder / "bag"
    with rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP) as writer:
        for topic, message in topics.items():
            connection = writer.add_connection(topic, message.__msgtype__, typestore=STORE)
            for n in range(count):
                data = STORE.serialize_cdr(message, message.__msgtype__)
                writer.write(connection, STAMP + 7_000_000 + n * period_ns, data)
    return path


def opened(path: Path, rig: Rig | None = None, /, **topics: str) -> McapSource:
    return McapSource(path, RecordingOptions(topics, rig or street_rig(), "that of the bundle"))


def only(path: Path, **topics: str) -> Sample:
    (sample,) = opened(path, **topics).samples()
    return sample


PIXELS = np.arange(4 * 6 * 4, dtype=np.uint8).reshape(4, 6, 4)


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "channels", "pixels"),
    [
        ("rgb8", 3, "rgb8"),
        ("bgr8", 3, "bgr8"),
        ("8UC3", 3, "bgr8"),
        ("rgba8", 4, "rgb8"),
        ("bgra8", 4, "bgr8"),
        ("mono8", 1, "mono8"),
    ],
)
def test_images(tmp_path: Path, encoding: str, channels: int, pixels: str, padding: int) -> None:
    given = PIXELS[..., 0] if channels == 1 else PIXELS[..., :channels]
    sample = only(bag(tmp_path, {"/front": image(given, encoding, padding)}))
    assert (sample.stream, sample.stamp_ns, sample.arrival_ns, sample.seq) == ("camera", STAMP, STAMP + 7_000_000, 0)
    assert isinstance(sample.payload, Image)
    assert sample.payload.format == pixels
    assert np.array_equal(sample.payload.pixels, given[..., :3] if channels > 1 else given)


def test_compressed_images(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    flat = np.full((8, 8, 3), (10, 100, 200), np.uint8)
    for name, extension, kind in (("jpeg", ".jpg", "rgb8; jpeg compressed bgr8"), ("png", ".png", "png")):
        data = cv2.imencode(extension, flat)[1]
        message = T["sensor_msgs/msg/CompressedImage"](header=header(), format=kind, data=data.ravel())
        (tmp_path / name).mkdir()
        sample = only(bag(tmp_path / name, {"/front/compressed": message}))
        assert isinstance(sample.payload, Image)
        assert sample.payload.format == "bgr8"
        assert np.abs(sample.payload.pixels.astype(int) - flat).max() <= 3


def test_clouds_of_an_ouster(tmp_path: Path) -> None:
    path = bag(tmp_path, {"/points": cloud(ouster())})
    source = opened(path)
    (sample,) = source.samples()
    assert isinstance(sample.payload, PointCloud)
    assert sample.payload.points[:, 0].tolist() == [0, 1, 2, 3]
    assert sample.payload.points[:, 3] == pytest.approx(0.2)
    assert sample.payload.time_offset_s == pytest.approx([0, 1e-6, 2e-6, 3e-6])
    assert any("lidar is read from /points (sensor_msgs/msg/PointCloud2), the only one" in n for n in source.notes)
    assert any("reflectance is reflectivity / 255" in note for note in source.notes)
    assert any("the rig is that of the bundle" in note for note in source.notes)


def test_big_endian_and_organised_clouds(tmp_path: Path) -> None:
    rows = np.zeros(6, [(n, ">f4") for n in "xyz"])
    rows["y"] = np.arange(6)
    message = cloud(rows, is_bigendian=True, height=2, width=3, row_step=36)
    sample = only(bag(tmp_path, {"/points": message}))
    assert isinstance(sample.payload, PointCloud)
    assert sample.payload.points[:, 1].tolist() == list(range(6))
    assert sample.payload.time_offset_s is None


@pytest.mark.parametrize("stamped", [True, False])
def test_sound(tmp_path: Path, stamped: bool) -> None:
    values = np.array([[0, 16384], [-32768, 8192]])  # two moments of two channels
    path = bag(tmp_path, {"/mic": sound(values, stamped), "/mic_info": info(channels=2)})
    sample = only(path)
    assert isinstance(sample.payload, AudioChunk)
    assert sample.payload.rate_hz == 16_000
    assert sample.payload.samples.tolist() == [[0, -1], [0.5, 0.25]]
    # Without a stamp of its own the sound ended when it was logged.
    assert sample.stamp_ns == (STAMP if stamped else STAMP + 7_000_000 - 2 * 10**9 // 16_000)


def test_a_string_is_text_that_was_written_when_it_was_logged(tmp_path: Path) -> None:
    streams = {**street_rig().streams, "report": Stream(kind="text", rate_hz=1)}
    rig = street_rig().model_copy(update={"streams": streams})
    path = bag(tmp_path / "bag", {"/report": T["std_msgs/msg/String"](data="pump is loud")})
    (sample,) = opened(path, rig).samples()
    assert isinstance(sample.payload, Text) and sample.payload.text == "pump is loud"
    assert (sample.stream, sample.stamp_ns) == ("report", sample.arrival_ns)


def moving_rig(kind: str) -> Rig:
    raw = street_rig().model_dump(by_alias=True)
    raw["streams"]["motion"] = {"kind": kind, "rate_hz": 50}
    return Rig.model_validate({**raw, "deskew": {"motion": "motion"}})


def odometry() -> Any:
    vector, covariance = T["geometry_msgs/msg/Vector3"], np.zeros(36)
    turn = T["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.6, w=0.8)
    pose = T["geometry_msgs/msg/Pose"](position=T["geometry_msgs/msg/Point"](x=1.0, y=2.0, z=3.0), orientation=turn)
    twist = T["geometry_msgs/msg/Twist"](linear=vector(x=4.0, y=5.0, z=6.0), angular=vector(x=7.0, y=8.0, z=9.0))
    return T["nav_msgs/msg/Odometry"](
        header=header(),
        child_frame_id="base_link",
        pose=T["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=covariance),
        twist=T["geometry_msgs/msg/TwistWithCovariance"](twist=twist, covariance=covariance),
    )


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("kind", ["twist", "pose"])
def test_motion(tmp_path: Path, kind: str, stamped: bool) -> None:
    whole = odometry()
    twist = T["geometry_msgs/msg/TwistStamped"](header=header(), twist=whole.twist.twist)
    pose = T["geometry_msgs/msg/PoseStamped"](header=header(), pose=whole.pose.pose)
    message = {"twist": twist, "pose": pose}[kind] if stamped else whole
    path = bag(tmp_path, {"/odometry": message, "/points": cloud(ouster())})
    rig = moving_rig(kind)
    source = McapSource(path, RecordingOptions(rig=rig, wanted=("camera", "lidar", "audio")))
    assert source.rig.deskew == rig.deskew is not None
    payload = next(s.payload for s in source.samples() if s.stream == "motion")
    if isinstance(payload, Twist):
        assert (kind, payload.linear.tolist(), payload.angular.tolist()) == ("twist", [4, 5, 6], [7, 8, 9])
    else:
        assert isinstance(payload, Pose)
        assert (kind, payload.position.tolist(), payload.quaternion.tolist()) == ("pose", [1, 2, 3], [0, 0, 0.6, 0.8])


def test_without_motion_sweeps_are_taken_as_they_come(tmp_path: Path) -> None:
    source = opened(bag(tmp_path, {"/points": cloud(ouster())}), moving_rig("twist"))
    assert source.rig.deskew is None
    assert any("taken as they come" in note for note in source.notes)


def test_topics_are_told_or_found(tmp_path: Path) -> None:
    front, rear = image(PIXELS[..., :3]), image(PIXELS[..., :3], "bgr8")
    path = bag(tmp_path, {"/front": front, "/rear": rear, "/points": cloud(ouster())}, count=2)
    with pytest.raises(SourceError, match=r"not clear which topic is camera: /front .*, /rear ") as caught:
        opened(path)
    assert "--map camera=TOPIC" in caught.value.remedy
    source = opened(path, camera="/rear")
    assert [(s.stream, s.seq) for s in source.samples()] == [("camera", 0), ("lidar", 0), ("camera", 1), ("lidar", 1)]
    assert any("camera is read from /rear (sensor_msgs/msg/Image), as told" in n for n in source.notes)
    assert sorted(source.rig.streams) == ["camera", "lidar"]
    assert source.description.endswith("camera from /rear, lidar from /points")
    for told, message in (
        ({"camera": "/fron"}, "has no topic /fron .did you mean /front"),
        ({"camera": "/points"}, "/points is sensor_msgs/msg/PointCloud2, which no camera stream"),
        ({"kamera": "/front"}, "'kamera' that is not wanted"),
    ):
        with pytest.raises(SourceError, match=message):
            opened(path, **told)


def test_two_cameras_must_be_told_apart(tmp_path: Path) -> None:
    raw = street_rig().model_dump(by_alias=True)
    raw["streams"]["rear"] = raw["streams"]["camera"]
    rig = Rig.model_validate(raw)
    path = bag(tmp_path, {"/front": image(PIXELS[..., :3])})
    with pytest.raises(SourceError, match="not clear which topic is camera"):
        opened(path, rig)
    assert sorted(opened(path, rig, rear="/front").rig.streams) == ["rear"]


def test_a_recording_without_the_anchor_gets_another(tmp_path: Path) -> None:
    source = opened(bag(tmp_path, {"/front": image(PIXELS[..., :3])}))
    assert source.rig.anchor == "camera"
    assert any("it has no lidar, so camera sets the pace" in note for note in source.notes)


def test_rates_and_lenses_far_from_the_rig_are_noted(tmp_path: Path) -> None:
    rig = street_rig()
    lens = rig.intrinsics("camera")
    for case, (width, focal, expected) in enumerate(
        [(lens.width, lens.fx, ""), (lens.width + 2, lens.fx, "was calibrated for"), (lens.width, 50.0, "focal length")]
    ):
        folder = tmp_path / str(case)
        folder.mkdir()
        topics = {
            "/cam/image_raw": image(PIXELS[..., :3]),
            "/cam/camera_info": camera_info(width, lens.height, focal),
        }
        notes = opened(bag(folder, topics, count=10, period_ns=500_000_000)).notes
        assert any(f"camera comes at 2.00 Hz, the rig says {rig.stream('camera').rate_hz:.2f} Hz" in n for n in notes)
        assert any("there" in n and expected in n for n in notes if "calibrated" in n or "focal" in n) == bool(expected)


def test_a_bag_needs_a_rig(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="carries no rig of ours") as caught:
        McapSource(bag(tmp_path, {"/front": image(PIXELS[..., :3])}))
    assert "--rig" in caught.value.remedy


def _with(message: Any, **changed: Any) -> Any:
    return dataclasses.replace(message, **changed)


BROKEN: dict[str, tuple[Any, str]] = {
    "image cut": (image(PIXELS[..., :3], data=np.zeros(5, np.uint8)), "need 72 bytes, 5 are there"),
    "image giant": (image(PIXELS[..., :3], width=2**31, height=2**31), "need .* bytes, 72 are there"),
    "image of no step": (image(PIXELS[..., :3], step=0), "in rows of 0 bytes"),
    "image of depth": (image(PIXELS[..., :2], "16UC1"), "encoding '16UC1' is none of rgb8"),
    "image of yuv": (image(PIXELS[..., :2], "yuv422"), "encoding 'yuv422'"),
    "no jpeg": (
        T["sensor_msgs/msg/CompressedImage"](header=header(), format="jpeg", data=np.zeros(9, np.uint8)),
        "9 bytes of 'jpeg' are no image",
    ),
    "depth": (
        T["sensor_msgs/msg/CompressedImage"](
            header=header(), format="16UC1; compressedDepth png", data=np.zeros(9, np.uint8)
        ),
        "compressed depth",
    ),
    "cloud giant": (cloud(ouster(), width=2**31, height=2**31, row_step=2**31), "do not fit|need"),
    "cloud cut": (cloud(ouster(), width=5), "need 160 bytes, 128 are there"),
    "cloud without z": (cloud(np.zeros(2, [("x", "<f4"), ("y", "<f4")])), "no field z"),
    "cloud of step 0": (cloud(ouster(), point_step=0), "do not fit"),
    "sound odd": (
        _with(sound([1]), audio=T["audio_common_msgs/msg/AudioData"](data=np.zeros(3, np.uint8))),
        "no 1 channels",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_malformed_messages_are_named(tmp_path: Path, case: str) -> None:
    message, expected = BROKEN[case]
    path = bag(tmp_path, {"/topic": message, "/audio_info": info()})
    with pytest.raises(SourceError, match=rf"message 0 on /topic cannot be used: .*({expected})") as caught:
        list(opened(path).samples())
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("topics", "message"),
    [
        ({"/mic": sound([1])}, "no AudioInfo message"),
        ({"/mic": sound([1]), "/info": info(coding_format="mp3")}, "sound is mp3 in S16LE"),
        ({"/mic": sound([1]), "/info": info(sample_format="F32LE")}, "wave in F32LE"),
        ({"/info": info()}, "has nothing for camera, lidar, audio: it has /info .audio_common_msgs/msg/AudioInfo"),
    ],
)
def test_topics_that_cannot_be_read_are_named(tmp_path: Path, topics: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        opened(bag(tmp_path, topics))
    assert caught.value.remedy


def test_cut_messages_are_named(tmp_path: Path) -> None:
    """A message cut anywhere is an error of ours, never of the decoder's."""
    mcap_writer = pytest.importorskip("mcap.writer")
    kind = "sensor_msgs/msg/PointCloud2"
    whole = bytes(STORE.serialize_cdr(cloud(ouster()), kind))
    definition = STORE.generate_msgdef(kind)[0].encode()
    for length in range(0, len(whole) - 3, 7):
        path = tmp_path / f"{length}.mcap"
        with path.open("wb") as file:
            writer = mcap_writer.Writer(file)
            writer.start()
            channel = writer.register_channel("/points", "cdr", writer.register_schema(kind, "ros2msg", definition))
            writer.add_message(channel, 1, whole[:length], 1, 0)
            writer.finish()
        with pytest.raises(SourceError, match="message 0 on /points cannot be used"):
            list(opened(path).samples())
