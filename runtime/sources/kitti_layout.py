"""Finds a KITTI raw recording on disk, in the official layout or a compact one, and lists its frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from edge.runtime.errors import SourceError
from edge.runtime.sources.kitti_files import (
    AGAIN,
    compact_numbers,
    read_compact_sweep,
    read_image,
    read_oxts,
    read_stamp_table,
    read_sweep,
    read_timestamps,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edge.runtime.sample import Payload

CAMERA, LIDAR, MOTION = "image_02", "velodyne_points", "oxts"
COMPACT_SWEEPS, COMPACT_STAMPS = "velodyne_fov.npz", "timestamps_ns.csv"
_IMAGES = (".jpg", ".png")


class Frame(NamedTuple):
    """One measurement, still on disk."""

    seq: int
    stamp_ns: int
    read: Callable[[], Payload]


class Track(NamedTuple):
    """One stream: its frames in order, and how many the recording dropped."""

    frames: tuple[Frame, ...]
    missing: int


@dataclass(frozen=True, slots=True)
class Recording:
    """A drive.

    Attributes:
        name: For the report.
        layout: For the report.
        calibration: Folder of the calibration files.
        camera: Left colour images.
        lidar: Sweeps.
        motion: Records of the inertial unit; None where the drive holds none.
    """

    name: str
    layout: str
    calibration: Path
    camera: Track
    lidar: Track
    motion: Track | None = None

    @property
    def complete(self) -> int:
        """How many frames have both an image and a sweep."""
        return len({frame.seq for frame in self.camera.frames} & {frame.seq for frame in self.lidar.frames})


def find_recording(folder: Path) -> Recording:
    """The recording in `folder`: a drive, the date folder around one, or what holds that or a compact layout.

    Of an official and a compact layout of one drive, the one with more complete frames is taken.

    Raises:
        SourceError: There is none, or several, or its files do not fit together.
    """
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}", "pass a KITTI raw drive, e.g. 2011_09_26_drive_0052_sync")
    folder = folder.resolve()
    drives = _official_drives(folder)
    if len(drives) > 1:
        names = ", ".join(drive.name for drive in drives[:5])
        raise SourceError(f"{folder} holds {len(drives)} drives ({names})", "pass the folder of one of them")
    found = [read_official(drive) for drive in drives]
    found += [read_compact(compact, drives[0].name if drives else folder.name) for compact in _compact_folders(folder)]
    best = max(found, key=lambda recording: recording.complete, default=None)
    if best is None or not best.complete:
        raise SourceError(
            f"{folder} holds no KITTI raw recording with images and sweeps",
            f"pass a drive folder with {CAMERA}/ and {LIDAR}/",
        )
    return best


def read_official(drive: Path) -> Recording:
    """Lists a drive folder as KITTI publishes it.

    Raises:
        SourceError: Images are not rectified, or stamps are missing, malformed or do not fit the files.
    """
    if drive.name.endswith("_extract"):
        raise SourceError(f"the images in {drive} are not rectified", "download the drive's ..._sync archive")
    camera = _track(drive / CAMERA, _IMAGES, read_image)
    lidar = _track(drive / LIDAR, (".bin",), read_sweep)
    has_motion = (drive / MOTION / "data").is_dir()
    motion = _track(drive / MOTION, (".txt",), read_oxts) if has_motion else None
    return Recording(drive.name.removesuffix("_sync"), "official layout", drive.parent, camera, lidar, motion)


def read_compact(folder: Path, name: str) -> Recording:
    """Lists a compact layout: images, one `.npz` with the points in view, stamps in a table beside the folder.

    Raises:
        SourceError: The stamps are missing or malformed, an array is missing, or there is no calibration.
    """
    table, sweeps = folder.parent / COMPACT_STAMPS, folder / COMPACT_SWEEPS
    camera_stamps, lidar_stamps = read_stamp_table(table, (CAMERA, LIDAR))
    images = {number: partial(read_image, path) for number, path in _numbered(folder / CAMERA, _IMAGES).items()}
    points = {number: partial(read_compact_sweep, sweeps, number) for number in compact_numbers(sweeps)}
    calibration = next(iter(sorted(folder.parent.glob("*/calib_cam_to_cam.txt"))), None)
    if calibration is None:
        raise SourceError(f"{folder.parent} holds no calib_cam_to_cam.txt in a date folder", "copy the calibration too")
    camera, lidar = pair_stamps(camera_stamps, images, table), pair_stamps(lidar_stamps, points, table)
    return Recording(name.removesuffix("_sync"), "compact layout", calibration.parent, camera, lidar)


def pair_stamps(stamps: Sequence[int | None], reads: Mapping[int, Callable[[], Payload]], path: Path) -> Track:
    """Gives each frame with data its stamp.

    A frame's number is the row of its stamp. Some tables have no row for a dropped frame: there are then as many
    stamps as files, and they go together in order.

    Args:
        stamps: By row of the table; None for a dropped frame.
        reads: By frame number, how to read it.
        path: The table, for messages.

    Raises:
        SourceError: A file has no stamp, or stamps go backwards.
    """
    numbers = sorted(reads)
    rows = range(len(stamps)) if len(stamps) == len(numbers) else numbers
    frames = []
    for number, row in zip(numbers, rows, strict=True):
        stamp_ns = stamps[row] if row < len(stamps) else None
        if stamp_ns is None:
            raise SourceError(
                f"{path} has no stamp for frame {number} ({len(numbers)} files, {len(stamps)} lines)",
                "download timestamps and data of the same drive",
            )
        frames.append(Frame(number, stamp_ns, reads[number]))
    for before, after in pairwise(frames):
        if after.stamp_ns <= before.stamp_ns:
            raise SourceError(f"{path}: stamps run backwards at frame {after.seq}", "download the timestamps again")
    spanned = numbers[-1] - numbers[0] + 1 if numbers else 0
    return Track(tuple(frames), max(len(stamps), spanned) - len(numbers))


def _track(folder: Path, suffixes: tuple[str, ...], read: Callable[[Path], Payload]) -> Track:
    table = folder / "timestamps.txt"
    reads = {number: partial(read, path) for number, path in _numbered(folder / "data", suffixes).items()}
    return pair_stamps(read_timestamps(table), reads, table)


def _official_drives(folder: Path) -> list[Path]:
    candidates = [folder, *sorted(folder.glob("*")), *sorted(folder.glob("*/*"))]
    return [path for path in candidates if (path / CAMERA).is_dir() and (path / LIDAR).is_dir()]


def _compact_folders(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"*/{CAMERA}") if (path.parent / COMPACT_SWEEPS).is_file())


def _numbered(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    """Files by the number that is their name; a later suffix wins."""
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}", AGAIN)
    found = (path for suffix in suffixes for path in sorted(folder.glob(f"*{suffix}")))
    return {int(path.stem): path for path in found if path.stem.isdecimal()}
