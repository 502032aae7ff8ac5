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

What is reported follows with hysteresis, so that a lamp does not flicker; see `edge.runtime.levels.LevelFilter`. It is
never better than the result that it comes with.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from edge.runtime.levels import LEVELS, LevelFilter

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from edge.runtime.levels import HealthPolicy, Level
    from edge.runtime.synchronize.synced import SyncedSet

_log = logging.getLogger(__name__)


class Judgement(NamedTuple):
    """The levels that a result is emitted with."""

    level: Level
    levels: dict[str, Level]


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
