"""Hand-made street scenes: one box at a known place, under known light."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edge.runtime.simulate.bodies import CAR, Body
from edge.runtime.simulate.street import Snapshot, Surroundings, Thing

MakeThing = Callable[..., Thing]
MakeSnapshot = Callable[..., Snapshot]


def _body(kind: int, size: tuple[float, float, float], dark: bool, reflectance: float, colour: float) -> Body:
    length, width, height = size
    return Body(
        kind,
        np.array([[0, 0, height / 2]], np.float32),
        np.array([[length / 2, width / 2, height / 2]], np.float32),
        np.full((1, 4, 3), colour, np.float32),
        np.zeros((1, 4, 3), np.float32),
        np.array([True]),
        reflectance,
        dark,
        length,
    )


@pytest.fixture
def make_thing() -> MakeThing:
    def make(
        x: float,
        y: float,
        size: tuple[float, float, float] = (4.0, 2.0, 1.5),
        *,
        kind: int = CAR,
        yaw: float = 0.0,
        dark: bool = False,
        reflectance: float = 0.5,
        colour: float = 0.9,
        vx: float = 0.0,
        slot: int = 0,
    ) -> Thing:
        return Thing(slot, 0, _body(kind, size, dark, reflectance, colour), x, y, 0.0, yaw, vx, 0.0)

    return make


@pytest.fixture
def make_snapshot() -> MakeSnapshot:
    def make(
        *things: Thing, night: bool = False, fog_m: float = float("inf"), slope: float = 0.0, seed: int = 1
    ) -> Snapshot:
        surroundings = Surroundings(9.0, np.full(8, 10.0, np.float32), night, fog_m)
        return Snapshot(3.0, tuple(things), surroundings, 25.0, slope, seed)

    return make
