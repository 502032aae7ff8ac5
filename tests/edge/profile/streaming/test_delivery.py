"""At what rate a source really delivered."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edge.profile.streaming.delivery import DeliveryMeter, slowness_note
from edge.runtime.clock import VirtualClock
from edge.runtime.sample import PointCloud, Sample

MS = 1_000_000
CLOUD = PointCloud(np.zeros((1, 4), np.float32))


def pushed(clock: VirtualClock, every_ms: int, count: int, meter: DeliveryMeter) -> None:
    """A feeder that is slower than the arrivals say: the push of each sample takes until `every_ms` after the last."""
    samples = (Sample(name, k * MS, k * MS, k, CLOUD) for k in range(count) for name in ("camera", "lidar"))
    for sample in meter.passing(samples):
        if sample.stream == "lidar":
            clock.wait_until_ns(clock.now_ns() + every_ms * MS)


@pytest.mark.parametrize(
    ("every_ms", "count", "rate_hz"), [(100, 21, 10.0), (250, 9, 4.0), (100, 1, None), (0, 5, None)]
)
def test_the_rate_is_that_of_the_pushes(every_ms: int, count: int, rate_hz: float | None) -> None:
    clock = VirtualClock()
    meter = DeliveryMeter("lidar", clock.now_ns)
    pushed(clock, every_ms, count, meter)
    assert meter.delivered == count
    assert meter.rate_hz == (None if rate_hz is None else pytest.approx(rate_hz))


def test_samples_pass_unchanged_and_one_by_one() -> None:
    drawn: list[int] = []

    def source() -> Iterator[Sample]:
        for k in range(3):
            drawn.append(k)
            yield Sample("lidar", k, k, k, CLOUD)

    passing = DeliveryMeter("lidar", VirtualClock().now_ns).passing(source())
    assert next(passing).seq == 0 and drawn == [0]
    assert [sample.seq for sample in passing] == [1, 2]


@pytest.mark.parametrize(("delivered_hz", "told"), [(9.8, False), (12.0, False), (9.6, True), (None, True)])
def test_a_source_that_is_too_slow_is_told_in_one_line(delivered_hz: float | None, told: bool) -> None:
    note = slowness_note("lidar", 10.0, delivered_hz)
    assert (note is not None) == told
    if delivered_hz == 9.6:
        assert note is not None and "delivered lidar at 9.6 Hz where 10 Hz were asked for" in note
        assert "\n" not in note
