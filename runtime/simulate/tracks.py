"""Where things are at any instant, in closed form: no step by step integration, so any instant can be asked.

Positions are relative to the ego vehicle (base frame, metres). All methods take one time or an array of times.
"""

from __future__ import annotations

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

    def at(self, t_s: Times) -> Motion:
        """State at the given times."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Straight along the street; what leaves it behind comes back ahead.

    `x = low + (start + speed t) mod (high - low)`, `speed` being relative to the ego vehicle.
    """

    low: float
    high: float
    start: float
    speed: float
    y: float
    yaw: float

    def at(self, t_s: Times) -> Motion:
        """State at the given times."""
        turn, x = _round(self.start + self.speed * t_s, self.low, self.high)
        same = np.ones_like(x)
        return Motion(x, same * self.y, same * self.speed, same * 0.0, turn, _fade(x, self.low, self.high))


@dataclass(frozen=True, slots=True)
class Convoy:
    """In the ego vehicle's own lane, before or behind it, the gap breathing by `sway` metres."""

    gap: float
    sway: float
    omega: float
    phase: float
    y: float = 0.0
    yaw: float = 0.0

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

    def at(self, t_s: Times) -> Motion:
        """State at the given times."""
        turn, x = _round(self.start - self.ego_speed * t_s, self.low, self.high)
        free = self.side * (x - self.middle) * (self.pace / self.ego_speed)
        y = np.clip(free, -_PAVEMENT_Y, _PAVEMENT_Y)
        vy = np.where(y == free, -self.side * self.pace, 0.0)
        return Motion(x, y, np.full_like(x, -self.ego_speed), vy, turn, _fade(x, self.low, self.high))


def _round(travelled: Times, low: float, high: float) -> tuple[NDArray[np.int64], Times]:
    turns = np.floor(travelled / (high - low))
    return turns.astype(np.int64), low + travelled - turns * (high - low)


def _fade(x: Times, low: float, high: float) -> Times:
    return np.clip(np.minimum(x - low, high - x) / FADE_M, 0.0, 1.0)
