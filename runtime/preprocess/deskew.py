"""Motion compensation: points of a lidar sweep are brought to one instant, by how the vehicle moved meanwhile.

A sweep lasts a tenth of a second. At 15 m/s its first and its last point are seen from places 1.5 m apart, and a
slow turn of 0.5 rad/s shifts what is 40 m away by 2 m. What moves by itself stays smeared by its own motion.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime import _core
from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.errors import RigError, SampleError
from edge.runtime.preprocess.lidar_view import check_points
from edge.runtime.preprocess.motion import MotionHistory
from edge.runtime.rig import TO_STAMP
from edge.runtime.sample import PointCloud
from edge.runtime.synchronize.tally import drop_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.runtime.rig import Deskew, Rig
    from edge.runtime.sample import Payload, Sample
    from edge.runtime.synchronize.messages import StreamHealth
    from edge.runtime.synchronize.synced import SyncedSet

NO_POINT_TIMES, NO_MOTION, UNUSABLE = "no_point_times", "no_motion", "unusable"
# As the core numbers its outcomes.
_OUTCOMES = ("", NO_POINT_TIMES, "before_motion", "after_motion", "motion_gap")
# Motion is looked up for so many periods of the lidar around a sweep's stamp; no point's time lies further away.
_AROUND = 2
# Motion is kept for so much longer than a held sweep may be old: what a slow model makes it wait.
_KEEP_NS = 2 * NS_PER_S


@dataclass(frozen=True, slots=True, eq=False)
class Deskewed:
    """A sweep, and what became of it.

    Attributes:
        cloud: A new one whose points all stand for the same instant, or the given one, untouched.
        reason: Why it is the given one; empty where it was deskewed.
        timeless: Points that stay where they were, since their own time is not finite.
    """

    cloud: PointCloud
    reason: str
    timeless: int = 0


class Deskewer:
    """Deskews the sweeps of one lidar. Re-entrant; inputs are never changed.

    Args:
        rig: Where the lidar and what measures the motion sit.
        lidar: A stream of kind `lidar`.

    Raises:
        RigError: The rig has no such lidar, or does not say what measures the motion.
    """

    def __init__(self, rig: Rig, lidar: str) -> None:
        if rig.deskew is None:
            raise RigError(f"rig '{rig.name}' names no motion", "add deskew: {motion: STREAM} to rig.yaml")
        stream = rig.stream(lidar)
        if stream.kind != "lidar":
            raise RigError(f"stream '{lidar}' is a {stream.kind}", "name a lidar to deskew")
        reach_ms = rig.deskew.reach_ms
        self._reach_ns = stream.period_ns if reach_ms is None else round(reach_ms * NS_PER_MS)
        self._around_ns = _AROUND * stream.period_ns + self._reach_ns
        self._motion_from_lidar = [float(v) for v in rig.transform(rig.deskew.motion, lidar)[:3].ravel()]

    def run(self, cloud: PointCloud, stamp_ns: int, target_ns: int, history: MotionHistory) -> Deskewed:
        """The points as the lidar would have seen them at `target_ns`.

        Zero returns and points that are not finite stay what they are, so no view or count sees them. The sweep is
        left as it is where its points have no times (`no_point_times`), and where an instant is further than the
        rig's reach from the next motion sample: `no_motion` at all, `before_motion`, `after_motion`, `motion_gap`.

        Args:
            cloud: The sweep; `time_offset_s` counts from its stamp, in any order. The new cloud has none: its
                points cannot be deskewed twice.
            stamp_ns: Its stamp in host time.
            target_ns: The instant to bring it to, in host time.
            history: The motion.

        Raises:
            SampleError: Points or times have another type or shape.
        """
        points = check_points(cloud.points)
        if cloud.time_offset_s is None:
            return Deskewed(cloud, NO_POINT_TIMES)
        times = _check_times(cloud.time_offset_s, len(points))
        first_ns, last_ns = min(stamp_ns, target_ns), max(stamp_ns, target_ns)
        motion = history.trajectory(stamp_ns, first_ns - self._around_ns, last_ns + self._around_ns)
        if motion is None:
            return Deskewed(cloud, NO_MOTION)
        moved, target_s = np.empty_like(points), (target_ns - stamp_ns) / NS_PER_S
        outcome, timeless = _core.deskew(
            motion, self._motion_from_lidar, target_s, self._reach_ns / NS_PER_S, points, times, moved
        )
        if outcome:
            return Deskewed(cloud, _OUTCOMES[outcome])
        return Deskewed(PointCloud(moved), "", timeless)


class MotionCompensation:
    """What the run path asks: feeds on motion samples, deskews the sweeps of synchronized sets.

    Without a `deskew` entry in the rig it does nothing. One thread may observe while another compensates.

    Args:
        rig: All sensors of the run.
    """

    def __init__(self, rig: Rig) -> None:
        self._settings: Deskew | None = rig.deskew
        self._counts: Counter[str] = Counter()
        if rig.deskew is None:
            return
        lidars = {name: stream for name, stream in rig.streams.items() if stream.kind == "lidar"}
        self._deskewers = {name: Deskewer(rig, name) for name in lidars}
        held_ns = max((round(s.max_age_ms * NS_PER_MS) + 2 * _AROUND * s.period_ns for s in lidars.values()), default=0)
        self._history = MotionHistory(rig.stream(rig.deskew.motion), _KEEP_NS + held_ns)

    @property
    def streams(self) -> tuple[str, ...]:
        """The motion stream, where there is one: what must be observed beside the streams that the model reads."""
        return () if self._settings is None else (self._settings.motion,)

    @property
    def counts(self) -> dict[str, int]:
        """Sweeps by what became of them, as `lidar:deskewed` or `lidar:reason` where they were left as they are.

        `lidar:to_stamp` counts those of the deskewed that were brought to the set's stamp, as the camera that they
        should have been brought to gave no image; `lidar:timeless_points` single points without a time of their own.
        """
        return dict(sorted(self._counts.items()))

    @property
    def dropped(self) -> dict[str, int]:
        """Samples of motion that were not used, as `stream:reason`."""
        return {} if self._settings is None else drop_counts(self.streams, lambda _place: self._history.health_of())

    def health(self, stream: str) -> StreamHealth:
        """Running facts of the motion stream and its clock."""
        assert stream in self.streams, "only the motion stream is kept here"
        return self._history.health_of()

    def observe(self, sample: Sample) -> str | None:
        """Takes a sample if it is of the motion stream.

        Returns:
            None where it is of another stream; otherwise why its payload cannot be used, or nothing.
        """
        if self._settings is None or sample.stream != self._settings.motion:
            return None
        return self._history.observe(sample)

    def compensate(self, synced: SyncedSet) -> SyncedSet:
        """The set with its sweeps deskewed as far as that is possible; stamps and ages stay those of the sweeps."""
        if self._settings is None:
            return synced
        moved = {name: self._compensated(name, synced) for name in self._deskewers if name in synced.samples}
        return replace(synced, samples={**synced.samples, **moved}) if moved else synced

    def _compensated(self, lidar: str, synced: SyncedSet) -> Sample:
        sample = synced.samples[lidar]
        target_ns = self._camera_ns(synced)
        try:
            done = self._deskewers[lidar].run(
                _expect_cloud(sample.payload),
                synced.stamps_ns[lidar],
                synced.stamp_ns if target_ns is None else target_ns,
                self._history,
            )
        except SampleError:  # the preprocessing refuses it too, and says why
            self._counts[f"{lidar}:{UNUSABLE}"] += 1
            return sample
        self._count(lidar, done, to_stamp=target_ns is None)
        return sample if done.reason else replace(sample, payload=done.cloud)

    def _camera_ns(self, synced: SyncedSet) -> int | None:
        """Of the camera that points are brought to; None without one, or where it gave no image."""
        assert self._settings is not None
        return None if self._settings.to == TO_STAMP else synced.stamps_ns.get(self._settings.to)

    def _count(self, lidar: str, done: Deskewed, *, to_stamp: bool) -> None:
        assert self._settings is not None
        self._counts[f"{lidar}:{done.reason or 'deskewed'}"] += 1
        if not done.reason and to_stamp and self._settings.to != TO_STAMP:
            self._counts[f"{lidar}:to_stamp"] += 1
        if done.timeless:
            self._counts[f"{lidar}:timeless_points"] += done.timeless


def _expect_cloud(payload: Payload) -> PointCloud:
    if not isinstance(payload, PointCloud):
        raise SampleError(f"the payload is a {type(payload).__name__}, no sweep", "map the stream to the lidar")
    return payload


def _check_times(times: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    if times.dtype != np.float32 or times.shape != (count,):
        raise SampleError(
            f"times of {count} points must be float32 [{count}], not {times.dtype} {list(times.shape)}",
            "give every point its time in seconds relative to the sweep's stamp",
        )
    return np.ascontiguousarray(times)
