from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.runtime.errors import ConfigError, SampleError
from edge.runtime.preprocess.image import ResizeMap, make_resize_map
from edge.runtime.preprocess.lidar_view import LidarView, PointProjector
from edge.runtime.rig import Distortion, Intrinsics

# Optical axes in the lidar's frame: x right = -y, y down = -z, z forward = x; the camera sits 0.3 m behind.
T_CAMERA = np.array([[0, -1, 0, 0.06], [0, 0, -1, -0.08], [1, 0, 0, 0.3], [0, 0, 0, 1]], np.float64)
T_BASE = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1.73], [0, 0, 0, 1]], np.float64)
CAMERA = Intrinsics(width=200, height=100, fx=120, fy=118, cx=98.3, cy=51.2)
SIZE = (64, 32)


def make_view(intrinsics: Intrinsics = CAMERA, resize: ResizeMap | None = None, **ranges: Any) -> LidarView:
    resize = resize or make_resize_map((intrinsics.width, intrinsics.height), SIZE, "stretch")
    return LidarView(intrinsics, resize, T_CAMERA, T_BASE, **ranges)


def reference_view(
    points: NDArray[np.float32],
    intrinsics: Intrinsics,
    depth_range: tuple[float, float] = (1.0, 80.0),
    height_range: tuple[float, float] = (-1.0, 4.0),
) -> NDArray[np.float64]:
    """The docstring of LidarViewInput in plain NumPy, float64 and sorting instead of a depth test."""
    i = intrinsics.scaled(*SIZE)
    w, h = SIZE
    xyz1 = np.column_stack([points[:, :3].astype(np.float64), np.ones(len(points))])
    with np.errstate(all="ignore"):
        x, y, z = T_CAMERA[:3] @ xyz1.T
        height = (T_BASE @ xyz1.T)[2]
        u, v = i.fx * x / z + i.cx, i.fy * y / z + i.cy
        seen = np.isfinite(u + v + z) & (z > 0) & (z <= depth_range[1]) & points[:, :3].any(axis=1)
        seen &= (u >= -0.5) & (u < w - 0.5) & (v >= -0.5) & (v < h - 0.5)
    reflectance = np.clip(np.nan_to_num(points[:, 3].astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    view = np.zeros((4, h, w))
    kept = np.flatnonzero(seen)
    order = kept[np.lexsort((height[kept], reflectance[kept], -z[kept].astype(np.float32)))]
    rows, columns = np.floor(v[order] + 0.5).astype(int), np.floor(u[order] + 0.5).astype(int)
    code = 2 * np.log(z[order] / depth_range[0]) / np.log(depth_range[1] / depth_range[0]) - 1
    middle, half = np.mean(height_range), np.ptp(height_range) / 2
    view[0, rows, columns] = np.clip(code, -1, 1)
    view[1, rows, columns] = np.clip((height[order] - middle) / half, -1, 1)
    view[2, rows, columns] = 2 * reflectance[order] - 1
    view[3, rows, columns] = 1
    return view


def random_cloud(seed: int, count: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    cloud = rng.uniform((-40, -40, -3, -0.1), (100, 40, 6, 1.1), (count, 4)).astype(np.float32)
    cloud[rng.random(count) < 0.02] = 0
    cloud[rng.random(count) < 0.02, rng.integers(0, 4)] = np.nan
    cloud[rng.random(count) < 0.01, 1] = np.inf
    return cloud


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [1, 7, 255, 256, 257, 20_000])
def test_view_equals_the_numpy_reference(seed: int, count: int) -> None:
    cloud = random_cloud(seed, count)
    view = make_view().run(cloud)
    np.testing.assert_allclose(view, reference_view(cloud, CAMERA), atol=2e-6)
    if count == 20_000:
        assert 200 < view[3].sum() <= SIZE[0] * SIZE[1]


def test_view_uses_its_own_ranges() -> None:
    cloud = random_cloud(9, 20_000)
    view = make_view(depth_range_m=(5.0, 40.0), height_range_m=(0.0, 2.0)).run(cloud)
    np.testing.assert_allclose(view, reference_view(cloud, CAMERA, (5.0, 40.0), (0.0, 2.0)), atol=2e-6)
    assert (view[0] == -1).any()
    assert (view[1] == 1).any()


def kitti_calibration(root: Path) -> tuple[Intrinsics, NDArray[np.float64]]:
    def read(name: str) -> dict[str, NDArray[np.float64]]:
        lines = (root / name).read_text(encoding="utf-8").splitlines()
        pairs = (line.split(":", 1) for line in lines if not line.startswith("calib_time"))
        return {key: np.array(value.split(), np.float64) for key, value in pairs}

    cam, velo = read("calib_cam_to_cam.txt"), read("calib_velo_to_cam.txt")
    P, rectify, velo_to_cam, shift = cam["P_rect_02"].reshape(3, 4), np.eye(4), np.eye(4), np.eye(4)
    rectify[:3, :3] = cam["R_rect_00"].reshape(3, 3)
    velo_to_cam[:3, :3], velo_to_cam[:3, 3] = velo["R"].reshape(3, 3), velo["T"]
    shift[:3, 3] = np.linalg.inv(P[:, :3]) @ P[:, 3]
    camera = Intrinsics(width=1242, height=375, fx=P[0, 0], fy=P[1, 1], cx=P[0, 2], cy=P[1, 2])
    return camera, shift @ rectify @ velo_to_cam


@pytest.mark.parametrize("frame", ["0", "7", "9"])
def test_pixels_equal_the_golden_projection_of_real_sweeps(shared_data: Path, frame: str) -> None:
    root = shared_data / "kitti_raw_0052"
    golden = json.loads((root / "projection_golden.json").read_text(encoding="utf-8"))["frames"][frame]
    day = root / "2011_09_26"
    sweep = day / "2011_09_26_drive_0052_sync" / "velodyne_points" / "data" / f"{int(frame):010d}.bin"
    points = np.fromfile(sweep, np.float32).reshape(-1, 4)
    uvz, seen = PointProjector(*kitti_calibration(day)).pixels(points)
    sample = np.array(golden["sample"])
    found = uvz[sample[:, 0].astype(int)]
    assert np.abs(found[:, :2] - sample[:, 4:6]).max() < 0.01
    assert np.abs(found[:, 2] - sample[:, 6]).max() < 1e-3
    # The golden statistics count points beyond 1 m with 0 <= u < width.
    inside = (uvz[:, 2] > 1) & (uvz[:, 0] >= 0) & (uvz[:, 1] >= 0) & (uvz[:, 0] < 1242) & (uvz[:, 1] < 375)
    assert len(points) == golden["n_points"]
    assert inside.sum() == golden["n_in_image"]
    assert uvz[inside, 0].mean() == pytest.approx(golden["mean_u"], abs=1e-2)
    assert uvz[inside, 2].mean() == pytest.approx(golden["mean_depth"], abs=1e-3)
    assert abs(int(seen.sum()) - golden["n_in_image"]) < 100


def test_points_that_cannot_project_are_nan_and_not_seen() -> None:
    bad = [[0, 0, 0, 1], [-5, 0, 0, 1], [np.nan, 0, 0, 1], [np.inf, 0, 0, 1], [5, -np.inf, 0, 1], [-0.3, 0, 0, 1]]
    uvz, seen = PointProjector(CAMERA, T_CAMERA).pixels(np.array(bad, np.float32))
    assert np.isnan(uvz).all()
    assert not seen.any()
    assert not make_view().run(np.array(bad, np.float32)).any()


def test_a_point_outside_the_image_has_a_pixel_but_is_not_seen() -> None:
    uvz, seen = PointProjector(CAMERA, T_CAMERA).pixels(np.array([[5, 20, 0, 1], [5, 0, 0, 1]], np.float32))
    assert uvz[0, 0] < -0.5
    assert seen.tolist() == [False, True]


def test_depth_is_clipped_near_and_dropped_far() -> None:
    view = make_view(depth_range_m=(2.0, 20.0))
    for distance, code in [(0.5, -1.0), (2.0, -1.0), (6.324555, 0.0), (19.999, 1.0), (20.01, None)]:
        out = view.run(np.array([[distance - 0.3, 0, 0, 0.5]], np.float32))
        assert out[3].sum() == (code is not None)
        if code is not None:
            assert out[0].sum() == pytest.approx(code, abs=1e-4)


@pytest.mark.parametrize(
    ("reflectance", "code"), [(np.nan, -1), (-3, -1), (0, -1), (0.25, -0.5), (1, 1), (9, 1), (np.inf, 1)]
)
def test_reflectance_is_clipped(reflectance: float, code: float) -> None:
    out = make_view().run(np.array([[5, 0, 0, reflectance]], np.float32))
    assert out[3].sum() == 1
    assert out[2].sum() == code


def test_an_empty_cloud_gives_an_empty_view_and_overwrites_the_buffer() -> None:
    out = np.full((4, 32, 64), 7, np.float32)
    assert make_view().run(np.empty((0, 4), np.float32), out) is out
    assert not out.any()


def test_a_cloud_that_is_not_contiguous_is_read_right() -> None:
    wide = np.zeros((500, 6), np.float32)
    wide[:, 1:5] = random_cloud(3, 500)
    np.testing.assert_array_equal(make_view().run(wide[:, 1:5]), make_view().run(np.ascontiguousarray(wide[:, 1:5])))


@pytest.mark.parametrize(
    "points", [np.zeros((3, 4)), np.zeros((3, 3), np.float32), np.zeros(4, np.float32), np.zeros((2, 4), np.int32)]
)
def test_points_of_another_kind_are_refused(points: NDArray[Any]) -> None:
    with pytest.raises(SampleError, match=r"float32 \[N, 4\]"):
        make_view().run(points)
    with pytest.raises(SampleError, match=r"float32 \[N, 4\]"):
        PointProjector(CAMERA, T_CAMERA).pixels(points)


@pytest.mark.parametrize(
    "ranges", [{"depth_range_m": (0.0, 5.0)}, {"depth_range_m": (9, 5)}, {"height_range_m": (1, 1)}]
)
def test_ranges_that_make_no_sense_are_refused(ranges: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="lidar view"):
        make_view(**ranges)


def test_a_letterbox_keeps_its_padding_empty_and_aligned() -> None:
    cloud = random_cloud(4, 30_000)
    resize = make_resize_map((200, 100), (64, 64), "letterbox")
    view = make_view(resize=resize).run(cloud)
    assert resize.content == (0, 16, 64, 32)
    assert not view[:, :16].any()
    assert not view[:, 48:].any()
    np.testing.assert_array_equal(view[:, 16:48], make_view().run(cloud))


def test_distortion_bends_the_view() -> None:
    bent = CAMERA.model_copy(update={"distortion": Distortion(model="plumb_bob", coefficients=(-0.3, 0.1, 0, 0))})
    cloud = random_cloud(5, 5_000)
    uvz, seen = PointProjector(bent, T_CAMERA).pixels(cloud)
    scaled = bent.scaled(*SIZE)
    u = (uvz[seen, 0] + 0.5) * SIZE[0] / 200 - 0.5
    v = (uvz[seen, 1] + 0.5) * SIZE[1] / 100 - 0.5
    mask = np.zeros(SIZE[::-1], bool)
    near = uvz[seen, 2] <= 80
    mask[np.floor(v + 0.5).astype(int)[near], np.floor(u + 0.5).astype(int)[near]] = True
    view = make_view(bent).run(cloud)
    assert scaled.distortion == bent.distortion
    assert (view[3].astype(bool) != mask).sum() <= 1
    assert (view[3] != make_view().run(cloud)[3]).any()


LENSES = [
    Distortion(),
    Distortion(model="plumb_bob", coefficients=(-0.37, 0.2, 0.01, -0.02, -0.07)),
    Distortion(model="plumb_bob", coefficients=(0.4, 0, 0, 0)),
    Distortion(model="rational", coefficients=(0.6, -0.2, 5e-4, -3e-4, -0.02, 0.95, -0.05, -0.04)),
    Distortion(model="fisheye", coefficients=(0.05, -0.02, 0.006, -0.002)),
]


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("focal", [10.0, 60.0, 300.0])
def test_whatever_is_skipped_early_is_not_seen(lens: Distortion, focal: float) -> None:
    """Clouds of one point take every shortcut; the projection of single pixels takes none."""
    rng = np.random.default_rng(int(focal))
    camera = Intrinsics(width=64, height=32, fx=focal, fy=focal, cx=40, cy=10, distortion=lens)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation * np.sign(np.linalg.det(rotation)), (3, -20, 5)
    ray = rng.normal((0, 0, 1), (45 / focal, 25 / focal, 0), (1500, 3))
    in_camera = ray * rng.uniform(0.01, 85, (1500, 1)) * rng.choice([1, 1, 1, -1], (1500, 1))
    points = np.column_stack([(in_camera - T[:3, 3]) @ T[:3, :3], np.ones(1500)]).astype(np.float32)
    uvz, seen = PointProjector(camera, T).pixels(points)
    resize = make_resize_map((64, 32), (64, 32), "stretch")
    view = LidarView(camera, resize, T, T_BASE)
    found = np.array([view.run(points[i : i + 1])[3].any() for i in range(len(points))])
    assert 20 < seen.sum() < 1480
    np.testing.assert_array_equal(found, seen & (uvz[:, 2] <= 80))


clouds = st.lists(
    st.tuples(
        st.floats(-5, 90, width=32),
        st.floats(-30, 30, width=32),
        st.floats(-3, 5, width=32),
        st.floats(0, 1, width=32),
    ),
    max_size=60,
).map(lambda rows: np.array(rows, np.float32).reshape(-1, 4))


@settings(max_examples=150, deadline=None)
@given(clouds, st.randoms(use_true_random=False))
def test_the_order_of_points_and_repeats_change_nothing(cloud: NDArray[np.float32], random: Any) -> None:
    order = list(range(len(cloud)))
    random.shuffle(order)
    view = make_view().run(cloud)
    np.testing.assert_array_equal(view, make_view().run(cloud[order]))
    np.testing.assert_array_equal(view, make_view().run(np.concatenate([cloud, cloud])))


@settings(max_examples=150, deadline=None)
@given(clouds)
def test_mask_is_consistent_and_values_stay_in_range(cloud: NDArray[np.float32]) -> None:
    view = make_view().run(cloud)
    assert set(np.unique(view[3])) <= {0.0, 1.0}
    assert not view[:, view[3] == 0].any()
    assert np.abs(view).max(initial=0) <= 1
    assert view[3].sum() <= len(cloud)


@settings(max_examples=100, deadline=None)
@given(clouds, st.floats(0.05, 0.95))
def test_the_nearest_point_wins(cloud: NDArray[np.float32], share: float) -> None:
    camera = np.array([-0.3, 0.06, -0.08], np.float32)
    nearer = cloud.copy()
    nearer[:, :3] = camera + (cloud[:, :3] - camera) * np.float32(share)
    both = make_view().run(np.concatenate([cloud, nearer]))
    alone = make_view().run(cloud)
    assert (both[0][alone[3] == 1] <= alone[0][alone[3] == 1]).all()
    assert (both[3] >= alone[3]).all()
