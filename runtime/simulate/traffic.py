"""Fills a street: lanes, parking lane, cycle lane, pavements and crossings, each with its slots for objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.simulate.bodies import CAR, CYCLIST, EMERGENCY, PEDESTRIAN, TRUCK
from edge.runtime.simulate.tracks import Convoy, Crossing, Loop, Track

if TYPE_CHECKING:
    from edge.runtime.simulate.config import StreetConfig

BEHIND_M = -22.0
ONCOMING_Y, CYCLE_Y, PARKING_Y = 3.4, -2.3, -4.1
VEHICLES = (CAR, TRUCK, EMERGENCY)


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one object after another.

    Attributes:
        track: Where it is.
        kinds: Classes that it may show, 1 + index into `CLASSES`.
        shares: Their probabilities.
        engine_hz: Pitch of its engine; 0 where it has none that runs.
        loudness: Of its sounds, relative to others of its kind.
        siren_phase: Shifts the siren's schedule, seconds.
        wails: Its siren sweeps; otherwise it has two tones.
    """

    track: Track
    kinds: tuple[int, ...]
    shares: tuple[float, ...]
    engine_hz: float
    loudness: float
    siren_phase: float
    wails: bool

    def kind(self, seed: int, slot: int, turn: int) -> int:
        """Class of the specimen in the n-th turn."""
        if len(self.kinds) == 1:
            return self.kinds[0]
        chance = np.random.default_rng((seed, 2, slot, turn & 0xFFFFFFFF)).random()
        return self.kinds[
            int(np.searchsorted(np.cumsum(self.shares), chance, side="right").clip(0, len(self.kinds) - 1))
        ]


def draw_slots(rng: np.random.Generator, config: StreetConfig, ego_speed: float) -> tuple[Slot, ...]:
    """All slots of a street whose ego vehicle drives at `ego_speed` (m/s)."""
    filler = _Filler(rng, config, ego_speed)
    led = bool(rng.random() < config.traffic)
    if led:
        filler.lead()
    filler.follower()
    filler.oncoming()
    filler.parked()
    filler.cyclists()
    filler.pavements()
    if not led:
        filler.crossings()
    return tuple(filler.slots)


class _Filler:
    def __init__(self, rng: np.random.Generator, config: StreetConfig, ego_speed: float) -> None:
        self._rng, self._config, self._ego_speed = rng, config, ego_speed
        self.slots: list[Slot] = []

    def lead(self) -> None:
        near = self._config.range_m[0]
        sway = self._rng.uniform(1.0, 3.0)
        gap = sway + near + 4.0 + self._rng.uniform(0.0, 16.0)
        self._add(Convoy(gap, sway, *self._swing()), VEHICLES, self._moving_shares())

    def follower(self) -> None:
        if self._rng.random() < self._config.followers:
            track = Convoy(-self._rng.uniform(12.0, 45.0), 3.0, *self._swing())
            self._add(track, (EMERGENCY,), (1.0,))

    def oncoming(self) -> None:
        speed = -self._ego_speed - self._rng.uniform(5.0, 10.0)
        for start in self._starts(14.0, self._config.traffic):
            self._add(self._loop(start, speed, ONCOMING_Y, np.pi), VEHICLES, self._moving_shares())

    def parked(self) -> None:
        trucks = self._config.trucks
        emergency = self._config.emergency * 0.4
        shares = ((1 - trucks) * (1 - emergency), trucks * (1 - emergency), emergency)
        for start in self._starts(9.5, self._config.parked, jitter=0.15):
            yaw = 0.0 if self._rng.random() < 0.8 else np.pi
            track = self._loop(start, -self._ego_speed, PARKING_Y + self._rng.uniform(-0.15, 0.1), yaw)
            self._add(track, VEHICLES, shares, engine=False)

    def cyclists(self) -> None:
        speed = self._rng.uniform(3.0, 5.5) - self._ego_speed
        for start in self._starts(11.0, self._config.cyclists):
            self._add(self._loop(start, speed, CYCLE_Y + self._rng.uniform(-0.2, 0.2), 0.0), (CYCLIST,), (1.0,))

    def pavements(self) -> None:
        for side in (-1, 1):
            for start in self._starts(7.0, self._config.pedestrians):
                y = side * self._rng.uniform(5.6, 7.6)
                onward = self._rng.random() < 0.5
                walk = self._rng.uniform(0.8, 1.6) * (1 if onward else -1)
                self._add(self._loop(start, walk - self._ego_speed, y, 0.0 if onward else np.pi), (PEDESTRIAN,), (1.0,))

    def crossings(self) -> None:
        low, high = BEHIND_M, self._config.range_m[1]
        for start in self._starts(16.0, self._config.pedestrians):
            cycling = self._rng.random() < 0.35
            pace = self._rng.uniform(2.2, 3.2) if cycling else self._rng.uniform(1.1, 1.7)
            side = 1 if self._rng.random() < 0.5 else -1
            middle = self._rng.uniform(13.0, 26.0)
            track = Crossing(low, high, start, self._ego_speed, pace, side, middle)
            self._add(track, (CYCLIST if cycling else PEDESTRIAN,), (1.0,))

    def _starts(self, spacing: float, occupancy: float, jitter: float = 0.25) -> list[float]:
        """Places along a lane, at least half a spacing apart."""
        span = self._config.range_m[1] - BEHIND_M
        count = max(1, int(span / spacing))
        shift = self._rng.uniform(0, span)
        places = shift + (np.arange(count) + self._rng.uniform(-jitter, jitter, count)) * span / count
        return [float(p) for p in places[self._rng.random(count) < occupancy]]

    def _loop(self, start: float, speed: float, y: float, yaw: float) -> Loop:
        return Loop(BEHIND_M, self._config.range_m[1], start, speed, y, yaw)

    def _swing(self) -> tuple[float, float]:
        return float(self._rng.uniform(0.2, 0.5)), float(self._rng.uniform(0, 2 * np.pi))

    def _moving_shares(self) -> tuple[float, float, float]:
        trucks, emergency = self._config.trucks, self._config.emergency
        return (1 - trucks) * (1 - emergency), trucks * (1 - emergency), emergency

    def _add(self, track: Track, kinds: tuple[int, ...], shares: tuple[float, ...], *, engine: bool = True) -> None:
        runs = engine and kinds[0] in VEHICLES
        self.slots.append(
            Slot(
                track,
                kinds,
                shares,
                float(self._rng.uniform(38.0, 80.0)) if runs else 0.0,
                float(np.exp(self._rng.uniform(-0.7, 0.7))),
                float(self._rng.uniform(0.0, 100.0)),
                bool(self._rng.random() < 0.5),
            )
        )
