"""What a run was like: ages, waits, spread, completeness, silence, drops; all in numbers that can be compared.

Distributions are counted in logarithmic buckets, so a run of a week takes as much memory as one of a minute.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.statistics import Distribution, LogHistogram
from edge.runtime.trace.level_record import LevelRecord
from edge.runtime.trace.stream_record import StreamRecord

if TYPE_CHECKING:
    from edge.runtime.result import FusedResult
    from edge.runtime.synchronize.messages import StreamHealth
    from edge.runtime.synchronize.synced import SyncedSet

RESULT = "result"
STAGES = ("arrival", "queue", "preprocess", "transfer", "engine", "decode", "total")
OVERHEAD = "overhead"


@dataclass
class Trace:
    """Collects while a run goes on; `summary` makes the figures.

    Attributes:
        anchor: The anchor stream.
        budget_ns: How long a set may wait for its streams; None where nobody said.
        anchors: Samples of the anchor that came.
        fused: Results, valid or not.
        predicted: Of those, the ones at a predicted tick.
        deadline_misses: Sets that went out because the whole budget had passed, with a stream still awaited.
        states: Results by modality state.
        dropped: Samples and sets that were not used, by reason.
        deskew: Sweeps that were compensated for motion, and those left as they were by reason.
        max_gap_ns: Longest silence between two results; where faults are injected, also from the last one to the end.
        recovery_ns: From the end of the last fault to the next complete result; None without a fault.
        levels: How far the results could be relied on, over the time of the run.
        high_water: The most that each queue or ring ever held.
        streams: What came of each stream.
    """

    anchor: str
    budget_ns: int | None = None
    anchors: int = 0
    fused: int = 0
    predicted: int = 0
    deadline_misses: int = 0
    states: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    deskew: Counter[str] = field(default_factory=Counter)
    max_gap_ns: int = 0
    recovery_ns: int | None = None
    levels: LevelRecord = field(default_factory=LevelRecord)
    high_water: dict[str, int] = field(default_factory=dict)
    streams: dict[str, StreamRecord] = field(default_factory=dict)
    _last_result_ns: int | None = None
    _ages: dict[str, LogHistogram] = field(default_factory=dict)
    _offsets_ms: dict[str, _Mean] = field(default_factory=dict)
    _stages: dict[str, LogHistogram] = field(default_factory=lambda: {name: LogHistogram() for name in STAGES})
    _overhead: LogHistogram = field(default_factory=LogHistogram)
    _spreads: LogHistogram = field(default_factory=LogHistogram)
    _waits: LogHistogram = field(default_factory=LogHistogram)
    _lags: LogHistogram = field(default_factory=LogHistogram)
    _gaps: LogHistogram = field(default_factory=LogHistogram)

    def add_arrival(self, stream: str, refusal: str = "", arrival_ns: int | None = None) -> None:
        """Takes note of a sample, when it came, and of why the sanity gate refused it, where it did."""
        self.anchors += stream == self.anchor
        self._stream(stream).add(arrival_ns)
        if refusal:
            self.add_refusal(stream, refusal)

    def add_refusal(self, stream: str, reason: str) -> None:
        """Takes note of a sample whose payload could not be used."""
        self._stream(stream).refused += 1
        self.dropped[f"{stream}:{reason}"] += 1

    def add_result(self, synced: SyncedSet, result: FusedResult, now_ns: int) -> None:
        """Takes note of a result that was ready at `now_ns`, on the axis of arrivals."""
        self.fused += 1
        self.predicted += synced.predicted
        self.states[result.state] += 1
        if self._last_result_ns is not None:
            gap_ns = now_ns - self._last_result_ns
            self.max_gap_ns = max(self.max_gap_ns, gap_ns)
            self._gaps.add(gap_ns)
        self._last_result_ns = now_ns
        self.levels.add(result, now_ns)
        for stream, age_ms in result.ages_ms.items():
            self._age(stream).add(round(age_ms * NS_PER_MS))
        if result.ages_ms:
            self._age(RESULT).add(round(max(result.ages_ms.values()) * NS_PER_MS))
        self._add_matching(synced)

    def add_end(self, now_ns: int) -> None:
        """Takes note of when a run should have ended: silence until then counts, though no result comes after it."""
        if self._last_result_ns is not None:
            self.max_gap_ns = max(self.max_gap_ns, now_ns - self._last_result_ns)

    def _add_matching(self, synced: SyncedSet) -> None:
        if not synced.samples:
            return
        self._spreads.add(round(synced.spread_ms * NS_PER_MS))
        if synced.predicted:  # it waited for the anchor, not for the others
            return
        self._waits.add(synced.emitted_ns - max(s.arrival_ns for s in synced.samples.values()))
        if self.anchor in synced.samples:
            arrival_ns = synced.samples[self.anchor].arrival_ns
            self._add_anchor_arrival(arrival_ns - synced.stamps_ns[self.anchor])
            waited_ns = synced.emitted_ns - arrival_ns
            self.deadline_misses += self.budget_ns is not None and waited_ns >= self.budget_ns
            for stream, stamp_ns in synced.stamps_ns.items():
                if stream != self.anchor:
                    mean = self._offsets_ms.get(stream) or self._offsets_ms.setdefault(stream, _Mean())
                    mean.add((stamp_ns - synced.stamp_ns) / NS_PER_MS)

    def _add_anchor_arrival(self, delay_ns: int) -> None:
        if delay_ns >= 0:  # a stamp ahead of its arrival is no duration; `negative_delays` counts those
            self._stages["arrival"].add(delay_ns)

    def add_queue(self, queued_ns: int) -> None:
        """Takes note of how long a set waited for the model, from when it was matched."""
        self._stages["queue"].add(max(0, queued_ns))

    def add_stages(self, preprocess_ns: int, engine_ns: int, decode_ns: int, transfer_ns: int | None = None) -> None:
        """Takes note of the wall time that one inference took; what was transferred is not in `engine_ns`."""
        stages = self._stages
        if transfer_ns is not None:
            stages["transfer"].add(transfer_ns)
        stages["preprocess"].add(preprocess_ns)
        stages["engine"].add(engine_ns)
        stages["decode"].add(decode_ns)
        stages["total"].add(preprocess_ns + (transfer_ns or 0) + engine_ns + decode_ns)

    def add_overhead(self, overhead_ns: int) -> None:
        """Takes note of what the runtime itself took: arrival of a set's last sample to the result, less the engine."""
        self._overhead.add(overhead_ns)

    def add_lag(self, lag_ns: int) -> None:
        """Takes note of how much later than its arrival a sample of a recording could be released."""
        self._lags.add(max(0, lag_ns))

    def add_depth(self, queue: str, depth: int) -> None:
        """Takes note of how much a queue or ring holds; the most is kept."""
        if depth > self.high_water.get(queue, -1):
            self.high_water[queue] = depth

    def add_health(self, stream: str, health: StreamHealth) -> None:
        """Takes the synchronizer's facts of a stream; the last ones count."""
        self._stream(stream).health = health

    def offset_ms(self, stream: str) -> float | None:
        """Mean of the stream's stamp minus the anchor's, where both were there."""
        mean = self._offsets_ms.get(stream)
        return mean.value if mean else None

    def summary(self) -> dict[str, Any]:
        """The figures, as the section `runtime` of a report holds them; percentiles that n does not support are null.

        `age_ms` holds every modality and `result`, which is the oldest of each result's. `offset_ms` is the mean of
        stamp minus anchor stamp. `lag_ms` tells how late a recording was released; it is empty in virtual time, and
        so are the steps `queue`, from matched until the model took it, and `overhead`: arrival of the last sample
        used to the result, less the engine. `arrival` is the anchor's, from its stamp; `transfer` is there where the
        engine tells. `total` is the model's thread alone: `preprocess` to `decode`.
        """
        stages = {**self._stages, OVERHEAD: self._overhead}
        return {
            "anchors": self.anchors,
            "fused": self.fused,
            "predicted": self.predicted,
            "deadline_misses": self.deadline_misses,
            "completeness": {state: count / self.fused for state, count in sorted(self.states.items())},
            "dropped": dict(sorted(self.dropped.items())),
            "deskew": dict(sorted(self.deskew.items())),
            "age_ms": {stream: _milliseconds(ages) for stream, ages in sorted(self._ages.items())},
            "spread_ms": _milliseconds(self._spreads),
            "sync_wait_ms": _milliseconds(self._waits),
            "lag_ms": _milliseconds(self._lags),
            "gap_ms": _milliseconds(self._gaps),
            "stages_ms": {name: _milliseconds(taken) for name, taken in stages.items() if taken.count},
            "offset_ms": {stream: round(mean.value, 4) for stream, mean in sorted(self._offsets_ms.items())},
            "max_gap_s": self.max_gap_ns / NS_PER_S if self.fused > 1 else None,
            "recovery_s": None if self.recovery_ns is None else self.recovery_ns / NS_PER_S,
            **self.levels.summary(),
            "high_water": dict(sorted(self.high_water.items())),
            "streams": {name: record.summary() for name, record in sorted(self.streams.items())},
        }

    def _age(self, stream: str) -> LogHistogram:
        return self._ages.get(stream) or self._ages.setdefault(stream, LogHistogram())

    def _stream(self, name: str) -> StreamRecord:
        return self.streams.get(name) or self.streams.setdefault(name, StreamRecord())


@dataclass
class _Mean:
    count: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.total += value

    @property
    def value(self) -> float:
        return self.total / self.count


def _milliseconds(histogram: LogHistogram) -> Distribution:
    return Distribution.of_histogram(histogram, NS_PER_MS)
