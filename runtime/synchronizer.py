"""Matches samples of several streams: anchored nearest match, watermarks, a hard deadline, fail-over and epochs.

For each sample of the anchor stream every other stream gives what is nearest to its stamp; sound gives the window
that ends there. A set is emitted as soon as nothing that may still arrive could be nearer, and at the latest
`budget_ms` after the anchor's arrival. An anchor that stays away for 1.5 periods is replaced by the tick where it
should have been, so one dead sensor never silences the others: once there was a set, there is one at least every
two periods of the anchor. Emitted stamps only ever grow.

Everything is a function of the arguments: no thread, no clock, no wait. The matching rule is MediaPipe's settled
timestamp bound with the lower bound on inter-message times of ROS's ApproximateTime.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.synchronize.clock_map import usual_delay_ns
from edge.runtime.synchronize.lane import DROPS, Lane

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample

FAIL_OVER_PERIODS = 1.5
# Whatever the anchor does, two sets are never further apart than this.
SILENCE_PERIODS = 2
# An anchor that has never come is given up after this time and the longest window.
STARTUP_NS = 2 * NS_PER_S
# Samples are kept for so much longer than the anchor's period, delay and budget ask for.
SLACK_NS = NS_PER_S // 5
# An anchor so near after a predicted tick, in periods, is the one that was predicted.
COVERED_PERIODS = 0.5


@dataclass(frozen=True, slots=True)
class SyncedSet:
    """Samples that belong together.

    Attributes:
        seq: Running number.
        stamp_ns: The anchor's stamp in host time, or the predicted one.
        samples: By stream; of sound the window that ends at `stamp_ns`.
        stamps_ns: What each sample stands for in host time; of a window its end.
        held: Streams that gave an old sample again.
        missing: Streams that gave none, and why.
        emitted_ns: When the set was complete, or its deadline came.
        spread_ms: From the oldest to the newest of `stamps_ns`.
        predicted: Whether the anchor was silent and its stamp is where it should have been.
    """

    seq: int
    stamp_ns: int
    samples: dict[str, Sample]
    stamps_ns: dict[str, int]
    held: tuple[str, ...]
    missing: dict[str, str]
    emitted_ns: int
    spread_ms: float
    predicted: bool


class _Pending(NamedTuple):
    stamp_ns: int
    deadline_ns: int


class Synchronizer:
    """Feeds on samples, gives `SyncedSet`s.

    Args:
        rig: Rates, clocks, policies, the anchor and the budget.
        streams: Those that will be pushed; others in the rig are ignored. The anchor may be absent.
        window_ns: Length of the window of each audio stream.

    Raises:
        RigError: The rig lacks a stream.
    """

    def __init__(self, rig: Rig, streams: Iterable[str], window_ns: Mapping[str, int]) -> None:
        anchor = rig.stream(rig.anchor)
        self._period_ns = anchor.period_ns
        self._fail_over_ns = round(FAIL_OVER_PERIODS * self._period_ns)
        self._budget_ns = round(rig.budget_ms * NS_PER_MS)
        self._startup_ns = STARTUP_NS + max(window_ns.values(), default=0)
        keep_ns = self._period_ns + self._budget_ns + usual_delay_ns(anchor) + SLACK_NS
        self._lanes = {n: Lane(n, rig.stream(n), window_ns.get(n, 0), keep_ns) for n in streams}
        self._anchor = self._lanes.get(rig.anchor)
        self._others = [lane for lane in self._lanes.values() if lane is not self._anchor]
        self._pending: list[_Pending] = []
        self._seq = 0
        self._now_ns = 0
        self._last_ns: int | None = None  # stamp of the last set, emitted or pending
        self._emitted_ns: int | None = None  # stamp of the last set that was emitted
        self._emitted_at_ns: int | None = None  # when that was
        self._was_predicted = False
        self._fail_over_at_ns: int | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Everything unusual, as `stream:what`: late, duplicate, backward, early, reordered, clock_step."""
        return {f"{n}:{what}": count for n, lane in self._lanes.items() for what, count in lane.counts.items()}

    @property
    def dropped(self) -> dict[str, int]:
        """Samples that were not used, as `stream:reason`."""
        return {key: count for key, count in self.counts.items() if key.rpartition(":")[2] in DROPS}

    @property
    def offsets_ns(self) -> dict[str, int]:
        """What is now added to each stream's stamps."""
        return {name: lane.offset_ns for name, lane in self._lanes.items()}

    def push(self, sample: Sample) -> list[SyncedSet]:
        """Takes a sample at its arrival; returns the sets that it completed, and those that were due before.

        Samples of streams that were not announced are ignored.
        """
        now_ns = sample.arrival_ns if sample.arrival_ns > self._now_ns else self._now_ns
        self._now_ns = now_ns
        due_ns = self.next_deadline_ns()
        emitted = self.advance(now_ns) if due_ns is not None and due_ns <= now_ns else []
        lane = self._lanes.get(sample.stream)
        if lane is None:
            return emitted
        if self._fail_over_at_ns is None:
            self._start(now_ns)
        known = lane.push(sample)
        if known and lane is self._anchor:
            self._take_anchor(known[-1], now_ns)
            for _ in known[:-1]:  # it took them to prove a clock step; by now they are old
                lane.count_late()
        elif known and self._emitted_ns is not None and known[-1] < self._emitted_ns - lane.near_ns:
            lane.count_late()
        if self._pending:
            self._emit_settled(now_ns, emitted)
        return emitted

    def advance(self, now_ns: int) -> list[SyncedSet]:
        """Lets time pass; returns the sets whose deadlines came."""
        emitted: list[SyncedSet] = []
        self._now_ns = max(self._now_ns, now_ns)
        while (due := self.next_deadline_ns()) is not None and due <= now_ns:
            if self._pending:
                self._emit(self._pending.pop(0).stamp_ns, False, emitted)
                self._emit_settled(now_ns, emitted)
            else:
                self._emit_predicted(due, emitted)
        return emitted

    def next_deadline_ns(self) -> int | None:
        """When `advance` must be called at the latest, in host time; None before the first sample."""
        pending = self._pending
        if not pending:
            return self._fail_over_at_ns
        return pending[0].deadline_ns if len(pending) == 1 else min(p.deadline_ns for p in pending)

    def flush(self) -> list[SyncedSet]:
        """Emits what is pending with what is there: the source has ended."""
        emitted: list[SyncedSet] = []
        for pending in self._pending:
            self._emit(pending.stamp_ns, False, emitted)
        self._pending.clear()
        self._fail_over_at_ns = None
        return emitted

    def _start(self, now_ns: int) -> None:
        wait_ns = self._fail_over_ns if self._anchor is None else self._startup_ns
        self._fail_over_at_ns = now_ns + wait_ns
        for lane in self._lanes.values():
            lane.last_arrival_ns = now_ns

    def _take_anchor(self, stamp_ns: int, now_ns: int) -> None:
        assert self._anchor is not None
        assert self._fail_over_at_ns is not None
        if self._is_covered(stamp_ns):
            # The anchor lives, so give it time to lead again, but do not fall silent over it.
            again_ns = min(now_ns + self._fail_over_ns, self._silence_ends_ns(now_ns))
            self._fail_over_at_ns = max(self._fail_over_at_ns, again_ns)
            self._anchor.count_late()
            return
        self._fail_over_at_ns = now_ns + self._fail_over_ns
        deadline_ns = max(now_ns, min(now_ns + self._budget_ns, self._silence_ends_ns(now_ns)))
        insort(self._pending, _Pending(stamp_ns, deadline_ns))
        self._last_ns = self._pending[-1].stamp_ns

    def _silence_ends_ns(self, now_ns: int) -> int:
        """By when there must be a set again."""
        last_ns = now_ns if self._emitted_at_ns is None else self._emitted_at_ns
        return last_ns + SILENCE_PERIODS * self._period_ns

    def _is_covered(self, stamp_ns: int) -> bool:
        """Whether a set of that stamp was emitted already."""
        if self._emitted_ns is None:
            return False
        margin = round(COVERED_PERIODS * self._period_ns) if self._was_predicted else 0
        return stamp_ns <= self._emitted_ns + margin

    def _emit_settled(self, now_ns: int, emitted: list[SyncedSet]) -> None:
        while self._pending:
            stamp_ns = self._pending[0].stamp_ns
            if not all(lane.is_settled(stamp_ns, now_ns) for lane in self._others):
                return
            self._emit(self._pending.pop(0).stamp_ns, False, emitted)

    def _emit_predicted(self, due_ns: int, emitted: list[SyncedSet]) -> None:
        """The anchor's next tick; the very first is the newest instant that any stream knows."""
        if self._last_ns is not None:
            stamp_ns = self._last_ns + self._period_ns
        else:
            stamp_ns = max((n for lane in self._others if (n := lane.newest_ns) is not None), default=due_ns)
        self._last_ns = stamp_ns
        self._fail_over_at_ns = due_ns + self._period_ns
        self._emit(stamp_ns, True, emitted)

    def _emit(self, stamp_ns: int, predicted: bool, emitted: list[SyncedSet]) -> None:
        samples: dict[str, Sample] = {}
        stamps_ns: dict[str, int] = {}
        held: list[str] = []
        missing: dict[str, str] = {}
        for name, lane in self._lanes.items():
            match, is_held, reason = lane.place(stamp_ns)
            if match is None:
                missing[name] = reason
                continue
            samples[name], stamps_ns[name] = match.sample, match.stamp_ns
            if is_held:
                held.append(name)
        spread_ns = max(stamps_ns.values()) - min(stamps_ns.values()) if stamps_ns else 0
        emitted.append(
            SyncedSet(
                self._seq,
                stamp_ns,
                samples,
                stamps_ns,
                tuple(held),
                missing,
                self._now_ns,
                spread_ns / NS_PER_MS,
                predicted,
            )
        )
        self._seq += 1
        self._emitted_ns, self._emitted_at_ns, self._was_predicted = stamp_ns, self._now_ns, predicted
