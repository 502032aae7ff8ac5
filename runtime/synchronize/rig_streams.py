"""What the rig says of its streams, as the core's policies want to know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge.runtime.clock import NS_PER_MS
from edge.runtime.synchronize.policies import StreamSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge.runtime.rig import Rig, Stream

# The part of a measurement that is still to come at the instant that the stamp marks.
_REST = {"start": 1.0, "first-sample": 1.0, "mid": 0.5, "end": 0.0}


class RigStreams(NamedTuple):
    """Streams in the core's order: the anchor is among them even where nothing delivers it.

    Attributes:
        names: By position.
        specs: By position.
        anchor: Position of the stream that sets the pace.
        budget_ns: How long after its arrival the others are waited for, at most.
    """

    names: tuple[str, ...]
    specs: tuple[StreamSpec, ...]
    anchor: int
    budget_ns: int


def streams_of(rig: Rig, streams: Iterable[str], window_ns: Mapping[str, int]) -> RigStreams:
    """Picks `streams` and the anchor from the rig.

    Args:
        rig: Rates, clocks, policies, the anchor and the budget.
        streams: Those that may deliver.
        window_ns: Length of the window of each audio stream.

    Raises:
        RigError: The rig lacks a stream.
    """
    names = tuple(dict.fromkeys((*streams, rig.anchor)))
    shared = sorted({rig.stream(name).clock for name in names} - {"sample-counter"})
    clocks = {clock: i for i, clock in enumerate(shared)}
    specs = tuple(
        _spec(rig.stream(name), window_ns.get(name, 0), clocks.get(rig.stream(name).clock, len(clocks) + i))
        for i, name in enumerate(names)
    )
    return RigStreams(names, specs, names.index(rig.anchor), round(rig.budget_ms * NS_PER_MS))


def spec_of(stream: Stream) -> StreamSpec:
    """A stream that takes part alone, and not as sound."""
    return _spec(stream, 0, 0)


def usual_delay_ns(stream: Stream) -> int:
    """From a stamp to the arrival, as the rig declares it: the rest of the measurement, then the transport."""
    measuring = _REST[stream.stamp] * stream.period_ns if stream.kind in ("lidar", "audio") else 0.0
    return round(measuring + stream.transport_ms * NS_PER_MS)


def _spec(stream: Stream, window_ns: int, clock: int) -> StreamSpec:
    is_sound = stream.kind == "audio"
    return StreamSpec(
        period_ns=stream.period_ns,
        policy=stream.policy,
        max_age_ns=round(stream.max_age_ms * NS_PER_MS),
        latency_offset_ns=round(stream.latency_offset_ms * NS_PER_MS),
        transport_ns=usual_delay_ns(stream),
        window_ns=(window_ns or stream.period_ns) if is_sound else 0,
        conceal_ns=round(stream.conceal_ms * NS_PER_MS) if is_sound else 0,
        clock=clock,
    )
