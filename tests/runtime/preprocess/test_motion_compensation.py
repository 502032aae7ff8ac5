"""Motion compensation in the run path: clocks, targets, figures, and samples that tell no motion."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.runtime.bundle import Bundle
from edge.runtime.errors import RigError
from edge.runtime.faults.grammar import parse_fault
from edge.runtime.fusion import complete_rig
from edge.runtime.live.runtime import Runtime
from edge.runtime.live_clock import ManualClock
from edge.runtime.pipeline import Pipeline
from edge.runtime.preprocess.deskew import MotionCompensation
from edge.runtime.preprocess.motion import MotionHistory
from edge.runtime.rig import Deskew, Rig, Stream
from edge.runtime.sample import Image, Payload, PointCloud, Pose, Reading, Sample, Twist
from edge.runtime.sanity.gate import SanityGate
from edge.runtime.simulate.rig import street_rig
from edge.runtime.sources.merge import MergedSource
from edge.runtime.synchronize.synced import SyncedSet
from edge.runtime.trace.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MS = 1_000_000
SPEED = 10.0  # m/s, straight ahead
ODOMETRY = Stream(kind="twist", rate_hz=100, transport_ms=2.0)


def moving_rig(to: str = "stamp", **changes: Any) -> Rig:
    streams = {**street_rig().streams, "odometry": ODOMETRY.model_copy(update=changes)}
    return street_rig().model_copy(update={"streams": streams, "deskew": Deskew(motion="odometry", to=to)})


def ahead(at_ms: float, payload: Payload | None = None, clock_ms: float = 0.0) -> Sample:
    """A sample of the odometry; `clock_ms` is how far its clock is ahead."""
    payload = payload or Twist(np.array([SPEED, 0, 0]), np.zeros(3))
    return Sample("odometry", round((at_ms + clock_ms) * MS), round((at_ms + 2) * MS), 0, payload)


def cloud(times_s: tuple[float, ...] = (-0.05, 0.0, 0.04)) -> PointCloud:
    points = np.tile(np.array([20, 1, 0, 0.5], np.float32), (len(times_s), 1))
    return PointCloud(points, np.array(times_s, np.float32))


def synced(at_ms: int, camera_ms: int | None, payload: Payload | None = None) -> SyncedSet:
    samples = {"lidar": Sample("lidar", 7, 8, 0, payload or cloud())}  # its own stamp does not count
    stamps = {"lidar": at_ms * MS}
    if camera_ms is not None:
        samples["camera"] = Sample("camera", 7, 8, 0, Image(np.zeros((2, 2), np.uint8), "mono8"))
        stamps["camera"] = camera_ms * MS
    return SyncedSet(0, at_ms * MS, samples, stamps, (), {}, at_ms * MS, 0.0, False)


def feed(motion: MotionCompensation, until_ms: int = 300) -> None:
    for at_ms in range(0, until_ms, 10):
        assert motion.observe(ahead(at_ms)) == ""


def figures(motion: MotionCompensation) -> Trace:
    """As a run ends with them."""
    trace = Trace("lidar")
    trace.deskew.update(motion.counts)
    trace.dropped.update(motion.dropped)
    for name in motion.streams:
        trace.add_health(name, motion.health(name))
    return trace


def x_of(given: SyncedSet) -> list[float]:
    payload = given.samples["lidar"].payload
    assert isinstance(payload, PointCloud)
    return [float(x) for x in payload.points[:, 0]]


def test_points_are_brought_to_the_sets_stamp_or_to_the_cameras() -> None:
    for to, camera_ms, expected in (
        ("stamp", 90, [19.5, 20.0, 20.4]),
        ("camera", 90, [19.6, 20.1, 20.5]),
        ("camera", None, [19.5, 20.0, 20.4]),
    ):
        motion = MotionCompensation(moving_rig(to))
        feed(motion)
        given = synced(100, camera_ms)
        done = motion.compensate(given)
        assert x_of(done) == pytest.approx(expected, abs=1e-4)
        assert x_of(given) == [20.0] * 3
        assert done.stamps_ns == given.stamps_ns
        assert (done.samples["lidar"].stamp_ns, done.samples["lidar"].arrival_ns) == (7, 8)
        astray = {"lidar:to_stamp": 1} if to == "camera" and camera_ms is None else {}
        assert motion.counts == {"lidar:deskewed": 1, **astray}


def test_a_held_sweep_is_moved_by_all_that_has_passed_since() -> None:
    motion = MotionCompensation(moving_rig("camera"))
    feed(motion, 400)
    assert x_of(motion.compensate(synced(100, 300))) == pytest.approx([17.5, 18.0, 18.4], abs=1e-4)


def test_every_sweep_is_counted_by_what_became_of_it() -> None:
    motion = MotionCompensation(moving_rig())
    given = synced(100, None)
    assert motion.compensate(given).samples["lidar"] is given.samples["lidar"]
    feed(motion)
    timeless = PointCloud(cloud().points)
    late = synced(390, None)
    for each in (given, synced(100, None, timeless), late, synced(100, None, cloud((0.0, np.nan))), synced(-90, None)):
        motion.compensate(each)
    broken = PointCloud(cloud().points, np.zeros(2, np.float32))
    assert motion.compensate(synced(100, None, broken)).samples["lidar"].payload is broken
    motion.compensate(synced(100, None, Reading(np.zeros(1, np.float32), ("x",))))
    assert motion.counts == {
        "lidar:after_motion": 1,
        "lidar:before_motion": 1,
        "lidar:deskewed": 2,
        "lidar:no_motion": 1,
        "lidar:no_point_times": 1,
        "lidar:timeless_points": 1,
        "lidar:unusable": 2,
    }


def test_without_a_deskew_entry_nothing_is_done() -> None:
    motion = MotionCompensation(street_rig())
    given = synced(100, 100)
    assert motion.observe(ahead(0)) is None
    assert motion.compensate(given) is given
    assert motion.counts == {}


def test_samples_of_other_streams_are_left_to_others() -> None:
    motion = MotionCompensation(moving_rig())
    assert motion.observe(Sample("lidar", 0, 0, 0, cloud())) is None


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (Twist(np.array([1, np.nan, 0]), np.zeros(3)), "not_finite"),
        (Twist(np.zeros(3), np.array([0, 0, np.inf])), "not_finite"),
        (Twist(np.zeros(2), np.zeros(3)), "wrong_size"),
        (Twist(np.array([2e4, 0, 0]), np.zeros(3)), "implausible"),
        (Pose(np.zeros(3), np.array([0, 0, 0, 1.0])), "wrong_kind"),
        (cloud(), "wrong_kind"),
    ],
)
def test_a_twist_that_tells_no_motion_is_refused(payload: Payload, reason: str) -> None:
    assert MotionCompensation(moving_rig()).observe(ahead(0, payload)) == reason
    assert SanityGate(moving_rig()).refusal(ahead(0, payload)) == reason


def test_a_pose_needs_a_quaternion_of_unit_length() -> None:
    motion = MotionCompensation(moving_rig(kind="pose"))
    assert motion.observe(ahead(0, Pose(np.zeros(3), np.array([0, 0, 0, 0.9])))) == "not_unit"
    assert motion.observe(ahead(0, Pose(np.zeros(3), np.array([0, 0, 0, 1.0])))) == ""
    assert motion.observe(ahead(0, Pose(np.ones(3), np.array([0, 0, 0, 1.0])))) == ""
    assert sum(figures(motion).dropped.values()) == 1  # two samples of one stamp


def poses(history: MotionHistory, at_ms: float) -> list[float]:
    found = history.trajectory(0, round(at_ms * MS), round(at_ms * MS))
    assert found is not None
    return found.at(at_ms / 1000)


def test_stamps_are_shifted_by_the_latency_offset() -> None:
    history = MotionHistory(ODOMETRY.model_copy(update={"latency_offset_ms": -8.0}), 1000 * MS)
    for at_ms in (0, 10, 20, 30):
        speed = Twist(np.array([float(at_ms), 0, 0]), np.zeros(3))
        assert history.observe(ahead(at_ms, speed, clock_ms=8.0)) == ""
    found = history.trajectory(0, 0, 30 * MS)
    assert found is not None
    # From 0 to 30 mm/ms in 30 ms: the mean is 15 m/s.
    assert found.at(0.03)[3] - found.at(0.0)[3] == pytest.approx(0.45)


def test_a_clock_that_steps_leaves_a_gap_and_no_wrong_times() -> None:
    motion = MotionCompensation(moving_rig())
    feed(motion)
    step_ms = 3_600_000.0
    for at_ms in range(300, 400, 10):
        assert motion.observe(ahead(at_ms, clock_ms=step_ms)) == ""
    assert figures(motion).streams["odometry"].summary()["epochs"] == 1
    done = motion.compensate(synced(350, None))
    assert x_of(done) == pytest.approx([19.5, 20.0, 20.4], abs=1e-4)
    assert motion.counts == {"lidar:deskewed": 1}
    assert figures(motion).dropped == {}


def test_a_stamp_from_the_future_is_dropped_and_counted() -> None:
    motion = MotionCompensation(moving_rig())
    feed(motion, 200)
    motion.observe(ahead(200, clock_ms=5000.0))
    for at_ms in range(210, 300, 10):
        motion.observe(ahead(at_ms))
    assert figures(motion).dropped == {"odometry:future": 1}
    assert x_of(motion.compensate(synced(200, None))) == pytest.approx([19.5, 20.0, 20.4], abs=1e-4)


@pytest.mark.parametrize(
    ("fault", "reason"), [("nan", "not_finite"), ("empty", "wrong_size"), ("wrong-size", "wrong_size")]
)
@pytest.mark.parametrize("kind", ["twist", "pose"])
def test_injected_faults_are_refused(fault: str, reason: str, kind: str) -> None:
    pose = Pose(np.zeros(3), np.array([0, 0, 0, 1.0]))
    given = ahead(0, pose if kind == "pose" else None)
    alter = parse_fault(f"odometry:{fault}@0s+1s").alteration(0, (1,))
    (spoiled,) = alter(given)
    motion = MotionCompensation(moving_rig(kind=kind))
    assert motion.observe(given) == ""
    assert motion.observe(spoiled) == reason


def test_the_past_is_bounded_in_time_and_number() -> None:
    history = MotionHistory(ODOMETRY, 100 * MS)
    for k in range(2000):
        history.observe(ahead(10 * k))
    assert len(history) == 11
    for k in range(500):  # a stream that is much faster than declared
        history.observe(ahead(20_000 + 0.01 * k))
    assert len(history) <= 8 + 2 * 10
    assert history.trajectory(0, 0, 0) is None or poses(history, 20_004)


class MovingSource:
    """The street's camera and lidar, a wall 20 m ahead of a vehicle at `SPEED`, and its odometry."""

    description = "moving"

    def __init__(self, rig: Rig, *, odometry_until_ms: int = 10_000) -> None:
        self.rig = rig
        self._until_ms = odometry_until_ms

    def samples(self) -> Iterator[Sample]:
        lens = self.rig.intrinsics("camera")
        times = np.linspace(-0.05, 0.05, 101).astype(np.float32)
        due = []
        for k in range(60):
            image = Image(np.full((lens.height, lens.width, 3), 90 + k % 2, np.uint8))
            due.append(Sample("camera", k * 33_366_700, k * 33_366_700 + 15 * MS, k, image))
        for k in range(20):
            points = np.column_stack([20 - SPEED * times, np.linspace(-3, 3, 101), 0 * times, 0 * times + 0.5])
            points[:, 2] += 0.001 * k
            payload = PointCloud(points.astype(np.float32), times)
            due.append(Sample("lidar", (k * 100 + 50) * MS, (k * 100 + 130) * MS, k, payload))
        if "odometry" in self.rig.streams:
            due += [ahead(at_ms) for at_ms in range(0, min(2100, self._until_ms), 10)]
        yield from sorted(due, key=lambda s: s.arrival_ns)


