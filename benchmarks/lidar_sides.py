"""A sweep of 120,000 points into the camera's view, nearest point first: ours and the peers' ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.runtime.preprocess.image import make_resize_map
from edge.runtime.preprocess.lidar_view import LidarView
from edge.runtime.rig import Intrinsics

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

WIDTH, HEIGHT = 640, 192
CAMERA = Intrinsics(width=1242, height=375, fx=721.5, fy=721.5, cx=609.6, cy=172.9)
SCALED = CAMERA.scaled(WIDTH, HEIGHT)
T_CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0.06], [0, 0, -1, -0.08], [1, 0, 0, -0.27], [0, 0, 0, 1]], np.float64)
T_BASE_FROM_LIDAR = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1.73], [0, 0, 0, 1]], np.float64)
DEPTH, LIDAR_HEIGHT = (1.0, 80.0), (-1.0, 4.0)
FIELD_UP, FIELD_DOWN = np.radians(3.0), np.radians(-25.0)


def make_sweep(rings: int = 64, columns: int = 1875) -> NDArray[np.float32]:
    """A spinning lidar's 120,000 points in the order it fires: a flat ground, walls at random distances."""
    rng = np.random.default_rng(0)
    elevation = np.radians(np.linspace(2.0, -24.8, rings))[:, None]
    azimuth = np.linspace(np.pi, -np.pi, columns, endpoint=False)[None]
    walls = np.repeat(rng.uniform(6, 75, columns // 15), 15)[None]
    with np.errstate(divide="ignore"):
        ground = np.where(elevation < 0, 1.73 / np.abs(np.sin(elevation)), np.inf)
    distance = np.minimum(ground, walls) * rng.normal(1, 2e-3, (rings, columns))
    x, y = distance * np.cos(elevation) * np.cos(azimuth), distance * np.cos(elevation) * np.sin(azimuth)
    z = distance * np.sin(elevation) + 0 * azimuth
    return np.stack([x, y, z, rng.random((rings, columns))], axis=-1).reshape(-1, 4).astype(np.float32)


def ours(sweep: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
    """Into a buffer of its own, as a pipeline would."""
    resize = make_resize_map((CAMERA.width, CAMERA.height), (WIDTH, HEIGHT), "stretch")
    view = LidarView(
        CAMERA, resize, T_CAMERA_FROM_LIDAR, T_BASE_FROM_LIDAR, depth_range_m=DEPTH, height_range_m=LIDAR_HEIGHT
    )
    out = np.empty(view.shape, np.float32)
    return lambda: view.run(sweep, out)


def by_numpy(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Plain NumPy."""
    homogeneous = np.column_stack([points[:, :3], np.ones(len(points))])
    x, y, z = T_CAMERA_FROM_LIDAR[:3] @ homogeneous.T
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = SCALED.fx * x / z + SCALED.cx, SCALED.fy * y / z + SCALED.cy
    return draw(points, u, v, z)


def by_opencv(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """cv2.projectPoints for the pixels of what lies in front, NumPy for the rest."""
    z = T_CAMERA_FROM_LIDAR[2, :3] @ points[:, :3].T + T_CAMERA_FROM_LIDAR[2, 3]
    front = points[z > 0]
    rotation, _ = cv2.Rodrigues(T_CAMERA_FROM_LIDAR[:3, :3])
    matrix = np.array([[SCALED.fx, 0, SCALED.cx], [0, SCALED.fy, SCALED.cy], [0, 0, 1]])
    places = front[:, :3].astype(np.float64)
    pixels, _ = cv2.projectPoints(places, rotation, T_CAMERA_FROM_LIDAR[:3, 3], matrix, None)
    u, v = pixels.reshape(-1, 2).T
    return draw(front, u, v, z[z > 0])


def opencv_pixels(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """cv2.projectPoints of all points as they are, with KITTI's five coefficients of distortion: pixels only."""
    rotation, _ = cv2.Rodrigues(T_CAMERA_FROM_LIDAR[:3, :3])
    matrix = np.array([[SCALED.fx, 0, SCALED.cx], [0, SCALED.fy, SCALED.cy], [0, 0, 1]])
    bent = np.array([-0.37, 0.2, 1e-3, 2e-3, -0.07])
    pixels, _ = cv2.projectPoints(points[:, :3].astype(np.float64), rotation, T_CAMERA_FROM_LIDAR[:3, 3], matrix, bent)
    return np.asarray(pixels)


def draw(
    points: NDArray[np.float32], u: NDArray[np.float64], v: NDArray[np.float64], z: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The view of points at known pixels: sorted from far to near, so that the nearest is written last."""
    with np.errstate(invalid="ignore"):
        column, row = np.floor(u + 0.5), np.floor(v + 0.5)
        seen = (z > 0) & (z <= DEPTH[1]) & (column >= 0) & (column < WIDTH) & (row >= 0) & (row < HEIGHT)
    order = np.flatnonzero(seen)[np.argsort(-z[seen], kind="stable")]
    cells = row[order].astype(np.int64) * WIDTH + column[order].astype(np.int64)
    near = points[order].astype(np.float64)
    height = near[:, :3] @ T_BASE_FROM_LIDAR[2, :3] + T_BASE_FROM_LIDAR[2, 3]
    middle, half = sum(LIDAR_HEIGHT) / 2, (LIDAR_HEIGHT[1] - LIDAR_HEIGHT[0]) / 2
    view = np.zeros((4, HEIGHT * WIDTH), np.float32)
    view[0, cells] = np.clip(2 * np.log(z[order] / DEPTH[0]) / np.log(DEPTH[1] / DEPTH[0]) - 1, -1, 1)
    view[1, cells] = np.clip((height - middle) / half, -1, 1)
    view[2, cells] = 2 * near[:, 3] - 1
    view[3, cells] = 1
    return view.reshape(4, HEIGHT, WIDTH)


def by_range_image(points: NDArray[np.float32], rows: int = 64, columns: int = 1024) -> NDArray[np.float32]:
    """The steps of lidar-bonnetal's LaserScan: a spherical range image, so other work than ours, on the same points."""
    depth = np.linalg.norm(points[:, :3], 2, axis=1)
    yaw, pitch = -np.arctan2(points[:, 1], points[:, 0]), np.arcsin(points[:, 2] / depth)
    across, down = 0.5 * (yaw / np.pi + 1.0), 1.0 - (pitch - FIELD_DOWN) / (FIELD_UP - FIELD_DOWN)
    column = np.clip(np.floor(across * columns), 0, columns - 1).astype(np.int32)
    row = np.clip(np.floor(down * rows), 0, rows - 1).astype(np.int32)
    order = np.argsort(depth)[::-1]
    row, column, points = row[order], column[order], points[order]
    view = np.full((5, rows, columns), -1, np.float32)
    view[0, row, column] = depth[order]
    view[1:4, row, column] = points[:, :3].T
    view[4, row, column] = points[:, 3]
    return view
