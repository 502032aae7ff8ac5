"""The simulated lidar: ranges, noise, drop-outs, times, and no colour."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.runtime.simulate.camera import StreetCamera
from edge.runtime.simulate.lidar import RANGE_NOISE_M, StreetLidar
from edge.runtime.simulate.rig import street_rig
from edge.runtime.simulate.street import Snapshot, Street, Thing

MakeThing = Callable[..., Thing]
MakeSnapshot = Callable[..., Snapshot]


@pytest.fixture(scope="module")
def lidar() -> StreetLidar:
    return StreetLidar(street_rig())


def _on_plate(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Points that can only be those of a plate at x = 10, 6 m wide and 2.5 m high, seen from 1.73 m."""
    return (points[:, 0] > 9) & (points[:, 0] < 11) & (abs(points[:, 1]) < 2.8) & (points[:, 2] > -1.4)


def test_ranges_are_the_analytic_ones_within_the_noise(
    lidar: StreetLidar, make_thing: MakeThing, make_snapshot: MakeSnapshot
) -> None:
    errors = []
    for seed in range(6):
        points = lidar.sweep(make_snapshot(make_thing(10.0, 0.0, (0.02, 6.0, 2.5)), seed=seed)).points
        plate = points[_on_plate(points)].astype(np.float64)
        ranges = np.linalg.norm(plate[:, :3], axis=1)
        errors.append(ranges - 9.99 * ranges / plate[:, 0])
    error = np.concatenate(errors)
    assert len(error) > 2000
    assert abs(error.mean()) < 0.002
    assert error.std() == pytest.approx(RANGE_NOISE_M, rel=0.08)


def test_ground_and_walls_return(lidar: StreetLidar, make_snapshot: MakeSnapshot) -> None:
    points = lidar.sweep(make_snapshot()).points
    heights = points[:, 2] + lidar.origin[2]
    road = (abs(points[:, 1]) < 5.0) & (points[:, 0] < 20)
    assert road.sum() > 500
    assert abs(np.median(heights[road])) < 0.01
    assert np.percentile(abs(points[:, 1]), 99.5) < 9.1  # nothing lies behind the house fronts
    assert (abs(abs(points[:, 1]) - 9.0) < 0.1).sum() > 300


def test_points_agree_with_the_camera_depth_of_the_same_object() -> None:
    rig = street_rig()
    camera, lidar = StreetCamera(rig), StreetLidar(rig)
    differences = []
    for seed in range(12):
        snapshot = _stopped(Street(seed).snapshot_at(20.0 + seed))
        if np.isfinite(snapshot.surroundings.fog_m):
            continue
        view, points = camera.look(snapshot), lidar.sweep(snapshot).points
        seen = points[:, :3] + lidar.origin - camera.origin
        u = np.rint(camera.lens.cx - camera.lens.fx * seen[:, 1] / seen[:, 0]).astype(int)
        v = np.rint(camera.lens.cy - camera.lens.fy * seen[:, 2] / seen[:, 0]).astype(int)
        inside = (u > 0) & (u < camera.lens.width - 1) & (v > 0) & (v < camera.lens.height - 1)
        u, v, depth = u[inside], v[inside], seen[inside, 0]
        patch = np.stack([view.things[v + i, u + j] for i in (-1, 0, 1) for j in (-1, 0, 1)])
        interior = (patch == patch[0]).all(0) & (patch[0] >= 0)  # not at outlines, where either may be behind
        differences.append(depth[interior] - view.depth[v[interior], u[interior]])
    difference = np.concatenate(differences)
    assert len(difference) > 2000
    assert np.percentile(abs(difference), 90) < 0.12
    assert abs(np.median(difference)) < 0.02


def _stopped(snapshot: Snapshot) -> Snapshot:
    """The same scene without motion during the sweep."""
    return dataclasses.replace(snapshot, things=tuple(t._replace(vx=0.0, vy=0.0) for t in snapshot.things))


def test_colour_leaves_no_trace(lidar: StreetLidar) -> None:
    snapshot = Street(11).snapshot_at(8.0)
    repainted = dataclasses.replace(
        snapshot,
        things=tuple(
            t._replace(body=dataclasses.replace(t.body, colours=1 - t.body.colours, glow=t.body.glow + 1))
            for t in snapshot.things
        ),
    )
    assert len(snapshot.things) > 3
    assert np.array_equal(lidar.sweep(snapshot).points, lidar.sweep(repainted).points)
    camera = StreetCamera(street_rig())
    assert not np.array_equal(camera.render(snapshot).pixels, camera.render(repainted).pixels)


def test_darkness_of_the_night_leaves_no_trace(
    lidar: StreetLidar, make_thing: MakeThing, make_snapshot: MakeSnapshot
) -> None:
    day, night = (lidar.sweep(make_snapshot(make_thing(12, 1), night=n)).points for n in (False, True))
    assert np.array_equal(day, night)


def test_dark_surfaces_and_fog_swallow_returns(
    lidar: StreetLidar, make_thing: MakeThing, make_snapshot: MakeSnapshot
) -> None:
    def count(x: float, *, dark: bool = False, fog_m: float = float("inf")) -> int:
        points = lidar.sweep(make_snapshot(make_thing(x, 0.0, dark=dark), fog_m=fog_m)).points
        return int(((abs(points[:, 0] - x) < 2.5) & (abs(points[:, 1]) < 1.0) & (points[:, 2] > -1.5)).sum())

    bright = {x: count(x) for x in (8.0, 20.0)}
    assert count(8.0, dark=True) < 0.4 * bright[8.0]
    assert count(20.0, dark=True) / bright[20.0] < count(8.0, dark=True) / bright[8.0]
    assert count(20.0, fog_m=10.0) < 0.9 * bright[20.0]


def test_point_times_tell_the_azimuth_and_moving_things_move_meanwhile(
    lidar: StreetLidar, make_thing: MakeThing, make_snapshot: MakeSnapshot
) -> None:
    cloud = lidar.sweep(make_snapshot())
    assert cloud.time_offset_s is not None
    assert cloud.points.dtype == cloud.time_offset_s.dtype == np.float32
    azimuth = np.arctan2(cloud.points[:, 1], cloud.points[:, 0])
    np.testing.assert_allclose(cloud.time_offset_s, azimuth / (2 * np.pi) * 0.1, atol=1e-5)

    def rear(vx: float) -> float:
        points = lidar.sweep(make_snapshot(make_thing(14.0, 8.0, (1.0, 1.6, 2.5), vx=vx))).points
        return float(points[(abs(points[:, 1] - 8) < 0.9) & (points[:, 2] > -1) & (points[:, 0] < 15), 0].min())

    seconds = np.arctan2(8.0, 14.0) / (2 * np.pi) * 0.1
    assert rear(-20.0) - rear(0.0) == pytest.approx(-20.0 * seconds, abs=0.06)


def test_reflectance_is_measured(lidar: StreetLidar, make_thing: MakeThing, make_snapshot: MakeSnapshot) -> None:
    points = lidar.sweep(make_snapshot(make_thing(10.0, 0.0, (0.02, 6.0, 2.5), reflectance=0.6))).points
    assert np.median(points[_on_plate(points), 3]) == pytest.approx(0.6, abs=0.01)
    assert points[:, 3].min() >= 0
    assert points[:, 3].max() <= 1
