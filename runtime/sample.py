"""Stamped samples and their payloads: what sources produce and the synchronizer matches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PixelFormat = Literal["rgb8", "bgr8", "mono8"]


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A camera frame: uint8 `[H, W, 3]`, or `[H, W]` for mono8; rows may be strided."""

    pixels: NDArray[np.uint8]
    format: PixelFormat = "rgb8"


@dataclass(frozen=True, slots=True, eq=False)
class PointCloud:
    """A lidar sweep: float32 `[N, 4]` x, y, z in metres (sensor frame) and reflectance 0..1.

    `time_offset_s` (float32 `[N]`) is each point's time relative to the sample's stamp, whatever that marks, where
    the sensor tells and the points were not yet compensated for the motion of the vehicle; otherwise None.
    """

    points: NDArray[np.float32]
    time_offset_s: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AudioChunk:
    """Sound: float32 `[channels, n]` in -1..1; the sample's stamp marks its first value."""

    samples: NDArray[np.float32]
    rate_hz: int


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A row of a table or of a slow sensor: float32 `[fields]`."""

    values: NDArray[np.float32]
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """Words: a report, a caption, a line of a log; the stamp marks when they were written."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The last readings of a table stream, oldest first: float32 `[steps, fields]`; the stamp marks the last."""

    values: NDArray[np.float32]
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Twist:
    """Velocities of the vehicle: float64 `[3]` each, linear in m/s and angular in rad/s.

    Of the base frame and expressed in it; where the rig gives the stream a `T_base_from_sensor`, of that sensor's
    frame and in it, as an inertial unit that stands elsewhere measures.
    """

    linear: NDArray[np.float64]
    angular: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Where the vehicle is in a fixed frame: float64 position `[3]` in metres and unit quaternion `[4]` x, y, z, w.

    The quaternion turns the base frame, or that of the stream's `T_base_from_sensor`, into the fixed one. Only the
    motion from one pose to the next counts, so it must be continuous: odometry, not a position that jumps when a map
    corrects it.
    """

    position: NDArray[np.float64]
    quaternion: NDArray[np.float64]


Payload: TypeAlias = Image | PointCloud | AudioChunk | Reading | Series | Text | Twist | Pose


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One message of one stream.

    Attributes:
        stream: Name of the stream in the rig.
        stamp_ns: When it was measured, on the sensor's clock.
        arrival_ns: When the host had it, on the host's monotonic axis.
        seq: Running number within the stream.
        payload: What was measured.
        epoch: Incremented each time the stream's clock was re-mapped.
    """

    stream: str
    stamp_ns: int
    arrival_ns: int
    seq: int
    payload: Payload
    epoch: int = 0
