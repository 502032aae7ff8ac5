"""The simulated vehicle's sensors, and what the simulator asks of any other rig."""

from __future__ import annotations

import numpy as np

from edge.runtime.errors import RigError
from edge.runtime.rig import Deskew, Intrinsics, Matrix4, Rig, Stream

ODOMETRY = "odometry"
CAMERA_HEIGHT_M, LIDAR_HEIGHT_M = 1.65, 1.73
MAX_POINTS = 16_384  # the lidar sends 40 x 284 beams
_WIDTH, _HEIGHT = 416, 128
_SCALE = _WIDTH / 1242  # KITTI's rectified colour camera, made smaller
# Optical axes (x right, y down, z ahead) in the base frame (x ahead, y left, z up).
LEVEL_AHEAD = ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))


def street_rig(*, odometry: bool = False) -> Rig:
    """Camera, lidar and microphone of the simulated vehicle.

    The audio interface stamps 8 ms late, which `latency_offset_ms` undoes; all other stamps are on the
    common time.

    Args:
        odometry: Also a stream that tells how the vehicle moves, by which sweeps are deskewed.
    """
    streams = {"camera": _camera(), "lidar": _lidar(), "audio": _audio()}
    return Rig(
        schema=1,
        name="street-simulator",
        anchor="lidar",
        budget_ms=60.0,
        streams={**streams, ODOMETRY: Stream(kind="twist", rate_hz=100.0, clock="ptp", transport_ms=2.0)}
        if odometry
        else streams,
        deskew=Deskew(motion=ODOMETRY, to="camera") if odometry else None,
    )


def check_rig(rig: Rig) -> None:
    """Refuses rigs that the simulator cannot render.

    Raises:
        RigError: A stream is missing or of another kind, the camera is distorted or does not look level and
            straight ahead, the lidar is turned or tilted, or stamps mark something else.
    """
    for name in ("camera", "lidar", "audio"):
        if rig.stream(name).kind != name:
            raise RigError(f"stream '{name}' is a {rig.stream(name).kind}", f"make '{name}' a {name} stream")
    for name, mark in (("lidar", "mid"), ("audio", "first-sample")):
        if rig.stream(name).stamp != mark:
            raise RigError(f"the simulated {name}'s stamps mark '{mark}'", f"set stamp of '{name}' to {mark}")
    odometry = rig.streams.get(ODOMETRY)
    if odometry is not None and (odometry.kind != "twist" or not np.allclose(odometry.T_base_from_sensor, np.eye(4))):
        raise RigError("the simulated odometry is a twist of the base frame", f"make '{ODOMETRY}' such a stream")
    if rig.intrinsics("camera").distortion.model != "none":
        raise RigError("the simulator renders no lens distortion", "set the camera's distortion to none")
    for name, wanted in (("camera", LEVEL_AHEAD), ("lidar", np.eye(3))):
        turned = np.asarray(rig.stream(name).T_base_from_sensor, np.float64)[:3, :3]
        if not np.allclose(turned, wanted, atol=1e-6):
            raise RigError(
                f"the simulator's {name} looks level and straight ahead, this rig turns it",
                "set the rotation of its T_base_from_sensor to that of `street_rig()`",
            )


def _camera() -> Stream:
    intrinsics = Intrinsics(
        width=_WIDTH,
        height=_HEIGHT,
        fx=721.5 * _SCALE,
        fy=721.5 * _SCALE,
        cx=(609.6 + 0.5) * _SCALE - 0.5,
        cy=57.5,
    )
    rows = tuple((*row, at) for row, at in zip(LEVEL_AHEAD, (0.27, 0.0, CAMERA_HEIGHT_M), strict=True))
    return Stream(
        kind="camera",
        rate_hz=29.97,
        clock="ptp",
        stamp="mid",
        transport_ms=15.0,
        policy="hold",
        max_age_ms=150.0,
        T_base_from_sensor=(*rows, (0.0, 0.0, 0.0, 1.0)),
        intrinsics=intrinsics,
    )


def _lidar() -> Stream:
    return Stream(
        kind="lidar",
        rate_hz=10.0,
        clock="ptp",
        stamp="mid",
        transport_ms=30.0,
        max_points=MAX_POINTS,
        T_base_from_sensor=_raised(0.0, LIDAR_HEIGHT_M),
    )


def _audio() -> Stream:
    return Stream(
        kind="audio",
        rate_hz=50.0,
        clock="sample-counter",
        stamp="first-sample",
        latency_offset_ms=-8.0,
        transport_ms=5.0,
        T_base_from_sensor=_raised(0.1, 1.5),
        sample_rate_hz=16_000,
    )


def _raised(x: float, z: float) -> Matrix4:
    return ((1.0, 0.0, 0.0, x), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, z), (0.0, 0.0, 0.0, 1.0))
