"""Synthetic sensors at any rate: payloads rendered or drawn once, stamped and handed out again."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from edge.profile.load.random_payloads import drawn_payloads
from edge.runtime.clock import NS_PER_MS
from edge.runtime.errors import ConfigError
from edge.runtime.sample import AudioChunk, Image, PointCloud, Reading, Sample
from edge.runtime.simulate.rig import street_rig
from edge.runtime.sources.simulator import SimulatorSource
from edge.runtime.synchronize.rig_streams import usual_delay_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edge.profile.load.config import LoadConfig
    from edge.runtime.bundle import Bundle
    from edge.runtime.rig import Rig, Stream
    from edge.runtime.sample import Payload

RENDERED_S = 2.0
KEPT = ("audio", "twist", "pose")  # of the kinds of streams, those whose rate is not the load
SLOWEST_HZ = 10.0  # of the anchor at factor 1: a step of a few seconds is to have samples


@dataclass(frozen=True)
class SyntheticSensors:
    """What delivers in a step.

    Attributes:
        rig: With the rates of factor 1, and the streams that were added.
        added: Names of these.
        payloads: By stream, made ahead, handed out in turns.
        notes: What a reader must know of them.
    """

    rig: Rig
    added: tuple[str, ...]
    payloads: Mapping[str, Sequence[Payload]]
    notes: tuple[str, ...] = ()

    def rig_at(self, factor: float) -> Rig:
        """The rig with all but sound and motion at so many times their rates."""
        return _faster(self.rig, factor)

    def samples(self, factor: float, begin_ns: int, end_ns: int) -> Iterator[Sample]:
        """Every sample that arrives before `end_ns`, in the order of arrival; the first are measured at `begin_ns`.

        Streams of one kind are spread over their period, as free-running sensors are on the whole. Stamps have no
        jitter and delays are those of the rig, so that a miss is the runtime's.
        """
        streams = self.rig_at(factor).streams
        kinds = [stream.kind for stream in streams.values()]
        lanes = []
        for i, (name, stream) in enumerate(streams.items()):
            phase = kinds[:i].count(stream.kind) / kinds.count(stream.kind)
            lanes.append(self._lane(name, stream, begin_ns + round(phase * stream.period_ns), i))
        for sample in heapq.merge(*lanes, key=lambda sample: sample.arrival_ns):
            if sample.arrival_ns >= end_ns:
                return
            yield sample

    def _lane(self, name: str, stream: Stream, begin_ns: int, first: int) -> Iterator[Sample]:
        bank = self.payloads[name]
        offset_ns, delay_ns = round(stream.latency_offset_ms * NS_PER_MS), usual_delay_ns(stream)
        for k in count():
            measured_ns = begin_ns + k * stream.period_ns
            yield Sample(name, measured_ns - offset_ns, measured_ns + delay_ns, k, bank[(first + k) % len(bank)])


def synthetic_sensors(config: LoadConfig, bundle: Bundle | None = None) -> SyntheticSensors:
    """Sensors for a bundle: the simulated vehicle's where it reads these, else those of its own rig.

    Args:
        config: How many cameras and lidars there are to be.
        bundle: The model; the simulated vehicle's sensors where none is named.

    Raises:
        ConfigError: More of a kind is asked for than the rig has, or sound or motion sets the pace.
    """
    made = _vehicles(config.seed) if bundle is None or _reads_vehicle(bundle) else _own(bundle, config.seed)
    rig = made.rig
    if rig.stream(rig.anchor).kind in KEPT:
        raise ConfigError(
            f"the anchor {rig.anchor} is a stream of kind {rig.stream(rig.anchor).kind}, whose rate is no load",
            "pack the bundle with a rig in which another stream sets the pace",
        )
    copies = {**_copies(rig, "camera", config.cameras), **_copies(rig, "lidar", config.lidars)}
    streams = {**rig.streams, **{name: rig.stream(origin) for name, origin in copies.items()}}
    payloads = {**made.payloads, **{name: made.payloads[origin] for name, origin in copies.items()}}
    return SyntheticSensors(rig.model_copy(update={"streams": streams}), tuple(copies), payloads, made.notes)


def _reads_vehicle(bundle: Bundle) -> bool:
    streams = street_rig().streams
    return all(m in streams and streams[m].kind == bundle.rig.stream(m).kind for m in bundle.model_io.modalities)


def _vehicles(seed: int) -> SyntheticSensors:
    rig = street_rig()
    payloads: dict[str, list[Payload]] = {name: [] for name in rig.streams}
    for sample in SimulatorSource(seed, RENDERED_S, rig=rig).samples():
        payloads[sample.stream].append(sample.payload)
    return SyntheticSensors(rig, (), payloads)


def _own(bundle: Bundle, seed: int) -> SyntheticSensors:
    rig, notes = bundle.rig, ["Payloads are drawn at random: the model's answers mean nothing, its time does."]
    pace_hz = rig.stream(rig.anchor).rate_hz
    if pace_hz < SLOWEST_HZ:
        rig = _faster(rig, SLOWEST_HZ / pace_hz)
        notes.append(f"Rates of factor 1 are {SLOWEST_HZ / pace_hz:.4g} times the rig's, whose anchor is slow.")
    return SyntheticSensors(rig, (), drawn_payloads(rig, bundle.model_io, seed), tuple(notes))


def _faster(rig: Rig, factor: float) -> Rig:
    streams = {
        name: stream if stream.kind in KEPT else stream.model_copy(update={"rate_hz": stream.rate_hz * factor})
        for name, stream in rig.streams.items()
    }
    return rig.model_copy(update={"streams": streams})


def _copies(rig: Rig, kind: str, wanted: int) -> dict[str, str]:
    """Names of further streams of a kind, and of the one that they are like."""
    origin = next((name for name, stream in rig.streams.items() if stream.kind == kind), None)
    if origin is None:
        if wanted > 1:
            raise ConfigError(f"the bundle's rig has no {kind} to have {wanted} of", f"leave --{kind}s out")
        return {}
    return {f"{origin}_{i + 1}": origin for i in range(1, wanted)}


def captured(sample: Sample, arrival_ns: int) -> Sample:
    """The sample as a driver hands it over: in memory of its own, and arrived now."""
    payload = sample.payload
    if isinstance(payload, Image):
        payload = replace(payload, pixels=payload.pixels.copy())
    elif isinstance(payload, PointCloud):
        payload = replace(payload, points=payload.points.copy())
    elif isinstance(payload, AudioChunk):
        payload = replace(payload, samples=payload.samples.copy())
    elif isinstance(payload, Reading):
        payload = replace(payload, values=payload.values.copy())
    return replace(sample, arrival_ns=arrival_ns, payload=payload)
