"""Deskew: against exact motion, against a plain NumPy oracle, and whatever a sensor may give."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.runtime.errors import RigError, SampleError
from edge.runtime.preprocess.deskew import Deskewed, Deskewer
from edge.runtime.preprocess.motion import MotionHistory
from edge.runtime.rig import Deskew, Matrix4, Rig, Stream
from edge.runtime.sample import PointCloud, Pose, Sample, Twist

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MS = 1_000_000
# Far from the origin of time, as stamps since 1970 are, and of a lidar that sits turned on the roof.
STAMP_NS = 1_700_000_000 * 1_000_000_000
MOUNT: Matrix4 = ((0.36, 0.48, -0.8, 0.9), (-0.8, 0.6, 0.0, 0.2), (0.48, 0.64, 0.6, 1.8), (0.0, 0.0, 0.0, 1.0))
UNIT: Matrix4 = ((0.0, -1.0, 0.0, -0.4), (1.0, 0.0, 0.0, 0.1), (0.0, 0.0, 1.0, 0.5), (0.0, 0.0, 0.0, 1.0))


def make_rig(kind: str = "twist", mount: Matrix4 = MOUNT, unit: Matrix4 = UNIT, reach_ms: float | None = None) -> Rig:
    return Rig.model_validate(
        {
            "schema": 1,
            "anchor": "lidar",
            "streams": {
                "lidar": Stream(kind="lidar", rate_hz=10, T_base_from_sensor=mount),
                "odometry": Stream.model_validate({"kind": kind, "rate_hz": 100, "T_base_from_sensor": unit}),
            },
            "deskew": Deskew(motion="odometry", reach_ms=reach_ms),
        }
    )


def hat(w: Floats) -> Floats:
    return np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])


def screw(twist: Floats, seconds: float) -> Floats:
    """The matrix exponential by its definition: scaling, a power series, squaring."""
    generator = np.zeros((4, 4))
    generator[:3, :3], generator[:3, 3] = hat(twist[3:]), twist[:3]
    generator *= seconds / 256
    total, term = np.eye(4), np.eye(4)
    for k in range(1, 12):
        term = term @ generator / k
        total = total + term
    return np.asarray(np.linalg.matrix_power(total, 256), np.float64)


def quaternion(R: Floats) -> Floats:
    """Of a rotation by less than half a turn."""
    w = np.sqrt(1 + np.trace(R)) / 2
    return np.array([*(np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]) / (4 * w)), w])


def path(twist_at: Callable[[float], Floats], start_s: float, end_s: float, steps: int = 100) -> list[Floats]:
    """Poses of a frame that moves by a twist that changes: small exact steps, each by the twist at its middle."""
    times = np.linspace(start_s, end_s, steps + 1)
    poses = [np.eye(4)]
    for before, after in pairwise(times):
        poses.append(poses[-1] @ screw(twist_at((before + after) / 2), after - before))
    return poses


def twists(rig: Rig, twist_at: Callable[[float], Floats], around_s: float = 0.3) -> MotionHistory:
    history = MotionHistory(rig.stream("odometry"), 10_000 * MS)
    for k, t in enumerate(np.arange(-around_s, around_s + 1e-9, 0.01)):
        at_ns = STAMP_NS + round(t * 1e9)
        value = twist_at(float(t))
        assert history.observe(Sample("odometry", at_ns, at_ns, k, Twist(value[:3], value[3:]))) == ""
    return history


def sweep(count: int = 2000, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.uniform(-60, 60, (count, 3)), rng.random(count)]).astype(np.float32)
    return points, rng.uniform(-0.05, 0.05, count).astype(np.float32)


def run(
    rig: Rig, history: MotionHistory, points: NDArray[np.float32], times: NDArray[np.float32], to_s: float = 0.0
) -> Deskewed:
    return Deskewer(rig, "lidar").run(PointCloud(points, times), STAMP_NS, STAMP_NS + round(to_s * 1e9), history)


def oracle(rig: Rig, twist: Floats, points: NDArray[np.float32], times: NDArray[np.float32], to_s: float) -> Floats:
    """Point by point in double precision, by the rig's transforms and the matrix exponential."""
    unit_from_lidar = rig.transform("odometry", "lidar")
    home = np.linalg.inv(screw(twist, to_s) @ unit_from_lidar)
    moved = [
        home @ screw(twist, float(t)) @ unit_from_lidar @ [*p[:3].astype(float), 1.0]
        for p, t in zip(points, times, strict=True)
    ]
    return np.asarray(moved, np.float64)[:, :3]


