"""The street simulator as a source: its streams, each on its own clock, with jitter and transport delays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.errors import ConfigError
from edge.runtime.sample import AudioChunk, Payload, Sample, Twist
from edge.runtime.simulate.config import StreetConfig
from edge.runtime.simulate.labels import Labels, label
from edge.runtime.simulate.rig import ODOMETRY, street_rig
from edge.runtime.simulate.sensors import STAMP_JITTER_S, sensors_of
from edge.runtime.simulate.street import Street

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.runtime.rig import Rig, Stream

_TRANSPORT_JITTER_S = 0.0015  # mean of the exponential tail of each delay
_WORST_JITTER = 3.0  # standard deviations; stamps stay in order
# Of the stream's period: how long a measurement takes, and what of that has passed when its stamp is taken.
_STREAMS = ("camera", "lidar", "audio", ODOMETRY)
_LASTS = {"camera": 0.0, "lidar": 1.0, "audio": 1.0, ODOMETRY: 0.0}
_STAMPED_AFTER = {"camera": 0.0, "lidar": 0.5, "audio": 0.0, ODOMETRY: 0.0}


class _Due(NamedTuple):
    arrival_ns: int
    stream: str
    seq: int
    stamp_ns: int
    measured_s: float


class SimulatorSource:
    """A drive through a simulated street; a `Source`.

    Stamps and arrivals count from the beginning of the drive. Rates, what stamps mark, latency offsets and
    transport delays are the rig's. Samples are rendered when they are asked for.

    Args:
        seed: Of the street, not negative; the same arguments give the same samples.
        duration_s: Length of the drive.
        config: What is likely in the street.
        rig: Streams `camera`, `lidar`, `audio` and, if wanted, `odometry`; that of `street_rig()` if None.

    Raises:
        ConfigError: The seed is negative or the drive has no length.
        RigError: The simulator cannot render that rig.
    """

    def __init__(
        self,
        seed: int = 0,
        duration_s: float = 20.0,
        config: StreetConfig = StreetConfig(),  # noqa: B008
        rig: Rig | None = None,
    ) -> None:
        if not 0 < duration_s < float("inf"):
            raise ConfigError(f"a drive of {duration_s} s cannot be simulated", "use a duration above 0 seconds")
        self._rig = street_rig() if rig is None else rig
        self._seed, self._duration_s = seed, duration_s
        self._sensors = sensors_of(self._rig)
        self.street = Street(seed, config)

    @property
    def description(self) -> str:
        """One line for the report."""
        return f"simulated street, seed {self._seed}, {self._duration_s:g} s: nothing in it was recorded"

    @property
    def rig(self) -> Rig:
        """The simulated sensors."""
        return self._rig

    def samples(self) -> Iterator[Sample]:
        """All samples, in the order of their arrival."""
        names = [name for name in _STREAMS if name in self._rig.streams]
        due = [item for name in names for item in self._schedule(name)]
        for item in sorted(due):
            yield Sample(item.stream, item.stamp_ns, item.arrival_ns, item.seq, self._payload(item))

    def labels_at(self, stamp_ns: int, grid: tuple[int, int], window_samples: int = 16_000) -> Labels:
        """The truth at a stamp of the anchor.

        Args:
            stamp_ns: As the anchor's sample carries it.
            grid: Rows and columns of label cells over the camera's image.
            window_samples: Length of the audio window that ends at the stamp.
        """
        offset_ms = self._rig.stream(self._rig.anchor).latency_offset_ms
        return label(self._sensors, self.street, stamp_ns / NS_PER_S + offset_ms / 1000, grid, window_samples)

    def _schedule(self, name: str) -> list[_Due]:
        """When each sample of a stream is measured, stamped and received."""
        stream = self._rig.stream(name)
        rng = np.random.default_rng((self._seed, 9, _STREAMS.index(name)))
        period = self._period_s(name, stream)
        phase = 0.0 if name == "audio" else rng.uniform(0.0, 1.0) * period
        count = max(0, int(np.ceil((self._duration_s - phase) / period)))
        starts = phase + np.arange(count) * period
        measured = starts + _STAMPED_AFTER[name] * period
        jitter = np.clip(rng.normal(0, 1, count), -_WORST_JITTER, _WORST_JITTER) * STAMP_JITTER_S[name]
        stamps = np.rint((measured + jitter) * NS_PER_S - stream.latency_offset_ms * NS_PER_MS).astype(np.int64)
        delays = stream.transport_ms / 1000 + rng.exponential(_TRANSPORT_JITTER_S, count)
        arrivals = np.maximum.accumulate(np.rint((starts + _LASTS[name] * period + delays) * NS_PER_S))
        return [
            _Due(int(arrival), name, seq, int(stamp), float(at))
            for seq, (arrival, stamp, at) in enumerate(zip(arrivals, stamps, measured, strict=True))
        ]

    def _period_s(self, name: str, stream: Stream) -> float:
        """Nominal, but audio chunks hold whole samples."""
        return self._chunk() / self._sensors.microphone.rate_hz if name == "audio" else 1 / stream.rate_hz

    def _chunk(self) -> int:
        return max(1, round(self._sensors.microphone.rate_hz / self._rig.stream("audio").rate_hz))

    def _payload(self, item: _Due) -> Payload:
        if item.stream == "camera":
            return self._sensors.camera.render(self.street.snapshot_at(item.measured_s))
        if item.stream == "lidar":
            return self._sensors.lidar.sweep(self.street.snapshot_at(item.measured_s))
        if item.stream == ODOMETRY:
            return Twist(np.array([self.street.ego_speed, 0.0, 0.0]), np.zeros(3))
        end_s = (item.seq + 1) * self._chunk() / self._sensors.microphone.rate_hz
        microphone = self._sensors.microphone
        return AudioChunk(microphone.window(self.street, end_s, self._chunk()), microphone.rate_hz)
