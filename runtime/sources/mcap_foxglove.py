"""Foxglove's messages, and our own, as samples' payloads."""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np

from edge.runtime.capabilities import require_module
from edge.runtime.clock import NS_PER_S
from edge.runtime.errors import SampleError, first_line
from edge.runtime.mcap_layout import ARRAY_SCHEMA, EXACT_SOUND, PIXELS_KEY, PLAYABLE_SOUND, READING_SCHEMA
from edge.runtime.sample import (
    AudioChunk,
    Image,
    Payload,
    PixelFormat,
    PointCloud,
    Pose,
    Reading,
    Series,
    Text,
    Twist,
)
from edge.runtime.sources.mcap_images import compressed_image, raw_image
from edge.runtime.sources.point_fields import PointField, PointLayout, PointReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from edge.runtime.sources.mcap_file import Channel

    Decode = Callable[[memoryview], tuple[int, Payload]]

FOXGLOVE_KINDS = {
    "foxglove.RawImage": "camera",
    "foxglove.CompressedImage": "camera",
    "foxglove.PointCloud": "lidar",
    "foxglove.RawAudio": "audio",
    "foxglove.Log": "text",
}
_NUMERIC = {1: "u1", 2: "i1", 3: "u2", 4: "i2", 5: "u4", 6: "i4", 7: "f4", 8: "f8"}
_PAYLOADS: dict[str, Any] = {c.__name__: c for c in (Image, PointCloud, AudioChunk, Reading, Series, Text, Twist, Pose)}
_OWN_COLUMNS = {16: 4, 20: 5}  # bytes a point -> float32 values
_SENT = "the message is malformed: record it again, or leave the topic out"
_NO_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def own_decoder(channel: Channel) -> Decode:
    """Gives the stamp and the payload of our own samples exactly as they were.

    Raises:
        SampleError: No recorder of ours writes that type.
    """
    if channel.type == "foxglove.PointCloud":
        return _own_cloud
    decoders: dict[str, Decode] = {READING_SCHEMA: _reading, ARRAY_SCHEMA: _arrays}
    return decoders.get(channel.type) or foxglove_decoder(channel, [])


def foxglove_decoder(channel: Channel, notes: list[str]) -> Decode:
    """Gives the stamp and the payload of a standard message.

    Args:
        channel: Its schema must be one of `FOXGLOVE_KINDS`, in protobuf.
        notes: Takes what was decided on the way.

    Raises:
        SampleError: The type or its encoding is not supported.
    """
    if channel.type not in FOXGLOVE_KINDS or channel.encoding != "protobuf":
        raise SampleError(
            f"{channel.type or 'a type without a name'} in {channel.encoding or 'no encoding'} is not supported",
            f"record {', '.join(FOXGLOVE_KINDS)} in protobuf",
        )
    name = channel.type.partition(".")[2]
    parsed = parse_foxglove(name)
    reader = PointReader(notes)
    wanted = cast("PixelFormat", channel.metadata.get(PIXELS_KEY, "bgr8"))
    if wanted not in get_args(PixelFormat):
        raise SampleError(f"its channel names the pixel format '{wanted}'", _SENT)
    payloads: dict[str, Callable[[Any], Payload]] = {
        "RawImage": lambda m: raw_image(m.encoding, m.width, m.height, m.step, m.data),
        "CompressedImage": lambda m: compressed_image(m.format, m.data, wanted),
        "PointCloud": lambda m: _cloud(m, reader),
        "RawAudio": _sound,
        "Log": lambda m: Text(m.message),
    }
    payload = payloads[name]

    def decode(data: memoryview) -> tuple[int, Payload]:
        message = parsed(data)
        return _stamp(message), payload(message)

    return decode


def parse_foxglove(name: str) -> Callable[[memoryview], Any]:
    """Decodes messages of a Foxglove schema; raises SampleError where they are none."""
    from edge.runtime.sinks.mcap_payloads import foxglove_class

    kind, error = foxglove_class(name), require_module("google.protobuf.message").DecodeError

    def parse(data: memoryview) -> Any:
        try:
            message = kind()
            message.ParseFromString(data)
        except error as raised:
            raise SampleError(f"it is no {name} ({first_line(raised)})", _SENT) from raised
        return message

    return parse