def constant(*values: float) -> Callable[[float], Floats]:
    return lambda _t: np.array(values)


FAST_TURN = (12.0, -0.3, 0.4, 0.2, -0.3, 1.5)


@pytest.mark.parametrize("to_s", [0.0, -0.05, 0.031])
def test_every_point_is_where_the_oracle_says(to_s: float) -> None:
    rig = make_rig()
    points, times = sweep()
    done = run(rig, twists(rig, constant(*FAST_TURN)), points, times, to_s)
    assert (done.reason, done.timeless) == ("", 0)
    expected = oracle(rig, np.array(FAST_TURN), points, times, to_s)
    assert np.abs(done.cloud.points[:, :3] - expected).max() < 1e-4
    assert np.abs(points[:, :3] - expected).max() > 1.0  # there was something to do
    np.testing.assert_array_equal(done.cloud.points[:, 3], points[:, 3])


def static_scene(twist_at: Callable[[float], Floats], rig: Rig) -> tuple[PointCloud, Floats]:
    """A static world swept by a lidar on a moving vehicle, and the same points as seen at once at the stamp."""
    steps, rng = 400, np.random.default_rng(4)
    poses = path(twist_at, -0.05, 0.05, steps)
    unit_from_lidar = rig.transform("odometry", "lidar")
    lidars = [pose @ unit_from_lidar for pose in poses]
    at = rng.integers(0, steps + 1, 3000)
    seen = np.column_stack([rng.uniform(-40, 40, (3000, 3)), np.ones(3000)])
    middle = np.linalg.inv(lidars[steps // 2])
    truth = np.stack([middle @ lidars[k] @ p for k, p in zip(at, seen, strict=True)])[:, :3]
    points = np.column_stack([seen[:, :3], rng.random(3000)]).astype(np.float32)
    return PointCloud(points, (np.linspace(-0.05, 0.05, steps + 1)[at]).astype(np.float32)), truth


def accelerating(t: float) -> Floats:
    """Brakes at 6 m/s^2 while turning ever faster, over a bump."""
    return np.array([10 - 6 * t, 0.2, 0.3 * np.sin(20 * t), 0.3 * np.cos(15 * t), 0.2 * np.sin(12 * t), 0.8 + 3 * t])


def rms(points: NDArray[np.float32], truth: Floats) -> float:
    return float(np.sqrt(((points[:, :3] - truth) ** 2).sum(1).mean()))


@pytest.mark.parametrize("kind", ["twist", "pose"])
def test_a_static_scene_stands_still_again(kind: str) -> None:
    rig = make_rig(kind)
    cloud, truth = static_scene(accelerating, rig)
    history = twists(rig, accelerating) if kind == "twist" else poses_along(rig, accelerating)
    done = Deskewer(rig, "lidar").run(cloud, STAMP_NS, STAMP_NS, history)
    assert done.reason == ""
    assert rms(cloud.points, truth) > 0.1
    assert rms(done.cloud.points, truth) < 0.01
    assert np.abs(done.cloud.points[:, :3] - truth).max() < 0.02


def poses_along(rig: Rig, twist_at: Callable[[float], Floats]) -> MotionHistory:
    """The same motion as a stream of poses in a map whose origin is far away."""
    history, world = MotionHistory(rig.stream("odometry"), 10_000 * MS), screw(np.array([4e5, 5e6, 30, 0.1, 0.2, 2]), 1)
    for k, t in enumerate(np.arange(-0.2, 0.2001, 0.02)):
        pose = world @ path(twist_at, -0.2, float(t), max(1, 10 * k))[-1]
        at_ns = STAMP_NS + round(t * 1e9)
        payload = Pose(pose[:3, 3], quaternion(pose[:3, :3]))
        assert history.observe(Sample("odometry", at_ns, at_ns, k, payload)) == ""
    return history


def test_it_is_kiss_icps_formula_where_the_sweep_ends_at_the_stamp() -> None:
    # PRBonn/kiss-icp, Preprocessing.cpp: exp((s - 1) log(T)) p, with s from 0 to 1 over the sweep and T the motion
    # of the sensor during it.
    level: Matrix4 = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
    rig = make_rig(mount=level, unit=level)
    twist = np.array(FAST_TURN)
    points, _ = sweep(500)
    s = np.linspace(0, 1, 500)
    expected = np.stack([screw(twist * 0.1, a - 1) @ [*p[:3].astype(float), 1] for a, p in zip(s, points, strict=True)])
    done = run(rig, twists(rig, constant(*FAST_TURN)), points, (0.1 * (s - 1)).astype(np.float32))
    assert np.abs(done.cloud.points[:, :3] - expected[:, :3]).max() < 1e-4


velocity = st.floats(-20, 20)
rate = st.floats(-3, 3)


@settings(max_examples=30, deadline=None)
@given(st.tuples(velocity, velocity, velocity, rate, rate, rate), st.floats(-0.05, 0.05), st.floats(-0.05, 0.05))
def test_two_steps_are_one(twist: tuple[float, ...], first_s: float, second_s: float) -> None:
    """Deskewing to one instant and moving that on is deskewing to the other: the steps compose."""
    rig = make_rig()
    history = twists(rig, constant(*twist))
    points, times = sweep(64)
    at_once = run(rig, history, points, times, second_s).cloud.points
    step = run(rig, history, points, times, first_s).cloud.points
    then = run(rig, history, step, np.full(64, first_s, np.float32), second_s).cloud.points
    np.testing.assert_allclose(then, at_once, atol=2e-4)


@settings(max_examples=30, deadline=None)
@given(st.tuples(velocity, velocity, velocity), st.floats(-0.05, 0.05))
def test_straight_motion_shifts_by_speed_times_time(speed: tuple[float, float, float], to_s: float) -> None:
    level: Matrix4 = ((1, 0, 0, 0.7), (0, 1, 0, 0), (0, 0, 1, 1.7), (0, 0, 0, 1))
    rig = make_rig(mount=level, unit=((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)))
    points, times = sweep(64)
    done = run(rig, twists(rig, constant(*speed, 0, 0, 0)), points, times, to_s)
    shift = (times.astype(np.float64)[:, None] - to_s) * np.array(speed)
    np.testing.assert_allclose(done.cloud.points[:, :3], points[:, :3] + shift, atol=2e-5)


def test_standing_still_changes_nothing() -> None:
    rig = make_rig(mount=((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)))
    points, times = sweep()
    done = run(rig, twists(rig, constant(0, 0, 0, 0, 0, 0)), points, times)
    assert done.reason == ""
    np.testing.assert_array_equal(done.cloud.points, points)


def test_the_order_of_points_does_not_matter_and_runs_repeat() -> None:
    rig = make_rig()
    history, (points, times) = twists(rig, accelerating), sweep()
    order = np.random.default_rng(3).permutation(len(points))
    once, again = run(rig, history, points, times), run(rig, history, points, times)
    shuffled = run(rig, history, points[order], times[order])
    assert once.cloud.points.tobytes() == again.cloud.points.tobytes()
    assert once.cloud.points[order].tobytes() == shuffled.cloud.points.tobytes()


def test_the_given_sweep_is_left_alone_and_the_new_one_cannot_be_deskewed_again() -> None:
    rig = make_rig()
    points, times = sweep()
    points.flags.writeable = times.flags.writeable = False
    history = twists(rig, constant(*FAST_TURN))
    done = run(rig, history, points, times)
    assert done.cloud.time_offset_s is None
    again = Deskewer(rig, "lidar").run(done.cloud, STAMP_NS, STAMP_NS, history)
    assert again.reason == "no_point_times" and again.cloud is done.cloud


def test_equal_times_an_empty_sweep_and_points_without_meaning() -> None:
    rig = make_rig()
    history = twists(rig, constant(*FAST_TURN))
    points, _ = sweep(50)
    same = run(rig, history, points, np.full(50, 0.02, np.float32), 0.02)
    np.testing.assert_allclose(same.cloud.points, points, atol=1e-5)
    none = run(rig, history, points[:0], np.zeros(0, np.float32))
    assert none.reason == "" and none.cloud.points.shape == (0, 4)
    points[3, 0], points[4, 1], points[5, :3] = np.nan, np.inf, 0
    times = np.full(50, 0.04, np.float32)
    times[6], times[7] = np.nan, -np.inf
    done = run(rig, history, points, times)
    assert (done.reason, done.timeless) == ("", 2)
    assert done.cloud.points[3:8].tobytes() == points[3:8].tobytes()
    assert (np.abs(done.cloud.points[8:, :3] - points[8:, :3]).max(1) > 0.01).all()


@pytest.mark.parametrize(
    ("shift_s", "to_s", "reason"),
    [
        (0.0, 0.0, ""),
        (0.34, 0.3, ""),  # up to 90 ms beyond the last sample, within one period of the lidar
        (0.36, 0.3, "after_motion"),
        (0.0, 0.41, "after_motion"),
        (-0.36, -0.3, "before_motion"),
        (0.0, 5.0, "no_motion"),
        (9.0, 0.0, "after_motion"),
    ],
)
def test_what_the_motion_does_not_reach_is_left_as_it_is(shift_s: float, to_s: float, reason: str) -> None:
    rig = make_rig()
    history = twists(rig, constant(*FAST_TURN))
    if reason == "no_motion":
        history = MotionHistory(rig.stream("odometry"), MS)
    points, times = sweep()
    done = run(rig, history, points, times + np.float32(shift_s), to_s)
    assert done.reason == reason
    assert (done.cloud.points is points) == bool(reason)


def test_a_hole_in_the_motion_is_not_bridged() -> None:
    points, times = sweep()
    for reach_ms, reason in ((40.0, "motion_gap"), (60.0, "")):
        rig = make_rig(reach_ms=reach_ms)
        history = MotionHistory(rig.stream("odometry"), 10_000 * MS)
        for k, at_ms in enumerate((-70, -60, -50, 50, 60)):
            at_ns = STAMP_NS + at_ms * MS
            history.observe(Sample("odometry", at_ns, at_ns, k, Twist(np.ones(3), np.ones(3))))
        assert run(rig, history, points, times).reason == reason


@pytest.mark.parametrize("fewer", [0, 1])
def test_one_twist_is_enough_but_one_pose_is_not(fewer: int) -> None:
    rig = make_rig("pose")
    history = MotionHistory(rig.stream("odometry"), 10_000 * MS)
    for k in range(2 - fewer):
        at_ns = STAMP_NS + (20 * k - 50) * MS
        history.observe(Sample("odometry", at_ns, at_ns, k, Pose(np.full(3, k), np.array([0.0, 0, 0, 1]))))
    assert run(rig, history, *sweep()).reason == ("no_motion" if fewer else "")
    rig = make_rig("twist")
    history = MotionHistory(rig.stream("odometry"), 10_000 * MS)
    history.observe(Sample("odometry", STAMP_NS, STAMP_NS, 0, Twist(np.ones(3), np.ones(3))))
    assert run(rig, history, *sweep()).reason == ""


def test_a_wrong_sweep_or_rig_is_refused_with_a_remedy() -> None:
    rig = make_rig()
    history, (points, times) = twists(rig, constant(*FAST_TURN)), sweep()
    with pytest.raises(SampleError, match=r"float32 \[2000\], not float64"):
        run(rig, history, points, times.astype(np.float64))
    with pytest.raises(SampleError, match=r"not float32 \[1999\]"):
        run(rig, history, points, times[1:])
    with pytest.raises(SampleError, match=r"\[N, 4\]"):
        run(rig, history, points[:, :3], times)
    with pytest.raises(RigError, match="is a twist"):
        Deskewer(rig, "odometry")
    with pytest.raises(RigError, match="names no motion"):
        Deskewer(rig.model_copy(update={"deskew": None}), "lidar")
