"""How much a result can be relied on: `ok`, `degraded`, `stale` or `blind`, for the whole and for each modality.

Of a modality, in one result:

- `ok`: a sample that belongs to this instant was used (or a held one, not older than the stream's own period).
- `degraded`: its sample is there, but no validated state contains it with the others, so the model ran without; or it
  is sound with holes that were filled with silence.
- `stale`: what was used is a held sample, older than one period of its stream (and never older than its `max_age_ms`).
- `blind`: it is missing, or what came was refused.

Of a result:

- `blind`: nothing validated could be run. The result is not valid and holds nothing; never an empty "all clear".
- `stale`: what was run rests on at least one stale modality.
- `degraded`: a smaller validated state was run than that of all modalities, or the anchor was silent and its stamp is
  a predicted one.
- `ok`: every modality of the model is ok.

What is reported follows with hysteresis, so that a lamp does not flicker; see `LevelFilter`. It is never better than
the result that it comes with.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from edge.runtime.synchronize.synced import SyncedSet

Level = Literal["ok", "degraded", "stale", "blind"]
LEVELS: tuple[Level, ...] = ("ok", "degraded", "stale", "blind")  # from the best to the worst

_log = logging.getLogger(__name__)


class HealthPolicy(BaseModel):
    """When a level that was reported takes hold, and when it lets go; part of the rig.

    One result in a row that is worse than its neighbours is everyday (a lost frame); two are a sensor that fails,
    because the synchronizer replaces a silent anchor within two periods. Three good ones in a row are what it also
    asks for before it believes a clock that has stepped.

    Attributes:
        misses_in: So many results of a worse level, with fewer than `good_out` better ones in a row among them, make
            that level stay. Fewer are reported as they are and leave no trace.
        good_out: A level that stays ends with so many better results in a row.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    misses_in: int = Field(2, ge=1, le=1000)
    good_out: int = Field(3, ge=1, le=1000)


class Judgement(NamedTuple):
    """The levels that a result is emitted with."""

    level: Level
    levels: dict[str, Level]


class LevelFilter:
    """Hysteresis on one sequence of levels.

    What comes out is never better than what went in, and `blind` comes out exactly where it went in: what is not
    valid is said at once, and what is valid is not called blind. `misses_in` misses make `degraded` (of stale ones:
    `stale`) stay until `good_out` results in a row are better; blind results are misses of `degraded`, and tell
    nothing about `stale`.
    """

    def __init__(self, policy: HealthPolicy) -> None:
        self._degraded = _Latch(policy)
        self._stale = _Latch(policy)

    def take(self, level: Level) -> Level:
        """Takes the level of one result, gives the one to report."""
        self._degraded.take(level != "ok")
        if level == "blind":
            return level
        self._stale.take(level == "stale")
        if self._stale.is_set or level == "stale":
            return "stale"
        return "degraded" if self._degraded.is_set else level


class _Latch:
    def __init__(self, policy: HealthPolicy) -> None:
        self._policy = policy
        self._misses = self._good = 0
        self.is_set = False

    def take(self, miss: bool) -> None:
        if miss:
            self._misses, self._good = self._misses + 1, 0
            self.is_set = self.is_set or self._misses >= self._policy.misses_in
            return
        self._good += 1
        if self._good >= self._policy.good_out:
            self._misses, self.is_set = 0, False


class HealthMonitor:
    """Judges the results of a run, in their order, and logs one line at each change of the level.

    Args:
        periods_ns: Nominal period of each modality of the model.
        policy: Hysteresis.
    """

    def __init__(self, periods_ns: Mapping[str, int], policy: HealthPolicy) -> None:
        self._periods_ns = dict(periods_ns)
        self._filters = {name: LevelFilter(policy) for name in periods_ns}
        self._filter = LevelFilter(policy)
        self._level: Level | None = None

    def judge(self, synced: SyncedSet, used: Sequence[str], refused: Collection[str], reason: str = "") -> Judgement:
        """The levels of the result of one set.

        Args:
            synced: The set.
            used: Modalities that the model saw; none where nothing could be run.
            refused: Modalities whose payload could not be used.
            reason: Why the result is not valid, for the log.
        """
        present = {name: self._modality_level(name, synced, used, refused) for name in self._periods_ns}
        level = self._filter.take(result_level(present, used, synced.predicted))
        levels = {name: self._filters[name].take(found) for name, found in present.items()}
        self._note(level, levels, synced.stamp_ns, reason)
        return Judgement(level, levels)

    def _modality_level(self, name: str, synced: SyncedSet, used: Sequence[str], refused: Collection[str]) -> Level:
        if name not in synced.samples or name in refused:
            return "blind"
        if name not in used:
            return "degraded"
        is_old = name in synced.held and synced.stamp_ns - synced.stamps_ns[name] > self._periods_ns[name]
        if is_old:
            return "stale"
        return "degraded" if name in synced.concealed_ms else "ok"

    def _note(self, level: Level, levels: Mapping[str, Level], stamp_ns: int, reason: str) -> None:
        before, self._level = self._level, level
        if level == before:
            return
        is_worse = LEVELS.index(level) > (0 if before is None else LEVELS.index(before))
        worse = ", ".join(f"{name} {found}" for name, found in levels.items() if found != "ok")
        severity = logging.WARNING if is_worse else logging.INFO
        change = f"{before} -> {level}" if before else f"{level} from the start"
        _log.log(severity, "level %s, at stamp %d ns: %s", change, stamp_ns, reason or worse or "every modality ok")


def result_level(levels: Mapping[str, Level], used: Sequence[str], predicted: bool) -> Level:
    """Level of a result from those of its modalities, before hysteresis.

    Args:
        levels: Of every modality of the model.
        used: Modalities that the model saw; none where nothing could be run.
        predicted: Whether the anchor was silent.
    """
    if not used:
        return "blind"
    if any(levels[name] == "stale" for name in used):
        return "stale"
    return "degraded" if predicted or any(level != "ok" for level in levels.values()) else "ok"
