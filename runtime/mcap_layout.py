"""What a recording of ours looks like inside: topics, schemas of our own, and the marks that a replay reads.

Samples are standard Foxglove messages, so that any viewer shows them. What those messages cannot say (the stream, the
epoch, the pixel format before JPEG) is metadata of their channel: one channel a stream and epoch. Of each message
`log_time` is the arrival, `publish_time` the stamp (or 0 before time began; the message itself holds the exact one)
and `sequence` the sample's number. The rig is an attachment.
"""

from __future__ import annotations

import json
from typing import Any

FORMAT_VERSION = "1"
RECORDING = "edge.recording"  # the metadata record that tells our files from others
RIG_NAME = "rig.yaml"
STREAM_KEY, EPOCH_KEY, PIXELS_KEY = "edge.stream", "edge.epoch", "edge.pixels"

RESULT_SCHEMA, READING_SCHEMA, ARRAY_SCHEMA = "edge.FusedResult", "edge.Reading", "edge.Array"
RESULT_TOPIC, SCENE_TOPIC, TRANSFORMS_TOPIC = "/fused/result", "/fused/scene", "/tf"
EXACT_SOUND, PLAYABLE_SOUND = "pcm-f32", "pcm-s16"

# The last part of a stream's topics, by the payload's class.
TOPIC_OF = {"Image": "image", "PointCloud": "points", "AudioChunk": "exact", "Reading": "reading", "Text": "text"}


def topic(stream: str, part: str) -> str:
    """The topic of a part of a stream, e.g. `/camera/image`."""
    return f"/{stream}/{part}"


def json_schema(name: str) -> bytes:
    """The JSON schema of one of our own messages; viewers plot and list their fields by it."""
    return json.dumps({"title": name, **_SCHEMAS[name]}, separators=(",", ":")).encode()


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


_NUMBER, _TEXT, _WHOLE = {"type": "number"}, {"type": "string"}, {"type": "integer"}
_TEXTS = {"type": "array", "items": _TEXT}
_BY_NAME = {"type": "object", "additionalProperties": _NUMBER}
_NUMBERS = {"type": "array", "items": _NUMBER}
_FOUND = _object(
    {
        "class": _TEXT,
        "score": _NUMBER,
        "box_px": _NUMBERS,
        "distance_m": _NUMBER,
        "xyz_m": _NUMBERS,
        "frame": _TEXT,
    }
)
_SCHEMAS: dict[str, dict[str, Any]] = {
    RESULT_SCHEMA: _object(
        {
            "seq": _WHOLE,
            "stamp_ns": _WHOLE,
            "state": _TEXT,
            "present": _TEXTS,
            "held": _TEXTS,
            "ages_ms": _BY_NAME,
            "spread_ms": _NUMBER,
            "epochs": _BY_NAME,
            "valid": {"type": "boolean"},
            "reason": _TEXT,
            "level": _TEXT,
            "levels": {"type": "object", "additionalProperties": _TEXT},
            "detections": {"type": "array", "items": _FOUND},
            "events": {"type": "array", "items": _object({"class": _TEXT, "score": _NUMBER})},
            "outputs": {"type": "object", "additionalProperties": _NUMBERS},
        }
    ),
    # Values that are not finite are the words nan, inf and -inf, which JSON has no numbers for.
    READING_SCHEMA: _object(
        {"stamp_ns": _WHOLE, "values": {"type": "object", "additionalProperties": {"type": ["number", "string"]}}}
    ),
    # Payloads of a shape or type that no sensor message holds: faulty samples, kept as they were.
    ARRAY_SCHEMA: _object(
        {
            "stamp_ns": _WHOLE,
            "payload": _TEXT,
            "arrays": {
                "type": "array",
                "items": _object({"dtype": _TEXT, "shape": {"type": "array", "items": _WHOLE}, "base64": _TEXT}),
            },
            "attributes": {"type": "object"},
        }
    ),
}
