"""The rig of a KITTI raw recording, from its calibration files.

A. Geiger et al., "Vision meets Robotics: The KITTI Dataset", IJRR 2013, equations 3 to 8. `P_rect_02` is used whole:
its fourth column puts the left colour camera beside the reference camera in all three directions.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.errors import SourceError
from edge.runtime.rig import Intrinsics, Matrix4, Rig, Stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIDAR_HEIGHT_M = 1.73  # of the Velodyne above the ground, on KITTI's car
CAMERA_TO_CAMERA, VELO_TO_CAMERA = "calib_cam_to_cam.txt", "calib_velo_to_cam.txt"
UNIT_TO_VELO = "calib_imu_to_velo.txt"
# The recording holds no arrivals; these are what such sensors need over Ethernet and FireWire.
LIDAR_TRANSPORT_MS, CAMERA_TRANSPORT_MS, MOTION_TRANSPORT_MS = 5.0, 10.0, 5.0
MAX_POINTS = 150_000  # an HDL-64E gives some 120,000 a turn
BUDGET_MS = 60.0
CAMERA_MAX_AGE_MS = 150.0


def kitti_rig(calibration: Path, lidar_rate_hz: float, camera_rate_hz: float) -> Rig:
    """Reads `calib_cam_to_cam.txt` and `calib_velo_to_cam.txt`.

    Args:
        calibration: The date folder that holds them.
        lidar_rate_hz: As the stamps tell.
        camera_rate_hz: As the stamps tell.

    Raises:
        SourceError: A file or a key in it is missing or malformed.
    """
    cameras = read_calibration(calibration / CAMERA_TO_CAMERA)
    velodyne = read_calibration(calibration / VELO_TO_CAMERA)
    projection = _values(cameras, "P_rect_02", calibration / CAMERA_TO_CAMERA, 12).reshape(3, 4)
    size = _values(cameras, "S_rect_02", calibration / CAMERA_TO_CAMERA, 2)
    _check_pinhole(projection, size, calibration / CAMERA_TO_CAMERA)
    rectify = _rotation(cameras, "R_rect_00", calibration / CAMERA_TO_CAMERA)
    rotation = _rotation(velodyne, "R", calibration / VELO_TO_CAMERA)
    shift = _values(velodyne, "T", calibration / VELO_TO_CAMERA, 3)
    camera_from_reference = _pose(
        np.eye(3), np.asarray(np.linalg.solve(projection[:, :3], projection[:, 3]), np.float64)
    )
    T_camera_from_lidar = camera_from_reference @ _pose(rectify, np.zeros(3)) @ _pose(rotation, shift)
    T_base_from_lidar = _pose(np.eye(3), np.array([0.0, 0.0, LIDAR_HEIGHT_M]))
    lens = Intrinsics(
        width=round(size[0]),
        height=round(size[1]),
        fx=projection[0, 0],
        fy=projection[1, 1],
        cx=projection[0, 2],
        cy=projection[1, 2],
    )
    camera = Stream(
        kind="camera",
        rate_hz=camera_rate_hz,
        clock="replay",
        stamp="mid",
        transport_ms=CAMERA_TRANSPORT_MS,
        policy="hold",
        max_age_ms=CAMERA_MAX_AGE_MS,
        T_base_from_sensor=_rows(T_base_from_lidar @ np.linalg.inv(T_camera_from_lidar)),
        intrinsics=lens,
    )
    lidar = Stream(
        kind="lidar",
        rate_hz=lidar_rate_hz,
        clock="replay",
        stamp="mid",
        transport_ms=LIDAR_TRANSPORT_MS,
        max_points=MAX_POINTS,
        T_base_from_sensor=_rows(T_base_from_lidar),
    )
    return Rig(schema=1, name="kitti", anchor="lidar", budget_ms=BUDGET_MS, streams={"camera": camera, "lidar": lidar})


def motion_stream(calibration: Path, rate_hz: float) -> Stream:
    """The inertial unit as a twist stream: `calib_imu_to_velo.txt` tells where it sits.

    Raises:
        SourceError: The file or a key in it is missing or malformed.
    """
    path = calibration / UNIT_TO_VELO
    found = read_calibration(path)
    T_lidar_from_unit = _pose(_rotation(found, "R", path), _values(found, "T", path, 3))
    T_base_from_lidar = _pose(np.eye(3), np.array([0.0, 0.0, LIDAR_HEIGHT_M]))
    return Stream(
        kind="twist",
        rate_hz=rate_hz,
        clock="replay",
        transport_ms=MOTION_TRANSPORT_MS,
        T_base_from_sensor=_rows(T_base_from_lidar @ T_lidar_from_unit),
    )


def read_calibration(path: Path) -> dict[str, list[float]]:
    """Numbers by key of a KITTI calibration file; keys without numbers are left out.

    Raises:
        SourceError: The file is missing or no text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read {path} ({error})", "put KITTI's calibration files there") from error
    found: dict[str, list[float]] = {}
    for line in lines:
        key, _, rest = line.partition(":")
        try:
            found[key.strip()] = [float(word) for word in rest.split()]
        except ValueError:
            continue
    return found


def _values(found: dict[str, list[float]], key: str, path: Path, count: int) -> NDArray[np.float64]:
    values = np.asarray(found.get(key, ()), np.float64)
    if values.shape != (count,) or not np.isfinite(values).all():
        raise SourceError(
            f"{path} has no '{key}' with {count} numbers", "use the calibration file of the recording's day"
        )
    return values


def _rotation(found: dict[str, list[float]], key: str, path: Path) -> NDArray[np.float64]:
    R = _values(found, key, path, 9).reshape(3, 3)
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-4) or np.linalg.det(R) < 0:
        raise SourceError(f"{path}: '{key}' is no rotation", "use the calibration file of the recording's day")
    return R


def _check_pinhole(projection: NDArray[np.float64], size: NDArray[np.float64], path: Path) -> None:
    """The fourth column is a shift only where the rest is a pinhole camera without skew."""
    is_pinhole = np.allclose(projection[[0, 1, 2, 2, 2], [1, 0, 0, 1, 2]], (0, 0, 0, 0, 1))
    if not is_pinhole or min(projection[0, 0], projection[1, 1], *size) < 1:
        raise SourceError(
            f"{path}: 'P_rect_02' and 'S_rect_02' are no pinhole camera",
            "use the calibration file of the recording's day",
        )


def _pose(rotation: NDArray[np.float64], shift: NDArray[np.float64]) -> NDArray[np.float64]:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation, shift
    return T


def _rows(T: NDArray[np.float64]) -> Matrix4:
    return tuple(tuple(float(v) for v in row) for row in T)
