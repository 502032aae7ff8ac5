"""Level and state over the time of a run, in a fixed number of slots: the longer the run, the longer a slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.clock import NS_PER_S
from edge.runtime.levels import LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.runtime.levels import Level

SLOTS = 120
SHORTEST_NS = NS_PER_S // 4


class Timeline:
    """Counts levels and states by slots of time; when the slots are used up, each two become one."""

    def __init__(self) -> None:
        self._start_ns: int | None = None
        self._slot_ns = SHORTEST_NS
        self._last = 0  # the newest slot
        self._levels = np.zeros((SLOTS, len(LEVELS)), np.int64)
        self._states: dict[str, NDArray[np.int64]] = {}

    def add(self, now_ns: int, level: Level, state: str) -> None:
        """Takes a result's level and state; time that goes backward counts as now."""
        if self._start_ns is None:
            self._start_ns = now_ns
        while now_ns - self._start_ns >= SLOTS * self._slot_ns:
            self._halve()
        self._last = max(self._last, (now_ns - self._start_ns) // self._slot_ns)
        counts = self._states.get(state)
        if counts is None:
            counts = self._states[state] = np.zeros(SLOTS, np.int64)
        self._levels[self._last, LEVELS.index(level)] += 1
        counts[self._last] += 1

    def _halve(self) -> None:
        self._slot_ns *= 2
        self._last //= 2
        for counts in (self._levels, *self._states.values()):
            merged = counts[0::2] + counts[1::2]
            counts[: len(merged)] = merged
            counts[len(merged) :] = 0

    def segments(self) -> list[dict[str, Any]]:
        """Stretches of one level and one state: `from_s`, `to_s` (from the first result on), `level`, `state`.

        A slot shows its worst level and its most frequent state; one without a result goes on with those before it.
        """
        found: list[dict[str, Any]] = []
        slot_s = self._slot_ns / NS_PER_S
        for slot in range(0 if self._start_ns is None else self._last + 1):
            seen = np.flatnonzero(self._levels[slot])
            shown = found[-1] if found else {}
            level, state = shown.get("level"), shown.get("state")
            if len(seen):
                level = LEVELS[int(seen[-1])]
                state = max(self._states, key=lambda name: int(self._states[name][slot]))
            if (level, state) == (shown.get("level"), shown.get("state")):
                shown["to_s"] = (slot + 1) * slot_s
            else:
                found.append({"from_s": slot * slot_s, "to_s": (slot + 1) * slot_s, "level": level, "state": state})
        return found
