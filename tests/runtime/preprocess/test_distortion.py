from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.runtime.preprocess.lidar_view import PointProjector, make_camera
from edge.runtime.rig import Distortion, Intrinsics

cv2 = pytest.importorskip("cv2")

# D_02 of KITTI's drive 0052 and its K_02.
KITTI = (-3.691481e-01, 1.968681e-01, 1.353473e-03, 5.677587e-04, -6.770705e-02)
LENSES = {
    "none": Distortion(),
    "plumb_bob": Distortion(model="plumb_bob", coefficients=KITTI[:4]),
    "plumb_bob_k3": Distortion(model="plumb_bob", coefficients=KITTI),
    "rational": Distortion(model="rational", coefficients=(0.6, -0.2, 5e-4, -3e-4, -0.02, 0.95, -0.05, -0.04)),
    "fisheye": Distortion(model="fisheye", coefficients=(0.05, -0.02, 0.006, -0.002)),
}


def intrinsics(lens: Distortion) -> Intrinsics:
    return Intrinsics(width=1392, height=512, fx=959.79, fy=956.93, cx=696.02, cy=224.18, distortion=lens)


def directions(max_degrees: float, count: int = 3000) -> NDArray[np.float32]:
    rng = np.random.default_rng(1)
    theta, around = rng.uniform(0, np.radians(max_degrees), count), rng.uniform(0, 2 * np.pi, count)
    ray = np.column_stack([np.sin(theta) * np.cos(around), np.sin(theta) * np.sin(around), np.cos(theta)])
    return np.column_stack([ray * rng.uniform(0.5, 60, (count, 1)), np.ones(count)]).astype(np.float32)


def limit_degrees(camera: Intrinsics) -> float:
    return float(np.degrees(np.arctan(np.sqrt(make_camera(camera).max_radius2))))


def opencv_pixels(points: NDArray[np.float32], camera: Intrinsics) -> NDArray[np.float64]:
    K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    k = np.array(camera.distortion.coefficients, np.float64)
    xyz = points[:, None, :3].astype(np.float64)
    if camera.distortion.model == "fisheye":
        return np.asarray(cv2.fisheye.projectPoints(xyz, np.zeros(3), np.zeros(3), K, k)[0][:, 0])
    return np.asarray(cv2.projectPoints(xyz, np.zeros(3), np.zeros(3), K, k)[0][:, 0])


@pytest.mark.parametrize("name", LENSES)
def test_pixels_equal_opencv_within_the_valid_angle(name: str) -> None:
    camera = intrinsics(LENSES[name])
    points = directions(min(limit_degrees(camera) - 1e-3, 80.0))
    uvz, _ = PointProjector(camera, np.eye(4)).pixels(points)
    assert np.isfinite(uvz).all()
    expected = opencv_pixels(points, camera)
    near = np.abs(expected).max(axis=1) < 20_000  # pixels are float32: further out they cannot hold 0.01
    assert near.sum() > 2000
    assert np.abs(uvz[:, :2] - expected)[near].max() < 0.01


def test_points_beyond_the_fold_of_the_polynomial_are_cut() -> None:
    camera = intrinsics(LENSES["plumb_bob_k3"])
    sixty = np.array([[np.tan(np.radians(60.0)) * 10, 0, 10, 1]], np.float32)
    folded = opencv_pixels(sixty, camera)[0]
    assert 0 <= folded[0] < camera.width  # the plain equations fold it back into the image
    uvz, seen = PointProjector(camera, np.eye(4)).pixels(sixty)
    assert np.isnan(uvz).all()
    assert not seen.any()


@pytest.mark.parametrize("name", ["plumb_bob", "plumb_bob_k3", "rational", "fisheye"])
def test_the_limit_is_where_the_radius_stops_growing(name: str) -> None:
    lens = LENSES[name]
    camera = Intrinsics(width=9, height=9, fx=1, fy=1, cx=0, cy=0, distortion=lens)
    if lens.model != "fisheye":  # without the tangential part, whose slope is not radial
        k = lens.coefficients
        camera = camera.model_copy(
            update={"distortion": Distortion(model=lens.model, coefficients=(*k[:2], 0, 0, *k[4:]))}
        )
    limit = min(limit_degrees(camera), 89.5)
    theta = np.radians(np.linspace(0.1, 89.9, 4000))
    radius = opencv_pixels(np.column_stack([np.tan(theta), 0 * theta, 0 * theta + 1, theta]), camera)[:, 0]
    growing = np.diff(radius) > 0
    first_fold = np.degrees(theta[np.argmin(growing)]) if not growing.all() else 89.5
    assert limit == pytest.approx(first_fold, abs=0.05)


def test_known_limits() -> None:
    assert make_camera(intrinsics(LENSES["none"])).max_radius2 == np.inf
    barrel = Distortion(model="plumb_bob", coefficients=(-0.25, 0, 0, 0))
    assert make_camera(intrinsics(barrel)).max_radius2 == pytest.approx(4 / 3)  # 1 - 0.75 r^2 = 0
    pincushion = Distortion(model="plumb_bob", coefficients=(0.25, 0, 0, 0))
    assert make_camera(intrinsics(pincushion)).max_radius2 == np.inf
    fisheye = Distortion(model="fisheye", coefficients=(-0.5, 0, 0, 0))  # 1 - 1.5 theta^2 = 0
    assert make_camera(intrinsics(fisheye)).max_radius2 == pytest.approx(np.tan(np.sqrt(2 / 3)) ** 2)


@pytest.mark.parametrize("name", LENSES)
def test_undistortion_inverts_the_projection(name: str) -> None:
    camera = intrinsics(LENSES[name])
    points = directions(min(limit_degrees(camera) * 0.9, 75.0), 200)
    core = make_camera(camera)
    for point, (u, v) in zip(points, opencv_pixels(points, camera), strict=True):
        x, y = core.undistort(u, v)
        assert (x, y) == pytest.approx((point[0] / point[2], point[1] / point[2]), abs=1e-5)


def test_undistorting_a_pixel_that_the_lens_cannot_reach_stays_at_the_limit() -> None:
    camera = intrinsics(LENSES["plumb_bob_k3"])
    core = make_camera(camera)
    x, y = core.undistort(1e5, 224.18)
    assert np.isfinite([x, y]).all()
    assert x * x + y * y <= core.max_radius2 * 1.001
