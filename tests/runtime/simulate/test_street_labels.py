"""Labels follow the geometry."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edge.runtime.simulate.bodies import CLASSES, CYCLIST, PEDESTRIAN, TRUCK
from edge.runtime.simulate.camera import View
from edge.runtime.simulate.labels import event_labels, grid_labels, label
from edge.runtime.simulate.microphone import EVENTS
from edge.runtime.simulate.rig import street_rig
from edge.runtime.simulate.sensors import sensors_of
from edge.runtime.simulate.street import Snapshot, Street, Thing

MakeThing = Callable[..., Thing]
MakeSnapshot = Callable[..., Snapshot]
GRID = (8, 26)


def test_names_and_order() -> None:
    assert CLASSES == ("car", "truck", "pedestrian", "cyclist", "emergency")
    assert EVENTS == ("siren", "horn")


def test_cells_hold_class_and_distance_of_what_covers_them(make_thing: MakeThing, make_snapshot: MakeSnapshot) -> None:
    camera = sensors_of(street_rig()).camera
    snapshot = make_snapshot(make_thing(12.0, 3.0, (0.02, 2.5, 3.0), kind=TRUCK), make_thing(20.0, -3.0, kind=CYCLIST))
    labels = grid_labels(camera.look(snapshot), snapshot, GRID)
    assert set(np.unique(labels.classes)) == {0, TRUCK, CYCLIST}
    assert labels.classes.dtype == np.int64
    assert labels.distance_m.dtype == np.float32
    truck = labels.classes == TRUCK
    np.testing.assert_allclose(labels.distance_m[truck], 11.99 - 0.27, atol=1e-3)
    # left of the road's middle: columns left of the image's middle; y = 1.75..4.25 m at 11.72 m
    columns = np.nonzero(truck)[1]
    u = camera.lens.cx - camera.lens.fx * np.array([4.25, 1.75]) / 11.72
    assert columns.min() == int((u[0] + 4) // 16)  # a quarter of the cell, 4 columns of 16, must be covered
    assert columns.max() == int((u[1] - 4) // 16)
    assert (labels.distance_m[labels.classes == 0] == 0).all()


@pytest.mark.parametrize(("pixels", "labelled"), [(63, False), (64, True)])
def test_a_quarter_of_the_cell_must_be_covered(
    make_thing: MakeThing, make_snapshot: MakeSnapshot, pixels: int, labelled: bool
) -> None:
    things = np.full((128, 416), -1, np.int32)
    depth = np.full((128, 416), 50.0, np.float32)
    things[16:32, 32:48] = np.where(np.arange(256) < pixels, 0, -1).reshape(16, 16)
    depth[16:32, 32:48] = np.linspace(5, 6, 256).reshape(16, 16)
    snapshot = make_snapshot(make_thing(5, 0, kind=PEDESTRIAN))
    labels = grid_labels(View(depth, things), snapshot, GRID)
    assert (labels.classes[1, 2] == PEDESTRIAN) == labelled
    assert (labels.classes > 0).sum() == int(labelled)
    if labelled:
        assert labels.distance_m[1, 2] == np.sort(depth[things == 0])[32]


def test_the_larger_share_wins_and_others_do_not_spoil_the_distance(
    make_thing: MakeThing, make_snapshot: MakeSnapshot
) -> None:
    things, depth = np.full((128, 416), -1, np.int32), np.zeros((128, 416), np.float32)
    things[:16, :10], things[:16, 10:16] = 1, 0
    depth[:16, :10], depth[:16, 10:16] = 20.0, 3.0
    snapshot = make_snapshot(make_thing(3, 0, kind=TRUCK), make_thing(20, 0, kind=CYCLIST))
    labels = grid_labels(View(depth, things), snapshot, GRID)
    assert labels.classes[0, 0] == CYCLIST
    assert labels.distance_m[0, 0] == 20.0


def test_an_empty_street_has_empty_labels(make_snapshot: MakeSnapshot) -> None:
    sensors, snapshot = sensors_of(street_rig()), make_snapshot()
    labels = grid_labels(sensors.camera.look(snapshot), snapshot, GRID)
    assert labels.classes.shape == GRID
    assert not labels.classes.any()


def test_labels_agree_with_the_lidar_returns_in_their_cells() -> None:
    """What a cell says is where the sweep's points of that cell are, moving things included."""
    sensors, ratios = sensors_of(street_rig()), []
    camera, lidar = sensors.camera, sensors.lidar
    for seed in range(10):
        snapshot = Street(seed).snapshot_at(31.0)
        labels, points = grid_labels(camera.look(snapshot), snapshot, GRID), lidar.sweep(snapshot).points
        seen = points[:, :3] + lidar.origin - camera.origin
        u = (camera.lens.cx - camera.lens.fx * seen[:, 1] / seen[:, 0] + 0.5) // 16
        v = (camera.lens.cy - camera.lens.fy * seen[:, 2] / seen[:, 0] + 0.5) // 16
        for row, column in zip(*np.nonzero(labels.classes), strict=True):
            depths = seen[(u == column) & (v == row), 0]
            if len(depths):
                ratios.append(np.abs(depths / labels.distance_m[row, column] - 1).min())
    assert len(ratios) > 150
    assert np.mean(np.array(ratios) < 0.05) > 0.95


def test_events_are_those_heard_for_a_quarter_of_a_second() -> None:
    sensors = sensors_of(street_rig())
    found = np.zeros(2)
    for seed in range(40):
        street = Street(seed)
        events = event_labels(sensors.microphone, street, 12.0, 16_000).heard
        heard = sensors.microphone.heard_s(street, 12.0, 16_000)
        assert events.dtype == np.float32
        assert events.tolist() == [float(heard[e] >= 0.25) for e in EVENTS]
        found += events
    assert (found > 4).all()
    assert (found < 30).all()


def test_label_is_that_of_the_instant() -> None:
    sensors, street = sensors_of(street_rig()), Street(3)
    truth = label(sensors, street, 4.0, GRID, 16_000)
    snapshot = street.snapshot_at(4.0)
    assert np.array_equal(truth.grid.classes, grid_labels(sensors.camera.look(snapshot), snapshot, GRID).classes)
