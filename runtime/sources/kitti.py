"""KITTI raw recordings as a source: left colour camera, Velodyne and inertial unit, with their recorded stamps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.capabilities import require_module
from edge.runtime.clock import NS_PER_MS
from edge.runtime.errors import SourceError
from edge.runtime.sample import Image, Sample
from edge.runtime.sources.kitti_calibration import kitti_rig, motion_stream
from edge.runtime.sources.kitti_layout import find_recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.runtime.rig import Rig
    from edge.runtime.sources.kitti_layout import Frame

FEWEST_FRAMES = 2
ODOMETRY = "odometry"


class KittiSource:
    """A drive, replayed; streams `camera` and `lidar`, and `odometry` where the drive holds the unit's records.

    Stamps are those of the recording, in nanoseconds since 1970: the lidar's marks the middle of the sweep, when it
    faces ahead and triggers the camera. Arrivals are not recorded: a sweep arrives half a period after its stamp,
    when it is over, an image at its stamp, each plus the transport that the rig declares.

    Its sweeps have no time for each point, so nothing is deskewed by that odometry, also where a bundle asks for it:
    the run's figures then count every sweep as `no_point_times`. The data set's notes say that the sweeps of raw
    drives are as measured, and that only those of its odometry benchmark were compensated.

    Args:
        folder: A drive, the date folder around it, or what holds that or a compact layout.

    Raises:
        SourceError: There is no recording, it is malformed, or its calibration is incomplete.
        MissingDependencyError: OpenCV, which reads the images, is not installed.
    """

    def __init__(self, folder: Path) -> None:
        require_module("cv2")
        self._recording = find_recording(folder)
        self._frames = {"camera": self._recording.camera.frames, "lidar": self._recording.lidar.frames}
        if self._recording.motion is not None:
            self._frames[ODOMETRY] = self._recording.motion.frames
        for name, frames in self._frames.items():
            if len(frames) < FEWEST_FRAMES:
                raise SourceError(f"{folder} holds only {len(frames)} {name} frame", "pass a longer recording")
        rates = [_rate_hz(self._frames[name]) for name in ("lidar", "camera")]
        rig = kitti_rig(self._recording.calibration, *rates)
        if ODOMETRY in self._frames:
            motion = motion_stream(self._recording.calibration, _rate_hz(self._frames[ODOMETRY]))
            rig = rig.model_copy(update={"streams": {**rig.streams, ODOMETRY: motion}})
        self._rig = rig

    @property
    def description(self) -> str:
        """One line for the report."""
        absent = [f"{count} {stream} frames missing" for stream, count in self.missing.items() if count]
        inside = ", ".join([self._recording.layout, f"{self._recording.complete} frames", *absent])
        return f"KITTI raw drive {self._recording.name} ({inside}): {self._real} are real"

    @property
    def _real(self) -> str:
        return "camera, lidar and odometry" if ODOMETRY in self._frames else "camera and lidar"

    @property
    def rig(self) -> Rig:
        """The sensors as calibrated."""
        return self._rig

    @property
    def missing(self) -> dict[str, int]:
        """How many frames the recording dropped, by stream: they have a stamp or a number, but no data."""
        return {"camera": self._recording.camera.missing, "lidar": self._recording.lidar.missing}

    @property
    def span_ns(self) -> tuple[int, int]:
        """The first stamp and the last arrival, of any stream."""
        ends = [frames[-1].stamp_ns + self._delay_ns(stream) for stream, frames in self._frames.items()]
        return min(frames[0].stamp_ns for frames in self._frames.values()), max(ends)

    def samples(self) -> Iterator[Sample]:
        """All samples by arrival, each read from disk when it is asked for.

        Raises:
            SourceError: A file is truncated, unreadable or of another size than calibrated; the message names it.
        """
        due = sorted(
            (frame.stamp_ns + self._delay_ns(stream), stream, frame)
            for stream, frames in self._frames.items()
            for frame in frames
        )
        for arrival_ns, stream, frame in due:
            payload = frame.read()
            if isinstance(payload, Image):
                self._check_size(payload, frame)
            yield Sample(stream, frame.stamp_ns, arrival_ns, frame.seq, payload)

    def _delay_ns(self, stream: str) -> int:
        declared = self._rig.stream(stream)
        sweeping = declared.period_ns // 2 if declared.kind == "lidar" else 0
        return sweeping + round(declared.transport_ms * NS_PER_MS)

    def _check_size(self, image: Image, frame: Frame) -> None:
        lens = self._rig.intrinsics("camera")
        if image.pixels.shape[:2] != (lens.height, lens.width):
            height, width = image.pixels.shape[:2]
            raise SourceError(
                f"image {frame.seq} of {self._recording.name} has {width} x {height} pixels, its calibration says "
                f"{lens.width} x {lens.height}",
                "use the calibration files of the recording's day",
            )


def _rate_hz(frames: Sequence[Frame]) -> float:
    return float(1e9 / np.median(np.diff([frame.stamp_ns for frame in frames])))
