"""Synthetic cameras, lidars and a microphone at any rate: payloads rendered once, stamped and handed out again."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

from edge.runtime.clock import NS_PER_MS
from edge.runtime.errors import ConfigError
from edge.runtime.sample import AudioChunk, Image, PointCloud, Sample
from edge.runtime.simulate.rig import street_rig
from edge.runtime.sources.simulator import SimulatorSource
from edge.runtime.synchronize.rig_streams import usual_delay_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edge.profile.load.config import LoadConfig
    from edge.runtime.rig import Rig, Stream
    from edge.runtime.sample import Payload

RENDERED_S = 2.0
SCALED = ("camera", "lidar")


@dataclass(frozen=True)
class SyntheticSensors:
    """What delivers in a step.

    Attributes:
        rig: With the rates of factor 1, and the streams that were added.
        added: Names of these.
        payloads: By stream of the simulator, rendered ahead, handed out in turns.
    """

    rig: Rig
    added: tuple[str, ...]
    payloads: Mapping[str, Sequence[Payload]]

    def rig_at(self, factor: float) -> Rig:
        """The rig with cameras and lidars at so many times their rates."""
        streams = {
            name: stream.model_copy(update={"rate_hz": stream.rate_hz * factor}) if stream.kind in SCALED else stream
            for name, stream in self.rig.streams.items()
        }
        return self.rig.model_copy(update={"streams": streams})

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
        bank = self.payloads[stream.kind]
        offset_ns, delay_ns = round(stream.latency_offset_ms * NS_PER_MS), usual_delay_ns(stream)
        for k in count():
            measured_ns = begin_ns + k * stream.period_ns
            yield Sample(name, measured_ns - offset_ns, measured_ns + delay_ns, k, bank[(first + k) % len(bank)])


def synthetic_sensors(config: LoadConfig) -> SyntheticSensors:
    """The simulated vehicle's sensors, with as many cameras and lidars as are asked for."""
    rig = street_rig()
    added = {
        f"{kind}_{i + 1}": rig.stream(kind)
        for kind, wanted in (("camera", config.cameras), ("lidar", config.lidars))
        for i in range(1, wanted)
    }
    payloads: dict[str, list[Payload]] = {name: [] for name in rig.streams}
    for sample in SimulatorSource(config.seed, RENDERED_S, rig=rig).samples():
        payloads[sample.stream].append(sample.payload)
    grown = rig.model_copy(update={"streams": {**rig.streams, **added}})
    if rig.stream(rig.anchor).kind not in SCALED:
        raise ConfigError(f"the anchor {rig.anchor} is neither camera nor lidar", "let one of them set the pace")
    return SyntheticSensors(grown, tuple(added), payloads)


def captured(sample: Sample, arrival_ns: int) -> Sample:
    """The sample as a driver hands it over: in memory of its own, and arrived now."""
    payload = sample.payload
    if isinstance(payload, Image):
        payload = replace(payload, pixels=payload.pixels.copy())
    elif isinstance(payload, PointCloud):
        payload = replace(payload, points=payload.points.copy())
    elif isinstance(payload, AudioChunk):
        payload = replace(payload, samples=payload.samples.copy())
    return replace(sample, arrival_ns=arrival_ns, payload=payload)
