"""What came of each stream in a run, and how sane its clock was: the section `streams` of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.runtime.clock import NS_PER_MS
from edge.runtime.synchronize.messages import Release

if TYPE_CHECKING:
    from edge.runtime.synchronize.messages import StreamHealth


@dataclass
class StreamRecord:
    """One stream.

    Attributes:
        received: Samples that came, refused ones included.
        refused: Of those, the ones that no model should see.
        health: What the synchronizer says of the others; None where it does not tell.
    """

    received: int = 0
    refused: int = 0
    health: StreamHealth | None = None

    def summary(self) -> dict[str, Any]:
        """The figures as `streams.NAME` of the report holds them; without `health` only what was counted here."""
        figures: dict[str, Any] = {"received": self.received, "refused": self.refused}
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
