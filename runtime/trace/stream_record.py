"""What came of each stream in a run, and how sane its clock was: the section `streams` of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.synchronize.messages import Release

if TYPE_CHECKING:
    from edge.runtime.synchronize.messages import StreamHealth


@dataclass
class StreamRecord:
    """One stream.

    Attributes:
        received: Samples that came, refused ones included.
        refused: Of those, the ones that no model should see.
        first_ns: Arrival of the first.
        last_ns: Arrival of the last so far.
        health: What the synchronizer says of the others; None where it does not tell.
    """

    received: int = 0
    refused: int = 0
    first_ns: int | None = None
    last_ns: int = 0
    health: StreamHealth | None = None

    def add(self, arrival_ns: int | None) -> None:
        """Takes note of a sample, and of its arrival where it is told."""
        self.received += 1
        if arrival_ns is not None:
            self.first_ns = arrival_ns if self.first_ns is None else self.first_ns
            self.last_ns = max(self.last_ns, arrival_ns)

    @property
    def rate_hz(self) -> float | None:
        """Samples a second from the first arrival to the last; None of fewer than two, or where all came at once."""
        if self.first_ns is None or self.received < 2 or self.last_ns <= self.first_ns:
            return None
        return (self.received - 1) * NS_PER_S / (self.last_ns - self.first_ns)

    def summary(self) -> dict[str, Any]:
        """The figures as `streams.NAME` of the report holds them; without `health` only what was counted here."""
        rate_hz = None if self.rate_hz is None else round(self.rate_hz, 3)
        figures: dict[str, Any] = {"received": self.received, "refused": self.refused, "rate_hz": rate_hz}
        health = self.health
        if health is None:
            return figures
        return {
            **figures,
            "used": health.released.get(Release.USED, 0),
            "epochs": health.epoch,
            "offset_ms": round(health.offset_estimate_ns / NS_PER_MS, 4),
            "drift_ppm": None if health.drift_ppm is None else round(health.drift_ppm, 3),
            "delay_ms": round(health.delay_ns / NS_PER_MS, 4),
            "negative_delays": health.negative_delays,
            "stuck": health.stuck,
        }
