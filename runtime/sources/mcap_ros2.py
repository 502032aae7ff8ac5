"""ROS 2 messages of a bag as samples' payloads, decoded by the schema that the bag carries (`ros2msg`, CDR)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge.runtime.capabilities import require_module
from edge.runtime.clock import NS_PER_S
from edge.runtime.errors import SampleError, first_line
from edge.runtime.mcap_layout import PLAYABLE_SOUND
from edge.runtime.sample import Pose, Text, Twist
from edge.runtime.sources.mcap_foxglove import sound
from edge.runtime.sources.mcap_images import compressed_image, raw_image
from edge.runtime.sources.point_fields import PointField, PointLayout, PointReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge.runtime.sample import AudioChunk, Payload, PointCloud
    from edge.runtime.sources.mcap_file import Channel

    Decode = Callable[[memoryview], tuple[int | None, Payload]]

ROS2_KINDS = {
    "sensor_msgs/Image": ("camera",),
    "sensor_msgs/CompressedImage": ("camera",),
    "sensor_msgs/PointCloud2": ("lidar",),
    "audio_common_msgs/AudioDataStamped": ("audio",),
    "audio_common_msgs/AudioData": ("audio",),
    "std_msgs/String": ("text",),
    "geometry_msgs/TwistStamped": ("twist",),
    "geometry_msgs/TwistWithCovarianceStamped": ("twist",),
    "geometry_msgs/PoseStamped": ("pose",),
    "geometry_msgs/PoseWithCovarianceStamped": ("pose",),
    "nav_msgs/Odometry": ("twist", "pose"),
}
AUDIO_INFO, CAMERA_INFO = "audio_common_msgs/AudioInfo", "sensor_msgs/CameraInfo"
_NUMERIC = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_SENT = "the message is malformed: record it again, or leave the topic out"
# What decoding by a schema raises where data and schema do not fit: the package's own errors are not enough.
_MISFITS = (struct.error, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class SoundFormat(NamedTuple):
    """What an AudioInfo message says of the raw bytes beside it."""

    channels: int
    rate_hz: int


def ros2_name(schema: str) -> str:
    """A type's name in its short form: `sensor_msgs/Image` for `sensor_msgs/msg/Image`."""
    return schema.replace("/msg/", "/")


def parser(channel: Channel) -> Callable[[memoryview], Any]:
    """Decodes the messages of a channel into objects with the schema's fields.

    Raises:
        SampleError: It is no CDR with a `ros2msg` schema, or the schema cannot be parsed.
    """
    encoding = channel.schema.encoding if channel.schema else ""
    if (channel.encoding, encoding) != ("cdr", "ros2msg"):
        raise SampleError(
            f"{channel.type} is in '{channel.encoding}' with a schema in '{encoding}', not in cdr with ros2msg",
            "convert the bag with: ros2 bag convert",
        )
    module, errors = require_module("mcap_ros2.decoder"), _errors()
    try:
        decode = module.DecoderFactory().decoder_for(channel.encoding, channel.schema)
    except Exception as error:  # the errors of its schema parser have no other base in common
        raise SampleError(f"the schema of {channel.type} cannot be parsed ({first_line(error)})", _SENT) from error

    def parse(data: memoryview) -> Any:
        try:
            return decode(bytes(data))  # the decoder cuts strings out of it, which views cannot give
        except errors as error:
            raise SampleError(f"it is no {channel.type} ({first_line(error)})", _SENT) from error

    return parse


def _errors() -> tuple[type[Exception], ...]:
    return (*_MISFITS, require_module("mcap.exceptions").McapError)


def ros2_decoder(
    channel: Channel, kind: str, notes: list[str], sound_format: Callable[[], SoundFormat | None]
) -> Decode:
    """Gives the stamp (None where the message has none) and the payload.

    Args:
        channel: Its type must be one of `ROS2_KINDS`.
        kind: Of the stream that is fed; it says which part of an Odometry that is.
        notes: Takes what was decided on the way.
        sound_format: Finds what the bag's AudioInfo says; asked for sound only.

    Raises:
        SampleError: The encoding is not supported, or sound comes without an AudioInfo.
    """
    name, parse, reader = ros2_name(channel.type), parser(channel), PointReader(notes)
    known = sound_format() if kind == "audio" else None
    if kind == "audio" and known is None:
        raise SampleError("there is no AudioInfo message that tells its format", "record the topic audio_info as well")
    payloads: dict[str, Callable[[Any, int], Payload]] = {
        "sensor_msgs/Image": lambda m, _: raw_image(m.encoding, m.width, m.height, m.step, m.data),
        "sensor_msgs/CompressedImage": lambda m, _: compressed_image(m.format, m.data),
        "sensor_msgs/PointCloud2": lambda m, stamp_ns: _cloud(m, stamp_ns, reader),
        "audio_common_msgs/AudioDataStamped": lambda m, _: _sound(m.audio.data, known),
        "audio_common_msgs/AudioData": lambda m, _: _sound(m.data, known),
        "std_msgs/String": lambda m, _: Text(m.data),
    }
    motions: dict[str, Callable[[Any, int], Payload]] = {"twist": _twist, "pose": _pose}
    payload = payloads.get(name) or motions[kind]

    def decode(data: memoryview) -> tuple[int | None, Payload]:
        message = parse(data)
        try:
            stamp_ns = _stamp(message) if hasattr(message, "header") else None
            return stamp_ns, payload(message, stamp_ns or 0)
        except _MISFITS as error:
            raise SampleError(f"it is no usual {channel.type} ({first_line(error)})", _SENT) from error

    return decode


def read_sound_format(channel: Channel, data: memoryview) -> SoundFormat:
    """What an AudioInfo message says.

    Raises:
        SampleError: The sound is compressed or in another format than 16-bit integers.
    """
    info = parser(channel)(data)
    if info.coding_format.lower() != "wave" or info.sample_format != "S16LE":
        raise SampleError(
            f"sound is {info.coding_format} in {info.sample_format}, only wave in S16LE is read",
            "capture it with format:=wave sample_format:=S16LE",
        )
    return SoundFormat(int(info.channels), int(info.sample_rate))


def _stamp(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)


def _cloud(message: Any, stamp_ns: int, reader: PointReader) -> PointCloud:
    unknown = next((f for f in message.fields if f.datatype not in _NUMERIC), None)
    if unknown is not None:
        raise SampleError(f"its field '{unknown.name}' has no known type", _SENT)
    layout = PointLayout(
        {f.name: PointField(f.offset, _NUMERIC[f.datatype], f.count) for f in message.fields},
        message.point_step,
        message.width,
        message.height,
        message.row_step,
        bool(message.is_bigendian),
    )
    return reader.read(layout, message.data, stamp_ns)


def _twist(message: Any, _stamp_ns: int) -> Twist:
    """Of a TwistStamped, or of what holds one beside its covariance; as ROS has it, in the moving frame."""
    twist = getattr(message.twist, "twist", message.twist)
    return Twist(_vector(twist.linear, "xyz"), _vector(twist.angular, "xyz"))


def _pose(message: Any, _stamp_ns: int) -> Pose:
    pose = getattr(message.pose, "pose", message.pose)
    return Pose(_vector(pose.position, "xyz"), _vector(pose.orientation, "xyzw"))


def _vector(message: Any, names: str) -> NDArray[np.float64]:
    return np.array([getattr(message, name) for name in names], np.float64)


def _sound(data: bytes, known: SoundFormat | None) -> AudioChunk:
    assert known is not None  # checked when the decoder was made
    return sound(PLAYABLE_SOUND, known.channels, known.rate_hz, data)