class WatchingEngine:
    """Notes how deep the lidar view is; answers like `small_graph`."""

    name = "watching"

    def __init__(self) -> None:
        self.depth_spread: list[float] = []

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        depth, _, _, mask = inputs["lidar"][0]
        if mask.any():
            self.depth_spread.append(float(np.ptp(depth[mask > 0])))
        objects = np.zeros((1, 3, 4, 13), np.float32)
        distance = np.zeros((1, 1, 4, 13), np.float32)
        return {"objects": objects, "distance": distance, "events": np.zeros((1, 2), np.float32)}


@pytest.fixture
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


def test_the_model_sees_a_flat_wall_and_the_report_says_why(bundle: Bundle) -> None:
    engine, skewed = WatchingEngine(), WatchingEngine()
    trace = Pipeline(bundle, MovingSource(moving_rig()), engine).run()
    assert trace.summary()["deskew"] == {"lidar:deskewed": 20}
    assert trace.streams["odometry"].received == 210
    assert trace.fused == 20 and trace.dropped == {}
    trace = Pipeline(bundle, MovingSource(street_rig()), skewed).run()
    assert trace.summary()["deskew"] == {}
    assert max(engine.depth_spread) < 1e-3
    assert min(skewed.depth_spread) > 1e-2


def test_live_sweeps_are_deskewed_too(bundle: Bundle) -> None:
    engine, clock = WatchingEngine(), ManualClock(0)
    with Runtime(bundle, moving_rig(), engine, clock=clock, depth=64) as runtime:
        for sample in MovingSource(moving_rig()).samples():
            clock.move_to(sample.arrival_ns)
            assert runtime.push(sample)
            assert runtime.settle(60)
        assert not runtime.push(ahead(3000, Twist(np.full(3, np.nan), np.zeros(3))))
        runtime.finish()
        assert len(list(runtime)) == 20
    summary = runtime.trace.summary()
    # What had arrived when a set was fused depends on the threads, but one period of the lidar is reached anyway.
    assert summary["deskew"] == {"lidar:deskewed": 20}
    assert summary["dropped"] == {"odometry:not_finite": 1}
    assert summary["streams"]["odometry"]["received"] == 211
    assert max(engine.depth_spread) < 1e-3


