"""Reads single files of KITTI raw recordings: stamps, sweeps, images and records of motion."""

from __future__ import annotations

import calendar
import csv
import re
import zipfile
import zlib
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.capabilities import require_module
from edge.runtime.clock import NS_PER_S
from edge.runtime.errors import SourceError
from edge.runtime.sample import Image, PointCloud, Twist

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

POINT_BYTES = 16  # x, y, z and reflectance as little-endian float32
OXTS_FIELDS = 30  # the data set's `dataformat.txt`
LIMIT_SWEEP_BYTES = 64 << 20
AGAIN = "download the drive again"
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,9}))?")
_ENDINGS = {".png": b"IEND", ".jpg": b"\xff\xd9"}
_READ_ERRORS = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def read_timestamps(path: Path) -> list[int | None]:
    """Nanoseconds since 1970 by line of a `timestamps.txt`, exact; None where a line is blank.

    Raises:
        SourceError: The file is missing or a line is no stamp.
    """
    try:
        lines = path.read_text(encoding="ascii").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {path} ({error})", AGAIN) from error
    return [_parse_stamp(line.strip(), path, number) for number, line in enumerate(lines, 1)]


def read_stamp_table(path: Path, columns: Sequence[str]) -> list[list[int | None]]:
    """Columns of a table of stamps in nanoseconds, a row per frame from 0; None where a cell is blank.

    Raises:
        SourceError: The file or a column is missing, or a cell is no whole number.
    """
    try:
        with path.open(encoding="ascii", newline="") as stream:
            rows = list(csv.DictReader(stream))
        return [[int(row[name]) if row[name] else None for row in rows] for name in columns]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise SourceError(
            f"cannot read {path} ({error})", f"give it the columns {', '.join(columns)} in nanoseconds"
        ) from error


def read_sweep(path: Path) -> PointCloud:
    """Reads a Velodyne `.bin`.

    Raises:
        SourceError: It is missing, empty, truncated or absurdly large.
    """
    try:
        size = path.stat().st_size
        if size == 0 or size % POINT_BYTES or size > LIMIT_SWEEP_BYTES:
            what = "is empty" if size == 0 else f"has {size} bytes, no multiple of {POINT_BYTES} below 64 MiB"
            raise SourceError(f"{path} {what}: it is truncated or no sweep", AGAIN)
        return PointCloud(np.fromfile(path, "<f4").reshape(-1, 4))
    except OSError as error:
        raise SourceError(f"cannot read {path} ({error.strerror})", AGAIN) from error


def read_oxts(path: Path) -> Twist:
    """Reads one record of the inertial unit: how it moves, in its own frame (x ahead, y left, z up).

    The record gives velocities along axes that are level with the ground, ahead and to the left (`vf vl vu`), rates
    of turn about the unit's own (`wx wy wz`); roll is positive with the left side up, pitch with the front down.

    Raises:
        SourceError: It is missing or no record.
    """
    try:
        values = np.array([float(word) for word in path.read_text(encoding="ascii").split()])
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise SourceError(f"cannot read {path} ({error})", AGAIN) from error
    if len(values) != OXTS_FIELDS or not np.isfinite(values).all():
        raise SourceError(f"{path} holds {len(values)} numbers, no record of {OXTS_FIELDS} finite ones", AGAIN)
    (sin_roll, sin_pitch), (cos_roll, cos_pitch) = np.sin(values[3:5]), np.cos(values[3:5])
    level_from_unit = np.array(
        [
            [cos_pitch, sin_pitch * sin_roll, sin_pitch * cos_roll],
            [0.0, cos_roll, -sin_roll],
            [-sin_pitch, cos_pitch * sin_roll, cos_pitch * cos_roll],
        ]
    )
    return Twist(level_from_unit.T @ values[8:11], values[17:20])


def read_image(path: Path) -> Image:
    """Reads a PNG or JPEG as `bgr8`, the order in which OpenCV decodes.

    Raises:
        SourceError: It is missing, no image, or cut short, which the decoder would fill with grey.
        MissingDependencyError: OpenCV is not installed.
    """
    cv2 = require_module("cv2")
    try:
        data = np.fromfile(path, np.uint8)
        whole = _ENDINGS[path.suffix] in data[-16:].tobytes()
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if whole else None
    except (OSError, cv2.error) as error:
        raise SourceError(f"cannot read {path} ({error})", AGAIN) from error
    if pixels is None:
        raise SourceError(f"{path} is no image, or is truncated", AGAIN)
    return Image(pixels, "bgr8")


def compact_numbers(path: Path) -> list[int]:
    """Which frames an archive of compact sweeps holds.

    Raises:
        SourceError: It is missing, no archive, or lacks an array.
    """
    with _open_archive(path) as archive:
        names = set(archive.files)
    numbers = sorted(int(match[1]) for match in map(re.compile(r"xyz_mm_(\d+)").fullmatch, names) if match)
    needed = [key for n in numbers or [0] for key in _keys(n)]
    absent = next((key for key in needed if key not in names), None)
    if absent:
        raise SourceError(f"{path} has no array {absent}", "copy it again")
    return numbers


def read_compact_sweep(path: Path, number: int) -> PointCloud:
    """Reads one sweep of an archive: int32 `[N, 3]` millimetres and uint8 `[N]` reflectance in percent.

    Raises:
        SourceError: An array is missing, broken or of another type or shape.
    """
    with _open_archive(path) as archive:
        try:
            xyz, reflectance = (archive[key] for key in _keys(number))
        except _READ_ERRORS as error:
            raise SourceError(f"{path}: sweep {number} cannot be read ({error})", "copy it again") from error
    is_typed = xyz.dtype == np.int32 and reflectance.dtype == np.uint8
    if not is_typed or reflectance.ndim != 1 or xyz.shape != (len(reflectance), 3):
        raise SourceError(f"{path}: sweep {number} is not int32 [N, 3] with uint8 [N]", "copy it again")
    points = np.empty((len(xyz), 4), np.float32)
    points[:, :3], points[:, 3] = xyz / 1000, reflectance / 100
    return PointCloud(points)


def _keys(number: int) -> tuple[str, str]:
    return f"xyz_mm_{number:02d}", f"refl100_{number:02d}"


@contextmanager
def _open_archive(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    try:
        archive = np.load(path, allow_pickle=False)
    except _READ_ERRORS as error:
        raise SourceError(f"{path} is no array archive ({error})", "copy it again") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise SourceError(f"{path} is no array archive", "copy it again")
    with archive:
        yield archive


def _parse_stamp(line: str, path: Path, number: int) -> int | None:
    if not line:
        return None
    match = _STAMP.fullmatch(line)
    try:
        if match is None:
            raise ValueError(line)
        seconds = calendar.timegm(datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").timetuple())
    except ValueError as error:
        raise SourceError(f"{path}: line {number} is no stamp: '{line[:40]}'", AGAIN) from error
    return seconds * NS_PER_S + int((match[2] or "").ljust(9, "0"))
