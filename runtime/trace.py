"""What a run was like: ages, waits, spread, completeness, silence, drops; all in numbers that can be compared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.statistics.percentiles import Distribution

if TYPE_CHECKING:
    from edge.runtime.result import FusedResult
    from edge.runtime.synchronizer import SyncedSet

RESULT = "result"
STAGES = ("preprocess", "engine", "decode", "total")


@dataclass
class Trace:
    """Collects while a run goes on; `summary` makes the figures.

    Attributes:
        anchor: The anchor stream.
        anchors: Samples of the anchor that came.
        fused: Results, valid or not.
        predicted: Of those, the ones at a predicted tick.
        states: Results by modality state.
        dropped: Samples and sets that were not used, by reason.
        max_gap_ns: Longest silence between two results.
    """

    anchor: str
    anchors: int = 0
    fused: int = 0
    predicted: int = 0
    states: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    max_gap_ns: int = 0
    _last_result_ns: int | None = None
    _ages_ms: dict[str, list[float]] = field(default_factory=dict)
    _offsets_ms: dict[str, list[float]] = field(default_factory=dict)
    _stages_ns: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in STAGES})
    _spreads_ms: list[float] = field(default_factory=list)
    _waits_ns: list[int] = field(default_factory=list)
    _lags_ns: list[int] = field(default_factory=list)

    def add_result(self, synced: SyncedSet, result: FusedResult, now_ns: int) -> None:
        """Takes note of a result that was ready at `now_ns`, on the axis of arrivals."""
        self.fused += 1
        self.predicted += synced.predicted
        self.states[result.state] += 1
        if self._last_result_ns is not None:
            self.max_gap_ns = max(self.max_gap_ns, now_ns - self._last_result_ns)
        self._last_result_ns = now_ns
        for stream, age_ms in result.ages_ms.items():
            self._ages_ms.setdefault(stream, []).append(age_ms)
        if result.ages_ms:
            self._ages_ms.setdefault(RESULT, []).append(max(result.ages_ms.values()))
        self._add_matching(synced)

    def _add_matching(self, synced: SyncedSet) -> None:
        if not synced.samples:
            return
        self._spreads_ms.append(synced.spread_ms)
        self._waits_ns.append(synced.emitted_ns - max(s.arrival_ns for s in synced.samples.values()))
        if self.anchor in synced.samples and not synced.predicted:
            for stream, stamp_ns in synced.stamps_ns.items():
                if stream != self.anchor:
                    offset_ms = (stamp_ns - synced.stamp_ns) / NS_PER_MS
                    self._offsets_ms.setdefault(stream, []).append(offset_ms)

    def add_stages(self, preprocess_ns: int, engine_ns: int, decode_ns: int) -> None:
        """Takes note of the wall time that one inference took."""
        taken = (preprocess_ns, engine_ns, decode_ns, preprocess_ns + engine_ns + decode_ns)
        for name, value in zip(STAGES, taken, strict=True):
            self._stages_ns[name].append(value)

    def add_lag(self, lag_ns: int) -> None:
        """Takes note of how much later than its arrival a sample of a recording could be released."""
        self._lags_ns.append(max(0, lag_ns))

    def offset_ms(self, stream: str) -> float | None:
        """Mean of the stream's stamp minus the anchor's, where both were there."""
        offsets = self._offsets_ms.get(stream)
        return sum(offsets) / len(offsets) if offsets else None

    def summary(self) -> dict[str, Any]:
        """The figures, as the section `runtime` of a report holds them; percentiles that n does not support are null.

        `age_ms` holds every modality and `result`, which is the oldest of each result's. `offset_ms` is the mean of
        stamp minus anchor stamp. `lag_ms` tells how late a recording was released; it is empty in virtual time.
        """
        return {
            "anchors": self.anchors,
            "fused": self.fused,
            "predicted": self.predicted,
            "completeness": {state: count / self.fused for state, count in sorted(self.states.items())},
            "dropped": dict(sorted(self.dropped.items())),
            "age_ms": {stream: Distribution.of(ages) for stream, ages in sorted(self._ages_ms.items())},
            "spread_ms": Distribution.of(self._spreads_ms),
            "sync_wait_ms": Distribution.of(self._waits_ns, NS_PER_MS),
            "lag_ms": Distribution.of(self._lags_ns, NS_PER_MS),
            "stages_ms": {n: Distribution.of(v, NS_PER_MS) for n, v in self._stages_ns.items() if v},
            "offset_ms": {s: round(sum(v) / len(v), 4) for s, v in sorted(self._offsets_ms.items())},
            "max_gap_s": self.max_gap_ns / NS_PER_S if self.fused > 1 else None,
        }
