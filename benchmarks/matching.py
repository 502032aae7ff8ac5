"""What a synchronizer gave, in figures that are the same for every one: waits, spreads, silence, recovery."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.synchronize.messages import MatchedSet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from streams import Recording

S, MS = 1_000_000_000, 1_000_000
MISSING = -1
WARM_NS = 1_200 * MS  # until a window of sound of one second is full
END_PERIODS = 3  # what still waits for the next message at the end of a recording is not silence


@dataclass(frozen=True, eq=False)
class Sets:
    """Emitted sets.

    Attributes:
        emitted_ns: `[n]`, in the order of emission.
        members: `[n, streams]` position of each stream's (last) message, `MISSING` where there is none.
        complete: `[n]` whether every stream gave a fresh message.
        predicted: `[n]` whether the anchor was silent, and its tick only predicted.
    """

    emitted_ns: NDArray[np.int64]
    members: NDArray[np.int64]
    complete: NDArray[np.bool_]
    predicted: NDArray[np.bool_]

    @classmethod
    def of_ours(cls, sets: list[MatchedSet], streams: int) -> Sets:
        """From what a policy of ours emitted."""
        members = [[m.handles[-1] if m.handles else MISSING for m in one.members] for one in sets]
        return cls(
            np.array([one.emitted_ns for one in sets], np.int64),
            np.array(members, np.int64).reshape(-1, streams),
            np.array([one.complete for one in sets], np.bool_),
            np.array([one.predicted for one in sets], np.bool_),
        )

    @classmethod
    def of_peer(cls, rows: NDArray[np.int64], recording: Recording) -> Sets:
        """From `[n, 1 + streams]` positions: of the message during whose arrival the set came, and of its members."""
        emitted = recording.messages.arrivals_ns[rows[:, 0]]
        whole = np.ones(len(rows), np.bool_)
        return cls(emitted, rows[:, 1:], whole, ~whole)


@dataclass(frozen=True)
class Quality:
    """Figures of one synchronizer on one recording; milliseconds unless said.

    Attributes:
        sets_per_s: Output, complete or not.
        complete_per_s: Sets in which every stream is fresh.
        complete: The share of sets that are complete once the first window is full, in %.
        wait_mean: Emission minus the arrival of the set's last message: what the algorithm adds.
        wait_p99: Of the same.
        wait_max: Of the same.
        spread_mean: Between the oldest and the newest message of a complete set, by when they were measured in truth,
            whatever their clocks said; of a window of sound the last chunk counts.
        spread_p99: Of the same.
        silence: Longest time without output.
        back: From a clock's step until complete sets follow each other again, within 1.5 anchor periods or what was
            usual before the step, whichever is longer; None: never.
    """

    sets_per_s: float
    complete_per_s: float
    complete: float
    wait_mean: float
    wait_p99: float
    wait_max: float
    spread_mean: float
    spread_p99: float
    silence: float
    back: float | None


def judge(sets: Sets, recording: Recording, period_ns: int) -> Quality:
    """Computes all figures."""
    arrivals = recording.messages.arrivals_ns
    seconds = (int(arrivals[-1]) - int(arrivals[0])) / S
    warm = sets.emitted_ns > arrivals[0] + WARM_NS
    whole = warm & sets.complete
    waited = waits_ms(sets, arrivals)
    spread = spreads_ms(sets.members[whole], recording.true_ns)
    return Quality(
        sets_per_s=len(sets.emitted_ns) / seconds,
        complete_per_s=float(sets.complete.sum()) / seconds,
        complete=100.0 * float(whole.sum()) / max(int(warm.sum()), 1),
        wait_mean=_mean(waited),
        wait_p99=_p99(waited),
        wait_max=float(waited.max(initial=0.0)),
        spread_mean=_mean(spread),
        spread_p99=_p99(spread),
        silence=silence_ms(sets.emitted_ns, int(arrivals[0]), int(arrivals[-1]) - END_PERIODS * period_ns),
        back=back_ms(sets, recording, period_ns) if recording.fault.kind == "step" else 0.0,
    )


def combine(found: list[Quality]) -> Quality:
    """The mean of several recordings; of the longest wait, silence and recovery the worst."""
    means = {
        field.name: float(np.mean([getattr(one, field.name) or 0.0 for one in found])) for field in fields(Quality)
    }
    backs = [one.back for one in found]
    worst = {name: max(getattr(one, name) for one in found) for name in ("wait_max", "silence")}
    back = None if None in backs else max(back for back in backs if back is not None)
    return replace(Quality(**means), **worst, back=back)


def waits_ms(sets: Sets, arrivals_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each set that holds a message and is not led by a predicted tick, which waits for its anchor by design."""
    kept = (sets.members != MISSING).any(axis=1) & ~sets.predicted
    members = sets.members[kept]
    last = np.where(members == MISSING, np.iinfo(np.int64).min, arrivals_ns[members]).max(axis=1, initial=0)
    return (sets.emitted_ns[kept] - last) / MS


def spreads_ms(members: NDArray[np.int64], times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Newest minus oldest of each complete set."""
    return np.ptp(times_ns[members], axis=1) / MS


def silence_ms(emitted_ns: NDArray[np.int64], first_ns: int, last_ns: int) -> float:
    """Longest time without a set, that before the first and from the last one to `last_ns` included."""
    return float(np.diff(np.concatenate([[first_ns], emitted_ns, [last_ns]])).max()) / MS


def back_ms(sets: Sets, recording: Recording, period_ns: int) -> float | None:
    """See `Quality.back`."""
    step, end = recording.middle_ns, int(recording.messages.arrivals_ns[-1]) - END_PERIODS * period_ns
    whole, warm = sets.emitted_ns[sets.complete], recording.messages.arrivals_ns[0] + WARM_NS
    usual = np.diff(whole[(whole > warm) & (whole <= step)]).max(initial=0)
    marks = whole[whole > step - period_ns]
    if len(marks) == 0 or marks[-1] < end:
        return None
    slow = np.flatnonzero(np.diff(marks) > max(1.5 * period_ns, 1.1 * usual))
    return float(marks[slow[-1] + 1] - step) / MS if len(slow) else 0.0


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _p99(values: NDArray[np.float64]) -> float:
    return float(np.quantile(values, 0.99)) if len(values) else 0.0
