"""The levels of results and modalities, from `ok` to `blind`, and the hysteresis that they are reported with."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Level = Literal["ok", "degraded", "stale", "blind"]
LEVELS: tuple[Level, ...] = ("ok", "degraded", "stale", "blind")  # from the best to the worst


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
