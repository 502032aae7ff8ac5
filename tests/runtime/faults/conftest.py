"""A healthy source of four streams, regular and with small payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.runtime.rig import Intrinsics, Rig, Stream
from edge.runtime.sample import AudioChunk, Image, Payload, PointCloud, Reading, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.runtime.sources.base import Source

MS = 1_000_000
ORIGIN = 7_000_000 * MS
LENS = Intrinsics(width=8, height=6, fx=8, fy=8, cx=4, cy=3)
STREAMS = {
    "camera": Stream(kind="camera", rate_hz=1000 / 33, transport_ms=15, intrinsics=LENS),
    "lidar": Stream(kind="lidar", rate_hz=10, stamp="end", transport_ms=30),
    "audio": Stream(kind="audio", rate_hz=50, stamp="first-sample", transport_ms=5, sample_rate_hz=1000),
    "speed": Stream(kind="table", rate_hz=4, fields=("x", "y")),
}
PERIOD_MS = {"camera": 33, "lidar": 100, "audio": 20, "speed": 250}
DELAY_MS = {"camera": 15, "lidar": 30, "audio": 25, "speed": 1}


class RegularSource:
    """`seconds` of every stream; the first sample arrives at `ORIGIN`."""

    description = "regular"

    def __init__(self, seconds: float) -> None:
        self.rig = Rig(schema=1, anchor="lidar", streams=STREAMS)
        samples = [self._sample(name, k) for name in STREAMS for k in range(int(seconds * 1000) // PERIOD_MS[name])]
        self._samples = sorted(samples, key=lambda s: s.arrival_ns)

    def samples(self) -> Iterator[Sample]:
        return iter(self._samples)

    def _sample(self, name: str, k: int) -> Sample:
        stamp = ORIGIN + (k * PERIOD_MS[name] - 1) * MS
        return Sample(name, stamp, stamp + DELAY_MS[name] * MS, k, payload(name, k))


def payload(name: str, k: int) -> Payload:
    if name == "camera":
        return Image(np.full((6, 8, 3), 1 + k % 250, np.uint8))
    if name == "lidar":
        return PointCloud(np.full((5, 4), k, np.float32), np.zeros(5, np.float32))
    if name == "audio":
        return AudioChunk(np.full((1, 20), k / 1000, np.float32), 1000)
    return Reading(np.full(2, k, np.float32), ("x", "y"))


@pytest.fixture(scope="session")
def healthy() -> Source:
    """Six seconds."""
    return RegularSource(6.0)
