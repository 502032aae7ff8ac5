"""The simulated camera: where things appear, and what night and fog do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.runtime.errors import RigError
from edge.runtime.rig import Rig
from edge.runtime.simulate.camera import StreetCamera
from edge.runtime.simulate.rig import street_rig
from edge.runtime.simulate.street import Snapshot, Street, StreetConfig, Thing

MakeThing = Callable[..., Thing]
MakeSnapshot = Callable[..., Snapshot]


@pytest.fixture(scope="module")
def camera() -> StreetCamera:
    return StreetCamera(street_rig())


def _projected(camera: StreetCamera, rig: Rig, point: tuple[float, float, float]) -> NDArray[np.float64]:
    """Pixel of a base-frame point by the rig's own matrices."""
    T_camera_from_base = np.linalg.inv(np.asarray(rig.stream("camera").T_base_from_sensor, np.float64))
    x, y, z, _ = T_camera_from_base @ np.array([*point, 1.0])
    lens = camera.lens
    return np.array([lens.fx * x / z + lens.cx, lens.fy * y / z + lens.cy])


@pytest.mark.parametrize(("x", "y"), [(12.0, 0.0), (15.0, 4.0), (9.0, -3.0), (30.0, 2.0)])
def test_box_fills_its_projected_rectangle(
    camera: StreetCamera, make_thing: MakeThing, make_snapshot: MakeSnapshot, x: float, y: float
) -> None:
    size = (0.02, 2.0, 1.5)  # a plate across the view: its outline is a rectangle
    view = camera.look(make_snapshot(make_thing(x, y, size)))
    corners = [_projected(camera, street_rig(), (x - 0.01, y + s * 1.0, z)) for s in (-1, 1) for z in (0.0, 1.5)]
    left, top = np.min(corners, 0)
    right, bottom = np.max(corners, 0)
    rows, columns = np.nonzero(view.things == 0)
    assert abs(columns.min() - np.ceil(left)) <= 1
    assert abs(columns.max() - np.floor(right)) <= 1
    assert abs(rows.min() - np.ceil(top)) <= 1
    assert abs(rows.max() - np.floor(bottom)) <= 1
    assert len(rows) == pytest.approx((right - left) * (bottom - top), rel=0.12)


def test_depth_is_optical_depth(camera: StreetCamera, make_thing: MakeThing, make_snapshot: MakeSnapshot) -> None:
    view = camera.look(make_snapshot(make_thing(20.0, 0.0, (2.0, 12.0, 2.5))))
    rear = view.depth[view.things == 0]
    wanted = 19.0 - float(camera.origin[0])
    # the same for the middle and the edges: depth along the axis, not range
    assert np.percentile(rear, [1, 50]) == pytest.approx([wanted, wanted], abs=1e-3)


def test_road_lies_where_the_camera_height_says(camera: StreetCamera, make_snapshot: MakeSnapshot) -> None:
    view = camera.look(make_snapshot())
    row = 100
    wanted = float(camera.origin[2]) * camera.lens.fy / (row - camera.lens.cy)
    assert view.depth[row, 200] == pytest.approx(wanted, rel=1e-3)
    uphill = camera.look(make_snapshot(slope=0.03))
    assert uphill.depth[row, 200] < view.depth[row, 200]


def test_night_and_fog_change_the_picture_but_not_the_truth(
    camera: StreetCamera, make_thing: MakeThing, make_snapshot: MakeSnapshot
) -> None:
    thing = make_thing(25.0, 4.0)
    day, night, fog = make_snapshot(thing), make_snapshot(thing, night=True), make_snapshot(thing, fog_m=12.0)
    views = [camera.look(s) for s in (day, night, fog)]
    assert all(np.array_equal(v.depth, views[0].depth) and np.array_equal(v.things, views[0].things) for v in views)
    on_thing = views[0].things == 0
    bright, dim, grey = (camera.render(s).pixels.astype(float) for s in (day, night, fog))
    assert dim[on_thing].mean() < 0.2 * bright[on_thing].mean()
    around = (views[0].depth > 20) & (views[0].depth < 30) & ~on_thing
    contrast = abs(bright[on_thing].mean() - bright[around].mean())
    assert abs(grey[on_thing].mean() - grey[around].mean()) < 0.35 * contrast


def test_noise_differs_between_instants_and_repeats_for_one() -> None:
    camera, street = StreetCamera(street_rig()), Street(4)
    first, again = camera.render(street.snapshot_at(3.0)), camera.render(street.snapshot_at(3.0))
    assert np.array_equal(first.pixels, again.pixels)
    still = Street(4, StreetConfig(traffic=0, parked=0, cyclists=0, pedestrians=0, followers=0, night=0, fog=0))
    a, b = (camera.render(still.snapshot_at(t)).pixels[:30].astype(int) for t in (3.0, 3.0001))
    assert 1.5 < np.std(a - b) < 6.0


def test_emergency_vehicles_shine_blue_at_night() -> None:
    camera = StreetCamera(street_rig())
    config = StreetConfig(night=1, fog=0, emergency=1, traffic=1, parked=0, cyclists=0, pedestrians=0)
    blue = 0
    for seed in range(4):
        pixels = camera.render(Street(seed, config).snapshot_at(5.0)).pixels.astype(int)
        blue += int(((pixels[..., 2] > 150) & (pixels[..., 0] < 90)).sum())
    assert blue > 20


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"distortion": {"model": "plumb_bob", "coefficients": (0.1, 0, 0, 0)}}, "no lens distortion"),
        (None, "level and straight ahead"),
    ],
)
def test_refuses_cameras_that_it_cannot_render(change: dict[str, object] | None, said: str) -> None:
    content = street_rig().model_dump(by_alias=True)
    if change:
        content["streams"]["camera"]["intrinsics"].update(change)
    else:
        content["streams"]["camera"]["T_base_from_sensor"] = np.eye(4).tolist()
    with pytest.raises(RigError, match=said):
        StreetCamera(Rig.model_validate(content))


def test_refuses_a_rig_without_lidar() -> None:
    content = street_rig().model_dump(by_alias=True)
    content["anchor"] = "camera"
    del content["streams"]["lidar"]
    with pytest.raises(RigError, match="no stream 'lidar'"):
        StreetCamera(Rig.model_validate(content))
