"""How the levels of a run's results were spread over its time, and how often they changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.runtime.levels import LEVELS
from edge.runtime.trace.timeline import Timeline

if TYPE_CHECKING:
    from edge.runtime.levels import Level
    from edge.runtime.result import FusedResult


@dataclass
class LevelRecord:
    """Collects while a run goes on.

    Attributes:
        changes: How often the level went from one to another, as `ok>degraded`.
        modalities: Results by level, for each modality.
        timeline: Level and state over time.
    """

    changes: Counter[str] = field(default_factory=Counter)
    modalities: dict[str, Counter[str]] = field(default_factory=dict)
    timeline: Timeline = field(default_factory=Timeline)
    _standing_ns: Counter[str] = field(default_factory=Counter)
    _results: int = 0
    _level: Level | None = None
    _since_ns: int = 0

    def add(self, result: FusedResult, now_ns: int) -> None:
        """Takes a result that was ready at `now_ns`; its level stands until the next one."""
        if self._level is not None:
            self._standing_ns[self._level] += max(0, now_ns - self._since_ns)
            if result.level != self._level:
                self.changes[f"{self._level}>{result.level}"] += 1
        self._level, self._since_ns = result.level, now_ns
        self._results += 1
        for name, level in result.levels.items():
            counts = self.modalities.get(name)
            if counts is None:
                counts = self.modalities[name] = Counter()
            counts[level] += 1
        self.timeline.add(now_ns, result.level, result.state)

    def shares(self) -> dict[str, float]:
        """Share of the time from the first to the last result in which each level stood."""
        total_ns = sum(self._standing_ns.values())
        if total_ns:
            return {level: self._standing_ns[level] / total_ns for level in LEVELS if self._standing_ns[level]}
        return {} if self._level is None else {self._level: 1.0}

    def summary(self) -> dict[str, Any]:
        """The keys `levels`, `level_changes`, `modality_levels` and `timeline` of a report."""
        return {
            "levels": self.shares(),
            "level_changes": dict(sorted(self.changes.items())),
            "modality_levels": {
                name: {level: counts[level] / self._results for level in LEVELS if counts[level]}
                for name, counts in sorted(self.modalities.items())
            },
            "timeline": self.timeline.segments(),
        }