def test_motion_that_ends_is_followed_for_a_period_and_then_counted(bundle: Bundle) -> None:
    engine = WatchingEngine()
    trace = Pipeline(bundle, MovingSource(moving_rig(), odometry_until_ms=1000), engine).run()
    # The last twist is of 990 ms: sweeps up to the one that ends at 1,000 are within the lidar's period of it.
    assert trace.deskew == {"lidar:deskewed": 10, "lidar:after_motion": 10}
    assert trace.fused == 20


def test_the_bundles_word_on_deskewing_holds_where_the_source_has_none(bundle: Bundle) -> None:
    wanting = replace(bundle, rig=moving_rig())
    completed = complete_rig(street_rig(), wanting)
    assert completed.deskew == Deskew(motion="odometry") and "odometry" in completed.streams
    trace = Pipeline(wanting, MovingSource(street_rig()), WatchingEngine()).run()
    assert trace.deskew == {"lidar:no_motion": 20}
    table = Stream(kind="table", rate_hz=1, fields=("x",))
    other = street_rig().model_copy(update={"streams": {**street_rig().streams, "odometry": table}})
    with pytest.raises(RigError, match="tells no motion"):
        complete_rig(other, wanting)


def test_a_merged_source_keeps_the_entry() -> None:
    motion_only = Rig.model_validate(
        {"schema": 1, "anchor": "sun", "streams": {"sun": Stream(kind="table", rate_hz=1)}}
    )

    class Bare(MovingSource):
        def samples(self) -> Iterator[Sample]:
            return iter(())

    assert MergedSource([Bare(motion_only), Bare(moving_rig())]).rig.deskew == Deskew(motion="odometry")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"deskew": {"motion": "wheels"}}, "motion 'wheels'"),
        ({"deskew": {"motion": "lidar"}}, "motion 'lidar'"),
        ({"deskew": {"motion": "odometry", "to": "lidar"}}, "to 'lidar'"),
        ({"deskew": {"motion": "odometry", "reach_ms": 0}}, "reach_ms"),
        ({"deskew": {"motion": "odometry", "speed": 1}}, "speed"),
        ({"anchor": "odometry"}, "motion only"),
    ],
)
def test_a_rig_that_contradicts_itself_is_refused(changes: dict[str, Any], says: str) -> None:
    content = moving_rig().model_dump(mode="json", by_alias=True)
    assert Rig.model_validate(content) == moving_rig()
    with pytest.raises(ValueError, match=says):
        Rig.model_validate({**content, **changes})
