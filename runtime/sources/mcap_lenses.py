"""Whether a recording's own camera calibration agrees with the rig that it is replayed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edge.runtime.errors import SampleError
from edge.runtime.sources.mcap_foxglove import parse_foxglove
from edge.runtime.sources.mcap_ros2 import CAMERA_INFO, parser, ros2_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.runtime.rig import Rig
    from edge.runtime.sources.mcap_file import Channel, McapFile

FOXGLOVE_CALIBRATION = "foxglove.CameraCalibration"
TOLERANCE = 0.01  # of the focal length


class _Lens(NamedTuple):
    width: int
    height: int
    focals: tuple[float, float]  # of the raw and of the rectified image


def lens_notes(file: McapFile, streams: Mapping[str, Sequence[Channel]], rig: Rig) -> list[str]:
    """What differs between the first calibration message of each camera's folder of topics, and the rig."""
    notes = []
    for name, channels in streams.items():
        lens = rig.streams[name].intrinsics
        recorded = _recorded(file, channels[0].topic) if lens else None
        if lens is None or recorded is None:
            continue
        if (recorded.width, recorded.height) != (lens.width, lens.height):
            size = f"{recorded.width} x {recorded.height}"
            notes.append(f"{name} was calibrated for {size} pixels there, the rig is for {lens.width} x {lens.height}")
        elif all(abs(focal / lens.fx - 1) > TOLERANCE for focal in recorded.focals):
            focals = " or ".join(f"{focal:.1f}" for focal in dict.fromkeys(recorded.focals))
            notes.append(f"{name} has a focal length of {focals} pixels there, the rig says {lens.fx:.1f}")
    return notes


def _recorded(file: McapFile, topic: str) -> _Lens | None:
    folder = topic.rpartition("/")[0]
    for channel in file.channels.values():
        if _is_calibration(channel) and channel.topic.rpartition("/")[0] == folder:
            first = next(file.messages([channel.id]), None)
            return None if first is None else _lens(channel, first.data)
    return None


def _is_calibration(channel: Channel) -> bool:
    return channel.type == FOXGLOVE_CALIBRATION or ros2_name(channel.type) == CAMERA_INFO


def _lens(channel: Channel, data: memoryview) -> _Lens | None:
    try:
        if channel.type == FOXGLOVE_CALIBRATION:
            return _of(parse_foxglove("CameraCalibration")(data), "K", "P")
        return _of(parser(channel)(data), "k", "p")
    except (SampleError, AttributeError, IndexError):
        return None  # it only serves for a comparison


def _of(message: Any, raw: str, rectified: str) -> _Lens:
    focals = (getattr(message, raw)[0], getattr(message, rectified)[0])
    return _Lens(message.width, message.height, focals)
