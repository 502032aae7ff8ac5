"""Sensors that deliver in real time, at the rates of the rig and with content that never repeats."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.sample import AudioChunk, Image, Payload, PointCloud, Sample, Twist

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from edge.runtime.rig import Rig

# From a stamp to its arrival: exposure or sweep, transport; the audio interface stamps 8 ms late.
_DELAYS_MS = {"camera": 15, "lidar": 80, "audio": 17, "odometry": 2}
_JITTER_MS = 1.0
_POINTS = 1500
_SPEED = 12.0


class RealTimeSensor:
    """One stream as a driver hands it over; a `Source` that sleeps until each sample is due.

    Args:
        rig: The stream's rate and sizes.
        stream: Its name.
        stop: Ends it.
        seed: Of contents and jitter.
    """

    description = "real time"

    def __init__(self, rig: Rig, stream: str, stop: threading.Event, seed: int) -> None:
        self.rig = rig
        self._name, self._stop = stream, stop
        self._random = np.random.default_rng(seed)

    def samples(self) -> Iterator[Sample]:
        """Samples until it is stopped; the first is stamped now."""
        origin_ns, period_ns = time.monotonic_ns(), self.rig.stream(self._name).period_ns
        for k in count():
            stamp_ns = origin_ns + k * period_ns
            jitter_ns = round(min(self._random.exponential(_JITTER_MS), 8 * _JITTER_MS) * NS_PER_MS)
            arrival_ns = stamp_ns + _DELAYS_MS[self._name] * NS_PER_MS + jitter_ns
            if self._stop.wait(max(0.0, (arrival_ns - time.monotonic_ns()) / NS_PER_S)):
                return
            yield Sample(self._name, stamp_ns, arrival_ns, k, self._payload())

    def _payload(self) -> Payload:
        random, stream = self._random, self.rig.stream(self._name)
        if stream.intrinsics is not None:
            shape = (stream.intrinsics.height, stream.intrinsics.width, 3)
            return Image(random.integers(1, 255, shape, np.uint8))
        if stream.kind == "lidar":
            points = random.uniform(1, 40, (_POINTS, 4)).astype(np.float32)
            points[:, 3] /= 40
            return PointCloud(points, np.linspace(-0.05, 0.05, _POINTS, dtype=np.float32))
        if stream.sample_rate_hz is not None:
            values = round(stream.sample_rate_hz / stream.rate_hz)
            return AudioChunk(random.normal(0, 0.1, (1, values)).astype(np.float32), stream.sample_rate_hz)
        return Twist(np.array([_SPEED, 0, 0]) + random.normal(0, 0.1, 3), random.normal(0, 0.02, 3))
