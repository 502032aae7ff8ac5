"""The street: who is in it, where each of them is at any instant, and what weather and light there is.

Base frame: x ahead, y left, z up, origin on the road below the ego vehicle, which drives straight at a constant
speed. The road climbs or falls by a slope that changes slowly, as roads do and as a nodding vehicle makes them
seem: a camera cannot read distance off the image row alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from edge.runtime.errors import ConfigError
from edge.runtime.simulate.bodies import CLASSES, Body, draw_body
from edge.runtime.simulate.config import StreetConfig
from edge.runtime.simulate.slabs import Floats
from edge.runtime.simulate.tracks import Fleet
from edge.runtime.simulate.traffic import Slot, draw_slots

__all__ = ["CLASSES", "Snapshot", "Street", "StreetConfig", "Surroundings", "Thing"]

PAVEMENT_HEIGHT = 0.14
KERB_Y = 5.2
BLOCK_M = 14.0  # length of a house front
BEHIND_SENSORS_M = -10.0  # no object is so long that it reaches from there into view


class Thing(NamedTuple):
    """An object at an instant; `slot` tells it from the others, `turn` one specimen of a slot from the next."""

    slot: int
    turn: int
    body: Body
    x: float
    y: float
    z: float
    yaw: float
    vx: float
    vy: float

    @property
    def class_name(self) -> str:
        """One of `CLASSES`."""
        return CLASSES[self.body.kind - 1]


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What does not move by itself.

    Attributes:
        wall_y: Distance of the house fronts from the lane's middle, left and right.
        wall_heights: float32 `[k]`, of the house fronts along the street, repeating.
        night: Whether it is dark.
        fog_m: Distance at which fog leaves 1/e of the light; infinite without fog.
    """

    wall_y: float
    wall_heights: Floats
    night: bool
    fog_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """The street at one instant, all that camera and lidar need.

    Attributes:
        t_s: The instant.
        things: Every object that is not well behind the sensors.
        surroundings: Road, houses, light.
        travelled_m: How far the ego vehicle has driven.
        slope: Rise of the road ahead, metres a metre.
        seed: Seeds the sensors' noise.
    """

    t_s: float
    things: tuple[Thing, ...]
    surroundings: Surroundings
    travelled_m: float
    slope: float
    seed: int


class Street:
    """A seeded street that can be asked for any instant, in any order, for ever.

    Args:
        seed: Not negative; equal seeds and configs give equal streets.
        config: What is likely.

    Raises:
        ConfigError: The seed is negative.
    """

    def __init__(self, seed: int, config: StreetConfig = StreetConfig()) -> None:  # noqa: B008
        if seed < 0:
            raise ConfigError(f"a street's seed cannot be {seed}", "use a seed of 0 or more")
        rng = np.random.default_rng((seed, 1))
        self.seed = seed
        self.config = config
        self.ego_speed = float(rng.uniform(4.0, 9.0))
        self.surroundings = _draw_surroundings(rng, config)
        self._slope, self._slope_phase = rng.uniform(0.0, 0.03), rng.uniform(0, 2 * np.pi)
        self.slots: tuple[Slot, ...] = draw_slots(rng, config, self.ego_speed)
        self._fleet = Fleet([slot.track for slot in self.slots])
        self.body = lru_cache(maxsize=512)(self._draw_body)

    def objects_at(self, t_s: float, ahead_of: float = -np.inf) -> tuple[Thing, ...]:
        """All objects at an instant (seconds) whose middle lies ahead of x = `ahead_of` metres."""
        slope, states = self.slope_at(t_s), self._fleet.at(t_s)
        ahead = np.flatnonzero(states[:, 0] > ahead_of)
        return tuple(
            self._thing(slot, state, slope) for slot, state in zip(ahead.tolist(), states[ahead].tolist(), strict=True)
        )

    def snapshot_at(self, t_s: float) -> Snapshot:
        """What camera and lidar may see at an instant (seconds)."""
        things = self.objects_at(t_s, BEHIND_SENSORS_M)
        return Snapshot(t_s, things, self.surroundings, self.ego_speed * t_s, self.slope_at(t_s), self.seed)

    def slope_at(self, t_s: float) -> float:
        """Rise of the road ahead, metres a metre."""
        return float(self._slope * np.sin(0.5 * t_s + self._slope_phase))

    def kind(self, slot: int, turn: int) -> int:
        """1 + index into `CLASSES` of the specimen that a slot shows in its n-th turn."""
        return self.slots[slot].kind(self.seed, slot, turn)

    def _draw_body(self, slot: int, turn: int) -> Body:
        rng = np.random.default_rng((self.seed, 3, slot, turn & 0xFFFFFFFF))
        return draw_body(self.kind(slot, turn), rng, self.config.dark)

    def _thing(self, slot: int, state: list[float], slope: float) -> Thing:
        x, y, vx, vy, turn = state
        z = slope * x + (PAVEMENT_HEIGHT if abs(y) > KERB_Y else 0.0)
        return Thing(slot, int(turn), self.body(slot, int(turn)), x, y, z, self.slots[slot].track.yaw, vx, vy)


def _draw_surroundings(rng: np.random.Generator, config: StreetConfig) -> Surroundings:
    heights = rng.uniform(6.0, 15.0, 32).astype(np.float32)
    night, fog = rng.random() < config.night, rng.random() < config.fog
    return Surroundings(
        float(rng.uniform(8.5, 11.0)), heights, bool(night), float(rng.uniform(9, 18)) if fog else float("inf")
    )
