"""One run of a bundle through the live runtime at the pace of its source, with the road of every result kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from edge.profile.streaming.delivery import DeliveryMeter
from edge.runtime.clock import NS_PER_S
from edge.runtime.errors import RunError
from edge.runtime.live.feeder import Feeder
from edge.runtime.live.read_ahead import ReadAhead
from edge.runtime.live.runtime import Runtime
from edge.runtime.live_clock import HostClock
from edge.runtime.trace.road_recorder import RoadRecorder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from edge.runtime.fusion import Fusion
    from edge.runtime.live_clock import LiveClock
    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample
    from edge.runtime.sources.base import Source
    from edge.runtime.trace.road_recorder import Roads
    from edge.runtime.trace.trace import Trace

# Rows for so many times the results that the anchor's rate promises, and some.
_SPARE, _LEAST_ROWS = 1.5, 64


@dataclass(frozen=True)
class LiveRun:
    """What a run left behind.

    Attributes:
        roads: Of the results.
        trace: The run's figures.
        first_ns: Arrival of the first sample; None where the source gave none.
        delivered_hz: Rate of the anchor's samples as they were pushed; None where it cannot be told.
    """

    roads: Roads
    trace: Trace
    first_ns: int | None
    delivered_hz: float | None


def run_live(
    fusion: Fusion,
    rig: Rig,
    source: Source,
    duration_s: float,
    *,
    clock: LiveClock | None = None,
    on_result: Callable[[], None] | None = None,
) -> LiveRun:
    """Runs to the end of the source, or of the time.

    Args:
        fusion: Runs the model.
        rig: All sensors of the run.
        source: Its samples are pushed when they are due, read ahead by a thread.
        duration_s: From the first arrival on.
        clock: On the axis of the source's arrivals; the host's, laid so that the first sample arrives now, by default.
        on_result: Called after each result.

    Raises:
        SourceError: The source broke off.
        ModelError: The engine failed three times in a row.
    """
    read = {name for name in fusion.model_io.modalities if name in source.rig.streams}
    roads = RoadRecorder(
        fusion.model_io.modalities, math.ceil(_SPARE * duration_s * rig.stream(rig.anchor).rate_hz) + _LEAST_ROWS
    )
    motion = set() if rig.deskew is None else {rig.deskew.motion}
    with ReadAhead(_limited(source.samples(), read | motion, duration_s)) as ahead:
        first = next(ahead, None)
        begin_ns = 0 if first is None else first.arrival_ns
        clock = clock or HostClock(begin_ns - HostClock().now_ns())
        meter = DeliveryMeter(rig.anchor, clock.now_ns)
        runtime = Runtime(fusion, rig, streams=read, clock=clock, roads=roads)
        samples = meter.passing(chain([] if first is None else [first], ahead))
        with runtime, Feeder(samples, runtime, clock) as feeder:
            _drain(runtime, on_result)
            feeder.raise_failure()
    return LiveRun(roads.roads(), runtime.trace, None if first is None else begin_ns, meter.rate_hz)


def _drain(runtime: Runtime, on_result: Callable[[], None] | None) -> None:
    """Takes all results; what ended the run is raised as it was."""
    try:
        for _ in runtime:
            if on_result is not None:
                on_result()
    except RunError as error:
        raise error.__cause__ or error from None


def _limited(samples: Iterator[Sample], read: Collection[str], duration_s: float) -> Iterator[Sample]:
    first_ns: int | None = None
    for sample in samples:
        first_ns = sample.arrival_ns if first_ns is None else first_ns
        if sample.arrival_ns - first_ns > duration_s * NS_PER_S:
            return
        if sample.stream in read:
            yield sample
