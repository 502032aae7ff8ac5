"""Where things are at any instant, in closed form: no step by step integration, so any instant can be asked.

Positions are relative to the ego vehicle (base frame, metres). All methods take one time or an array of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

FADE_M = 6.0  # sounds fade over the last metres of a track, where its thing is about to be moved
_PAVEMENT_Y = 6.4


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """State along a track, each array as long as the times asked for.

    Attributes:
        x: Ahead.
        y: To the left.
        vx: Metres a second, relative to the ego vehicle.
        vy: Metres a second.
        turn: How often the thing came round; a new turn is a new specimen.
        fade: 0..1, falls to 0 where the track ends.
    """

    x: Times
    y: Times
    vx: Times
    vy: Times
    turn: NDArray[np.int64]
    fade: Times


class Track(Protocol):
    """A path through the street."""

    @property
    def yaw(self) -> float:
        """Heading of what moves along it, radians."""

    def place(self, t_s: Times) -> tuple[Times, Times]:
        """Both coordinates at the given times, metres."""

    def at(self, t_s: Times) -> Motion:
        """State at the given times."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Straight along the street; what leaves it behind comes back ahead.

    `x = low + (start + speed t) mod (high - low)`, `speed` being relative to the ego vehicle.
    """

    low: float | Times
    high: float | Times
    start: float | Times
    speed: float | Times
    y: float | Times
    yaw: float

    def place(self, t_s: Times) -> tuple[Times, Times]:
        """Both coordinates at the given times, metres."""
        _, x = _round(self.start + self.speed * t_s, self.low, self.high)
        return x, self.y + 0.0 * x

    def at(self, t_s: Times) -> Motion:
        """State at the given times."""
        turn, x = _round(self.start + self.speed * t_s, self.low, self.high)
        still = np.zeros_like(x)
        return Motion(x, self.y + still, self.speed + still, still, turn, _fade(x, self.low, self.high))


@dataclass(frozen=True, slots=True)
class Convoy:
    """In the ego vehicle's own lane, before or behind it, the gap breathing by `sway` metres."""

    gap: float
    sway: float
    omega: float
    phase: float
    y: float = 0.0
    yaw: float = 0.0

    def place(self, t_s: Times) -> tuple[Times, Times]:
        """Both coordinates at the given times, metres."""
        x = self.gap + self.sway * np.sin(self.omega * t_s + self.phase)
        return x, np.full_like(x, self.y)

    def at(self, t_s: Times) -> Motion:
        """State at the given times."""
        angle = self.omega * t_s + self.phase
        x, speed = self.gap + self.sway * np.sin(angle), self.sway * self.omega * np.cos(angle)
        same = np.ones_like(x)
        return Motion(x, same * self.y, speed, same * 0.0, np.zeros(x.shape, np.int64), same)


@dataclass(frozen=True, slots=True)
class Crossing:
    """Across the street, from the pavement on `side` (1 left, -1 right) to the other one.

    The ego vehicle nears it at `ego_speed`; the middle of the lane is reached `middle` metres before it.
    """

    low: float
    high: float
    start: float
    ego_speed: float
    pace: float
    side: int
    middle: float

    @property
    def yaw(self) -> float:
        """It looks where it walks."""
        return -self.side * np.pi / 2

    def place(self, t_s: Times) -> tuple[Times, Times]:
        """Both coordinates at the given times, metres."""
        motion = self.at(t_s)
        return motion.x, motion.y

    def at(self, t_s: Times) -> Motion:
        """State at the given times."""
        turn, x = _round(self.start - self.ego_speed * t_s, self.low, self.high)
        free = self.side * (x - self.middle) * (self.pace / self.ego_speed)
        y = np.clip(free, -_PAVEMENT_Y, _PAVEMENT_Y)
        vy = np.where(y == free, -self.side * self.pace, 0.0)
        return Motion(x, y, np.full_like(x, -self.ego_speed), vy, turn, _fade(x, self.low, self.high))


class Fleet:
    """All tracks of a street, asked together for one instant."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._tracks = tracks
        loops = [(i, t) for i, t in enumerate(tracks) if isinstance(t, Loop)]
        self._loop_at = np.array([i for i, _ in loops], np.int64)
        self._others = [i for i, t in enumerate(tracks) if not isinstance(t, Loop)]
        fields = np.array([(t.low, t.high, t.start, t.speed, t.y) for _, t in loops], np.float64).reshape(-1, 5)
        low, high, start, speed, y = fields.T
        self._loops = Loop(low, high, start, speed, y, yaw=0.0)

    def at(self, t_s: float) -> NDArray[np.float64]:
        """x, y, vx, vy and turn of every track, `[tracks, 5]`."""
        instant = np.array([t_s])
        states = np.empty((len(self._tracks), 5))
        states[self._loop_at] = _columns(self._loops.at(instant))
        for index in self._others:
            states[index] = _columns(self._tracks[index].at(instant))
        return states


def _columns(motion: Motion) -> NDArray[np.float64]:
    return np.stack([motion.x, motion.y, motion.vx, motion.vy, motion.turn], 1)


def _round(travelled: Times, low: float | Times, high: float | Times) -> tuple[NDArray[np.int64], Times]:
    span = high - low
    turns = np.floor(travelled / span)
    return turns.astype(np.int64), low + travelled - turns * span


def _fade(x: Times, low: float | Times, high: float | Times) -> Times:
    return np.maximum(np.minimum(np.minimum(x - low, high - x) / FADE_M, 1.0), 0.0)