def _stamp(message: Any) -> int:
    return int(message.timestamp.seconds) * NS_PER_S + int(message.timestamp.nanos)


def _own_cloud(data: memoryview) -> tuple[int, Payload]:
    message = parse_foxglove("PointCloud")(data)
    columns = _OWN_COLUMNS.get(message.point_stride)
    if columns is None or len(message.data) % message.point_stride:
        raise SampleError(f"{len(message.data)} bytes are no points of {message.point_stride}", _SENT)
    values = np.frombuffer(message.data, "<f4").reshape(-1, columns)
    times = values[:, 4].astype(np.float32) if columns > 4 else None
    return _stamp(message), PointCloud(np.ascontiguousarray(values[:, :4], np.float32), times)


def _cloud(message: Any, reader: PointReader) -> PointCloud:
    unknown = next((f for f in message.fields if f.type not in _NUMERIC), None)
    if unknown is not None:
        raise SampleError(f"its field '{unknown.name}' has no known type", _SENT)
    fields = {f.name: PointField(f.offset, _NUMERIC[f.type]) for f in message.fields}
    step = message.point_stride
    if step < 1 or len(message.data) % step:
        raise SampleError(f"{len(message.data)} bytes are no points of {step}", _SENT)
    layout = PointLayout(fields, step, len(message.data) // step)
    return reader.read(layout, message.data, _stamp(message))


def _sound(message: Any) -> AudioChunk:
    return sound(message.format, message.number_of_channels, message.sample_rate, message.data)


def sound(kind: str, channels: int, rate_hz: int, data: bytes) -> AudioChunk:
    """Interleaved little-endian PCM as sound.

    Raises:
        SampleError: The format is unknown, or the data is no whole number of values.
    """
    formats: dict[str, tuple[str, float]] = {EXACT_SOUND: ("<f4", 1.0), PLAYABLE_SOUND: ("<i2", 32768.0)}
    if kind not in formats:
        raise SampleError(f"sound in '{kind}' is none of {', '.join(formats)}", "record uncompressed sound")
    dtype, full = formats[kind]
    if channels < 1 or rate_hz < 1 or len(data) % (channels * np.dtype(dtype).itemsize):
        raise SampleError(f"{len(data)} bytes are no {channels} channels of {kind} at {rate_hz} Hz", _SENT)
    values: NDArray[np.float32] = np.frombuffer(data, dtype).reshape(-1, channels).T.astype(np.float32)
    return AudioChunk(np.ascontiguousarray(values if full == 1.0 else values / np.float32(full)), rate_hz)


def _json(data: memoryview) -> Mapping[str, Any]:
    try:
        content = json.loads(bytes(data))
    except ValueError as error:
        raise SampleError(f"it is no JSON ({first_line(error)})", _SENT) from error
    if not isinstance(content, dict) or not isinstance(content.get("stamp_ns"), int):
        raise SampleError("it has no stamp_ns", _SENT)
    return content


def _reading(data: memoryview) -> tuple[int, Payload]:
    content = _json(data)
    try:
        values = {str(k): _NO_NUMBERS[v] if isinstance(v, str) else float(v) for k, v in content["values"].items()}
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise SampleError(f"it is no {READING_SCHEMA} ({first_line(error)})", _SENT) from error
    return content["stamp_ns"], Reading(np.array(list(values.values()), np.float32), tuple(values))


def _arrays(data: memoryview) -> tuple[int, Payload]:
    content = _json(data)
    try:
        kind = _PAYLOADS[content["payload"]]
        arrays = {item["name"]: _array(item) for item in content["arrays"]}
        others = {k: tuple(v) if isinstance(v, list) else v for k, v in content["attributes"].items()}
        return content["stamp_ns"], kind(**arrays, **others)
    except (KeyError, AttributeError, TypeError, ValueError, binascii.Error) as error:
        raise SampleError(f"it is no {ARRAY_SCHEMA} ({first_line(error)})", _SENT) from error


def _array(item: Mapping[str, Any]) -> NDArray[Any]:
    dtype = np.dtype(item["dtype"])
    if dtype.kind not in "biuf":
        raise ValueError(f"{dtype} is no type of a sensor's values")
    array: NDArray[Any] = np.frombuffer(base64.b64decode(item["base64"], validate=True), dtype)
    shaped: NDArray[Any] = array.reshape(item["shape"])
    return shaped
