"""How the vehicle moved of late: the last samples of a twist or pose stream, in host time."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime import _core
from edge.runtime.clock import NS_PER_S
from edge.runtime.sample import Pose, Twist
from edge.runtime.synchronize.policies import Latest
from edge.runtime.synchronize.rig_streams import spec_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.runtime.rig import Stream
    from edge.runtime.sample import Payload, Sample
    from edge.runtime.synchronize.messages import StreamHealth

_PAYLOADS: dict[str, type[Twist] | type[Pose]] = {"twist": Twist, "pose": Pose}
LARGEST_VELOCITY = 1e4  # m/s or rad/s; what lies above is no motion of a vehicle
UNIT_TOLERANCE = 1e-3
_SPARE = 2  # times as many samples are kept as the declared rate brings


class MotionHistory:
    """The newest samples of one motion stream; bounded. Threads may share it.

    Stamps are brought to host time by the synchronizer's own rules: the stream's latency offset and, once its clock
    has stepped, a new offset. While a step is suspected, samples wait; that leaves a gap, not a wrong time.

    Args:
        stream: Of kind `twist` or `pose`.
        keep_ns: How far back from the newest sample the motion may be asked for.

    Raises:
        ConfigError: The stream's numbers contradict each other.
    """

    def __init__(self, stream: Stream, keep_ns: int) -> None:
        self._kind = stream.kind
        self._clock = Latest((spec_of(stream),), 0)
        self._keep_ns = keep_ns
        self._capacity = 8 + _SPARE * keep_ns // stream.period_ns
        self._lock = threading.Lock()
        self._handle = 0
        self._waiting: dict[int, NDArray[np.float64]] = {}  # what the clock still refers to, by handle
        self._stamps: list[int] = []
        self._rows: list[NDArray[np.float64]] = []

    def __len__(self) -> int:
        return len(self._stamps)

    def health_of(self, stream: int = 0) -> StreamHealth:
        """The stream's delays, clock steps and drift, and what was let go of; it is the only one."""
        with self._lock:
            return self._clock.health(stream)

    def observe(self, sample: Sample) -> str:
        """Takes a sample at its arrival.

        Returns:
            Why its payload cannot be used, as `motion_refusal` says it, or nothing.

        Raises:
            SampleError: Stamp or arrival do not fit in 64 bits.
        """
        reason = motion_refusal(sample.payload, self._kind)
        if reason:
            return reason
        with self._lock:
            self._take(sample)
        return ""

    def _take(self, sample: Sample) -> None:
        self._handle += 1
        self._waiting[self._handle] = _row(sample.payload)
        for known in self._clock.push(0, sample.stamp_ns, sample.arrival_ns, self._handle):
            self._stamps.append(known.anchor_stamp_ns)  # they only grow
            self._rows.append(self._waiting[known.members[0].handles[0]])
        for gone in self._clock.take_released():
            del self._waiting[gone.handle]
        self._forget()

    def _forget(self) -> None:
        if self._stamps:
            old = bisect_left(self._stamps, self._stamps[-1] - self._keep_ns)
            old = max(old, len(self._stamps) - self._capacity)
            del self._stamps[:old], self._rows[:old]

    def trajectory(self, zero_ns: int, from_ns: int, to_ns: int) -> _core.Trajectory | None:
        """The motion from the last sample before `from_ns` to the first after `to_ns`; its times count from `zero_ns`.

        Returns:
            None where there are too few samples: no twist, or fewer than two poses.
        """
        with self._lock:
            first = max(0, bisect_right(self._stamps, from_ns) - 1)
            last = bisect_left(self._stamps, to_ns) + 1
            stamps, found = self._stamps[first:last], self._rows[first:last]
        if len(stamps) < (1 if self._kind == "twist" else 2):
            return None
        times_s = np.array([(stamp - zero_ns) / NS_PER_S for stamp in stamps])
        rows = np.stack(found)
        if self._kind == "twist":
            return _core.Trajectory.along_twists(times_s, rows)
        return _core.Trajectory.through_poses(times_s, rows)


def _row(payload: Payload) -> NDArray[np.float64]:
    if isinstance(payload, Twist):
        return np.concatenate([payload.linear, payload.angular]).astype(np.float64)
    assert isinstance(payload, Pose)
    return np.concatenate([payload.position, payload.quaternion]).astype(np.float64)


def motion_refusal(payload: Payload, kind: str) -> str:
    """Why a payload of a `twist` or `pose` stream cannot be used, as a short reason for counting; empty where it can.

    `wrong_kind`, `wrong_size`, `not_finite`, `implausible` velocities, or a quaternion that is `not_unit`.
    """
    if not isinstance(payload, _PAYLOADS[kind]):
        return "wrong_kind"
    if isinstance(payload, Twist):
        return _numbers_refusal((payload.linear, payload.angular), (3, 3)) or _speed_refusal(payload)
    assert isinstance(payload, Pose)
    reason = _numbers_refusal((payload.position, payload.quaternion), (3, 4))
    if reason:
        return reason
    return "" if abs(float(np.linalg.norm(payload.quaternion)) - 1.0) <= UNIT_TOLERANCE else "not_unit"


def _speed_refusal(twist: Twist) -> str:
    largest = max(float(np.abs(twist.linear).max()), float(np.abs(twist.angular).max()))
    return "" if largest < LARGEST_VELOCITY else "implausible"


def _numbers_refusal(arrays: Sequence[NDArray[np.float64]], sizes: Sequence[int]) -> str:
    if any(array.shape != (size,) for array, size in zip(arrays, sizes, strict=True)):
        return "wrong_size"
    return "" if all(np.isfinite(array).all() for array in arrays) else "not_finite"
