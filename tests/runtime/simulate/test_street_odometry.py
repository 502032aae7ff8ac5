"""The simulated odometry: sweeps deskewed by it show standing things where they stood."""

from __future__ import annotations

import numpy as np
import pytest

from edge.runtime.errors import RigError
from edge.runtime.preprocess.deskew import Deskewer
from edge.runtime.preprocess.motion import MotionHistory
from edge.runtime.rig import Stream
from edge.runtime.sample import PointCloud, Twist
from edge.runtime.simulate.config import StreetConfig
from edge.runtime.simulate.rig import check_rig, street_rig
from edge.runtime.simulate.street import Thing
from edge.runtime.sources.grammar import open_sources
from edge.runtime.sources.simulator import SimulatorSource

PARKED = StreetConfig(parked=1, traffic=0, pedestrians=0, cyclists=0, dark=0, fog=0, night=0, followers=0)


def rear_of(cloud: PointCloud, thing: Thing) -> float:
    """How far its points' rearmost face lies behind where it is, in metres."""
    x, y, z = cloud.points[:, :3].astype(np.float64).T
    z = z + 1.73 - thing.z
    rear = thing.x - thing.body.length / 2
    on_it = (np.abs(y - thing.y) < 0.6) & (z > 0.35) & (z < 0.8) & (np.abs(x - rear) < 0.3)
    return float(np.median(x[on_it]) - rear) if on_it.sum() > 8 else float("nan")


def test_parked_cars_are_where_they_stand() -> None:
    rig = street_rig(odometry=True)
    source = SimulatorSource(seed=4, duration_s=6.0, config=PARKED, rig=rig)
    assert source.street.ego_speed > 8
    history, deskewer = MotionHistory(rig.stream("odometry"), 10**10), Deskewer(rig, "lidar")
    samples = list(source.samples())
    for sample in samples:
        if sample.stream == "odometry":
            assert history.observe(sample) == ""
    skewed, straight = [], []
    for sample in samples:
        if isinstance(sample.payload, PointCloud):
            done = deskewer.run(sample.payload, sample.stamp_ns, sample.stamp_ns, history)
            assert done.reason == ""
            for thing in source.street.objects_at(sample.stamp_ns / 1e9, 2.0):
                if thing.x < 12 and thing.class_name == "car":
                    skewed.append(rear_of(sample.payload, thing))
                    straight.append(rear_of(done.cloud, thing))
    assert np.isfinite(straight).sum() > 20
    # They stand on the right, where the beam passes some milliseconds before the middle of the sweep.
    assert np.nanmean(skewed) > 0.04
    assert abs(np.nanmean(straight)) < 0.015


def test_the_other_streams_stay_what_they_are() -> None:
    with_it = [s for s in SimulatorSource(3, 0.5, rig=street_rig(odometry=True)).samples() if s.stream != "odometry"]
    without = list(SimulatorSource(3, 0.5).samples())
    assert [(s.stream, s.stamp_ns, s.arrival_ns) for s in with_it] == [
        (s.stream, s.stamp_ns, s.arrival_ns) for s in without
    ]
    assert "odometry" not in street_rig().streams and street_rig().deskew is None


def test_it_is_asked_for_by_a_word() -> None:
    source = open_sources(["sim:seed=2,duration=0.3,odometry=1"])
    assert source.rig == street_rig(odometry=True)
    found = [s for s in source.samples() if isinstance(s.payload, Twist)]
    assert len(found) == pytest.approx(30, abs=1)
    assert all(s.arrival_ns > s.stamp_ns for s in found)
    assert open_sources(["sim:duration=0.3,odometry=0"]).rig == street_rig()


def test_another_odometry_cannot_be_simulated() -> None:
    rig = street_rig(odometry=True)
    for odd in (Stream(kind="pose", rate_hz=100), Stream(kind="twist", rate_hz=100, T_base_from_sensor=TURNED)):
        with pytest.raises(RigError, match="twist of the base frame"):
            check_rig(rig.model_copy(update={"streams": {**rig.streams, "odometry": odd}}))


TURNED = ((0.0, -1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
