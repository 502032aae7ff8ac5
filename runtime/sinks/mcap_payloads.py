"""Samples as messages of a recording: Foxglove's where their schemas hold the payload, our own elsewhere."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge.runtime.capabilities import require_module
from edge.runtime.clock import NS_PER_S
from edge.runtime.mcap_layout import ARRAY_SCHEMA, EXACT_SOUND, PIXELS_KEY, PLAYABLE_SOUND, READING_SCHEMA, TOPIC_OF
from edge.runtime.sample import AudioChunk, Image, PointCloud, Reading, Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.runtime.sample import Payload, Sample

POINT_FIELDS = ("x", "y", "z", "intensity")
TIME_FIELD = "time"  # seconds after the message's stamp, as Velodyne's ROS driver calls it
_CHANNELS = {"rgb8": (3,), "bgr8": (3,), "mono8": ()}
_S16 = 32768.0
_FLOAT32 = 7  # PackedElementField.FLOAT32


class Message(NamedTuple):
    """A payload as it is written.

    Attributes:
        part: Last part of the topic.
        schema: Name of the schema.
        data: Serialized.
        marks: Metadata that the channel needs for a replay.
    """

    part: str
    schema: str
    data: bytes
    marks: tuple[tuple[str, str], ...] = ()


@cache
def foxglove_class(name: str) -> Any:
    """The official protobuf class of a Foxglove schema, e.g. `RawImage`.

    Raises:
        MissingDependencyError: The extra `mcap` is not installed.
    """
    require_module("foxglove_schemas_protobuf")
    return getattr(require_module(f"foxglove_schemas_protobuf.{name}_pb2"), name)


def timestamp(stamp_ns: int) -> Any:
    """A protobuf Timestamp; exact, also before 1970."""
    seconds, nanos = divmod(stamp_ns, NS_PER_S)
    return require_module("google.protobuf.timestamp_pb2").Timestamp(seconds=seconds, nanos=nanos)


def serialized(message: Any) -> bytes:
    """Bytes that are equal for equal messages."""
    return bytes(message.SerializeToString(deterministic=True))


def encode_sample(sample: Sample, jpeg_quality: int | None = None) -> Message:
    """The message that a replay makes the same sample of.

    Args:
        sample: Any; what no Foxglove schema holds becomes an `edge.Array`.
        jpeg_quality: 1..100 compresses images, which are then no longer the same; None keeps them.
    """
    payload, stamp_ns = sample.payload, sample.stamp_ns
    if isinstance(payload, Image) and _is_regular_image(payload):
        image = _raw_image if jpeg_quality is None else _jpeg_image
        return image(sample.stream, stamp_ns, payload, jpeg_quality or 0)
    if isinstance(payload, PointCloud) and _is_regular_cloud(payload):
        return _point_cloud(sample.stream, stamp_ns, payload)
    if isinstance(payload, AudioChunk) and _is_array(payload.samples, 2) and payload.rate_hz > 0:
        sound = np.ascontiguousarray(payload.samples.T)
        return Message(TOPIC_OF["AudioChunk"], "foxglove.RawAudio", _audio(stamp_ns, payload, sound, EXACT_SOUND))
    if isinstance(payload, Reading) and _is_regular_reading(payload):
        return _reading(stamp_ns, payload)
    if isinstance(payload, Text) and _is_regular_text(payload):
        return _log(sample.stream, stamp_ns, payload)
    return _arrays(stamp_ns, payload)


def playable_sound(sample: Sample) -> bytes | None:
    """The sound as 16-bit integers, the only format that viewers play; None where the payload is no sound."""
    payload = sample.payload
    if not isinstance(payload, AudioChunk) or not _is_array(payload.samples, 2) or payload.rate_hz <= 0:
        return None
    audible = np.clip(np.nan_to_num(payload.samples.T, nan=0.0), -1.0, 1.0)
    rounded = np.minimum(np.rint(audible * _S16), _S16 - 1).astype("<i2")
    return _audio(sample.stamp_ns, payload, np.ascontiguousarray(rounded), PLAYABLE_SOUND)


def _is_array(array: Any, dimensions: int) -> bool:
    return isinstance(array, np.ndarray) and array.dtype == np.float32 and array.ndim == dimensions


def _is_regular_image(image: Image) -> bool:
    channels, pixels = _CHANNELS.get(image.format), image.pixels
    return channels is not None and pixels.dtype == np.uint8 and pixels.ndim >= 2 and pixels.shape[2:] == channels


def _is_regular_cloud(cloud: PointCloud) -> bool:
    times = cloud.time_offset_s
    fits = _is_array(cloud.points, 2) and cloud.points.shape[1] == len(POINT_FIELDS)
    return fits and (times is None or (_is_array(times, 1) and len(times) == len(cloud.points)))


def _is_regular_reading(reading: Reading) -> bool:
    fields = reading.fields
    return _is_array(reading.values, 1) and len(fields) == len(reading.values) == len(set(fields))


def _is_regular_text(text: Text) -> bool:
    """Halves of surrogate pairs, which a faulty decoder leaves, have no UTF-8."""
    return isinstance(text.text, str) and not any("\ud800" <= c <= "\udfff" for c in text.text)


def _raw_image(stream: str, stamp_ns: int, image: Image, _quality: int) -> Message:
    height, width = image.pixels.shape[:2]
    message = foxglove_class("RawImage")(
        timestamp=timestamp(stamp_ns),
        frame_id=stream,
        width=width,
        height=height,
        encoding=image.format,
        step=width * (1 if image.format == "mono8" else 3),
        data=image.pixels.tobytes(),
    )
    return Message(TOPIC_OF["Image"], "foxglove.RawImage", serialized(message))


def _jpeg_image(stream: str, stamp_ns: int, image: Image, quality: int) -> Message:
    cv2 = require_module("cv2")
    if not image.pixels.size:  # JPEG has no empty image
        return _raw_image(stream, stamp_ns, image, quality)
    pixels = image.pixels[..., ::-1] if image.format == "rgb8" else image.pixels
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(pixels), [cv2.IMWRITE_JPEG_QUALITY, quality])
    message = foxglove_class("CompressedImage")(
        timestamp=timestamp(stamp_ns), frame_id=stream, data=data.tobytes(), format="jpeg"
    )
    return Message("jpeg", "foxglove.CompressedImage", serialized(message), ((PIXELS_KEY, image.format),))


def _point_cloud(stream: str, stamp_ns: int, cloud: PointCloud) -> Message:
    names: tuple[str, ...] = POINT_FIELDS
    columns: NDArray[np.float32] = cloud.points
    if cloud.time_offset_s is not None:
        names = (*names, TIME_FIELD)
        columns = np.column_stack([cloud.points, cloud.time_offset_s])
    field = foxglove_class("PackedElementField")
    message = foxglove_class("PointCloud")(
        timestamp=timestamp(stamp_ns),
        frame_id=stream,
        pose=foxglove_class("Pose")(
            position=foxglove_class("Vector3")(), orientation=foxglove_class("Quaternion")(w=1.0)
        ),
        point_stride=4 * len(names),
        fields=[field(name=name, offset=4 * i, type=_FLOAT32) for i, name in enumerate(names)],
        data=columns.astype("<f4", copy=False).tobytes(),
    )
    return Message(TOPIC_OF["PointCloud"], "foxglove.PointCloud", serialized(message))


def _audio(stamp_ns: int, chunk: AudioChunk, interleaved: NDArray[Any], kind: str) -> bytes:
    message = foxglove_class("RawAudio")(
        timestamp=timestamp(stamp_ns),
        data=interleaved.astype(interleaved.dtype.newbyteorder("<"), copy=False).tobytes(),
        format=kind,
        sample_rate=chunk.rate_hz,
        number_of_channels=chunk.samples.shape[0],
    )
    return serialized(message)


def _reading(stamp_ns: int, reading: Reading) -> Message:
    numbers = [v if np.isfinite(v) else str(v) for v in map(float, reading.values)]
    content = {"stamp_ns": stamp_ns, "values": dict(zip(reading.fields, numbers, strict=True))}
    return Message(TOPIC_OF["Reading"], READING_SCHEMA, compact_json(content))


def _log(stream: str, stamp_ns: int, text: Text) -> Message:
    kind = foxglove_class("Log")
    message = kind(timestamp=timestamp(stamp_ns), level=kind.Level.Value("INFO"), message=text.text, name=stream)
    return Message(TOPIC_OF["Text"], "foxglove.Log", serialized(message))


def _arrays(stamp_ns: int, payload: Payload) -> Message:
    names = payload.__dataclass_fields__
    values = {name: getattr(payload, name) for name in names}
    arrays = {name: _packed(v) for name, v in values.items() if isinstance(v, np.ndarray)}
    content = {
        "stamp_ns": stamp_ns,
        "payload": type(payload).__name__,
        "arrays": [{"name": name, **packed} for name, packed in arrays.items()],
        "attributes": {name: v for name, v in values.items() if name not in arrays},
    }
    # In ASCII, because text that has no UTF-8 is among what no other schema holds.
    return Message("other", ARRAY_SCHEMA, json.dumps(content, separators=(",", ":"), allow_nan=False).encode())


def _packed(array: NDArray[Any]) -> dict[str, Any]:
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{array.dtype} is no type of a sensor's values")
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    encoded = base64.b64encode(little.tobytes()).decode()
    return {"dtype": little.dtype.str, "shape": list(array.shape), "base64": encoded}


def compact_json(content: Any) -> bytes:
    """JSON on one line, as in `results.jsonl`."""
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
