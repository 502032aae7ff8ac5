"""What stands in the street: the boxes, colours and reflectance of cars, trucks, people and cycles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.runtime.simulate.slabs import Floats

CLASSES = ("car", "truck", "pedestrian", "cyclist", "emergency")
CAR, TRUCK, PEDESTRIAN, CYCLIST, EMERGENCY = range(1, 6)

Colour = tuple[float, float, float]
# Front, rear, sides, top: tops catch the sky, sides lie in half shade.
FACE_LIGHT = np.array([0.85, 0.85, 0.66, 1.05], np.float32)

_PAINTS: tuple[Colour, ...] = (
    (0.88, 0.88, 0.86), (0.60, 0.62, 0.64), (0.35, 0.37, 0.40), (0.55, 0.10, 0.12),
    (0.12, 0.20, 0.48), (0.12, 0.32, 0.22), (0.50, 0.42, 0.30),
)  # fmt: skip
_DARK_PAINTS: tuple[Colour, ...] = ((0.07, 0.07, 0.08), (0.10, 0.09, 0.08), (0.06, 0.07, 0.10))
_CLOTHES: tuple[Colour, ...] = (
    (0.75, 0.20, 0.20), (0.20, 0.35, 0.70), (0.80, 0.75, 0.65), (0.25, 0.50, 0.30), (0.45, 0.30, 0.55),
    (0.7, 0.5, 0.2),
)  # fmt: skip
_LIVERIES: tuple[tuple[Colour, Colour], ...] = (
    ((0.95, 0.95, 0.93), (0.98, 0.28, 0.05)),
    ((0.80, 0.95, 0.10), (0.05, 0.20, 0.85)),
)
_SKIN: Colour = (0.78, 0.60, 0.48)
_GLASS: Colour = (0.13, 0.17, 0.21)
_RUBBER: Colour = (0.06, 0.06, 0.06)
_HEADLIGHT: Colour = (0.95, 0.95, 0.88)
_TAIL_LIGHT: Colour = (0.75, 0.05, 0.05)
_BEACON: Colour = (0.10, 0.30, 1.00)


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """The shape and the looks of one object, in its own frame: x ahead, z up from the ground it stands on.

    Attributes:
        kind: 1 + index into `CLASSES`.
        centres: float32 `[m, 3]` of its boxes.
        halves: float32 `[m, 3]`.
        colours: float32 `[m, FACES, 3]` in 0..1, daylight shading included.
        glow: float32 `[m, FACES, 3]`, light that it sends out when its lamps are on.
        solid: bool `[m]`; False for paint and lamps, which only a camera sees.
        reflectance: 0..1, what a lidar measures.
        dark: Its surface swallows most lidar returns.
        length: Metres.
    """

    kind: int
    centres: Floats
    halves: Floats
    colours: Floats
    glow: Floats
    solid: NDArray[np.bool_]
    reflectance: float
    dark: bool
    length: float


class _Parts:
    """Collects boxes given by their extents."""

    def __init__(self) -> None:
        self._extents: list[tuple[float, ...]] = []
        self._colours: list[tuple[Colour, ...]] = []
        self._glow: list[float] = []
        self._solid: list[bool] = []

    def add(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        colour: Colour,
        *,
        solid: bool = True,
        ends: tuple[Colour, Colour] | None = None,
        glow: float = 0.0,
    ) -> None:
        """Adds a box; `ends` colours its front and rear face, `glow` lets its colour shine."""
        self._extents.append((x[0], y[0], z[0], x[1], y[1], z[1]))
        self._colours.append((*(ends or (colour, colour)), colour, colour))
        self._glow.append(glow)
        self._solid.append(solid)

    def body(self, kind: int, reflectance: float, dark: bool) -> Body:
        """The finished body."""
        extents, solid = np.array(self._extents, np.float32), np.array(self._solid)
        low, high = extents[:, :3], extents[:, 3:]
        colours = np.array(self._colours, np.float32)
        glow = colours * np.array(self._glow, np.float32)[:, None, None]
        reach = float(high[:, 0].max() - low[:, 0].min())
        return Body(
            kind,
            np.asarray((low + high) / 2, np.float32),
            np.asarray((high - low) / 2, np.float32),
            colours * FACE_LIGHT[:, None],
            glow,
            solid,
            reflectance,
            dark,
            reach,
        )


def draw_body(kind: int, rng: np.random.Generator, dark_share: float) -> Body:
    """A random specimen of a class.

    An emergency vehicle has the shape of a car or of a truck and differs from them by its livery and its blue
    lamps alone, which no lidar sees. Reflectance is drawn without regard to colour; dark objects are both
    black and of low reflectance.

    Args:
        kind: 1 + index into `CLASSES`.
        rng: Source of chance.
        dark_share: Probability of a dark object; emergency vehicles never are.
    """
    dark = bool(rng.random() < dark_share) and kind != EMERGENCY
    reflectance = float(rng.uniform(0.02, 0.05) if dark else rng.uniform(0.2, 0.7))
    if kind in (PEDESTRIAN, CYCLIST):
        return _person(kind, rng, dark).body(kind, reflectance, dark)
    livery = _LIVERIES[rng.integers(len(_LIVERIES))] if kind == EMERGENCY else None
    paint = livery[0] if livery else _paint(rng, dark)
    truck = kind == TRUCK or (kind == EMERGENCY and rng.random() < 0.4)
    parts = _truck(rng, paint, livery, dark) if truck else _car(rng, paint, livery)
    return parts.body(kind, reflectance, dark)


def _paint(rng: np.random.Generator, dark: bool) -> Colour:
    paints = _DARK_PAINTS if dark else _PAINTS
    return paints[rng.integers(len(paints))]


def _car(rng: np.random.Generator, paint: Colour, livery: tuple[Colour, Colour] | None) -> _Parts:
    length, width, height = rng.uniform(3.7, 4.9), rng.uniform(1.65, 1.95), rng.uniform(1.38, 1.75)
    x, y, waist = length / 2, width / 2, height * 0.56
    parts = _Parts()
    parts.add((-x, x), (-y, y), (0.26, waist), paint)
    back, front = -x * rng.uniform(0.75, 0.98), x * rng.uniform(0.25, 0.4)
    parts.add((back, front), (-y * 0.9, y * 0.9), (waist, height - 0.05), _GLASS)
    parts.add((back * 0.93, front * 0.8), (-y * 0.88, y * 0.88), (height - 0.07, height), paint)
    _add_axles(parts, x * 0.62, y, 0.62)
    _add_lamps(parts, x, y, waist - 0.22)
    if livery:
        _add_livery(parts, x, y, (0.38, waist - 0.08), livery[1])
        _add_beacons(parts, 0.1 * x, y, height)
    return parts


def _truck(rng: np.random.Generator, paint: Colour, livery: tuple[Colour, Colour] | None, dark: bool) -> _Parts:
    length, width, height = rng.uniform(5.4, 7.8), rng.uniform(2.1, 2.5), rng.uniform(2.6, 3.5)
    x, y, cab = length / 2, width / 2, rng.uniform(1.6, 2.1)
    cargo = paint if livery or dark else _paint(rng, False)
    low = height * rng.uniform(0.74, 0.86)
    parts = _Parts()
    parts.add((x - cab, x), (-y * 0.96, y * 0.96), (0.4, low), paint)
    parts.add((x - 1.1, x + 0.02), (-y * 0.98, y * 0.98), (low * 0.52, low * 0.84), _GLASS, solid=False)
    parts.add((-x, x - cab - 0.08), (-y, y), (0.55, height), cargo)
    _add_axles(parts, x * 0.66, y, 0.9)
    _add_lamps(parts, x, y, 0.75)
    if livery:
        _add_livery(parts, x, y, (0.9, height * 0.55), livery[1])
        _add_beacons(parts, x - 0.8, y, height if rng.random() < 0.5 else low)
    return parts


def _add_axles(parts: _Parts, x: float, y: float, diameter: float) -> None:
    for at in (-x, x):
        parts.add((at - diameter / 2, at + diameter / 2), (-y - 0.01, y + 0.01), (0.0, diameter), _RUBBER)


def _add_lamps(parts: _Parts, x: float, y: float, z: float) -> None:
    for inner, outer in ((-y + 0.05, -y + 0.38), (y - 0.38, y - 0.05)):
        parts.add(
            (-x - 0.01, x + 0.01), (inner, outer), (z, z + 0.16), _TAIL_LIGHT,
            solid=False, ends=(_HEADLIGHT, _TAIL_LIGHT), glow=0.9,
        )  # fmt: skip


def _add_livery(parts: _Parts, x: float, y: float, z: tuple[float, float], stripe: Colour) -> None:
    middle = (z[0] + z[1]) / 2
    parts.add((-x - 0.015, x + 0.015), (-y - 0.015, y + 0.015), (z[0], middle + 0.1), stripe, solid=False)


def _add_beacons(parts: _Parts, x: float, y: float, z: float) -> None:
    parts.add((x - 0.2, x + 0.2), (-y * 0.75, y * 0.75), (z, z + 0.17), _BEACON, solid=False, glow=1.1)


def _person(kind: int, rng: np.random.Generator, dark: bool) -> _Parts:
    shirt = _paint(rng, True) if dark else _CLOTHES[rng.integers(len(_CLOTHES))]
    trousers = _DARK_PAINTS[rng.integers(3)] if dark or rng.random() < 0.4 else (0.25, 0.28, 0.40)
    head = (0.10, 0.08, 0.07) if dark else _SKIN
    return _cyclist(rng, shirt, trousers, head) if kind == CYCLIST else _walker(rng, shirt, trousers, head)


def _walker(rng: np.random.Generator, shirt: Colour, trousers: Colour, head: Colour) -> _Parts:
    height, half, stride = rng.uniform(1.5, 1.95), rng.uniform(0.24, 0.34), rng.uniform(-0.18, 0.18)
    parts = _Parts()
    for side in (-1, 1):
        x, y = stride * side, half * 0.45 * side
        parts.add((x - 0.11, x + 0.11), (y - 0.11, y + 0.11), (0.0, height * 0.5), trousers)
    parts.add((-0.16, 0.16), (-half, half), (height * 0.47, height * 0.84), shirt)
    parts.add((-0.12, 0.12), (-0.11, 0.11), (height * 0.86, height), head)
    return parts


def _cyclist(rng: np.random.Generator, shirt: Colour, trousers: Colour, head: Colour) -> _Parts:
    reach, half, top = rng.uniform(0.5, 0.6), rng.uniform(0.24, 0.3), rng.uniform(1.6, 1.85)
    frame = _CLOTHES[rng.integers(len(_CLOTHES))]
    parts = _Parts()
    for at in (-reach, reach):
        parts.add((at - 0.34, at + 0.34), (-0.04, 0.04), (0.0, 0.68), _RUBBER)
    parts.add((-reach, reach), (-0.05, 0.05), (0.42, 0.78), frame)
    parts.add((reach - 0.16, reach - 0.08), (-0.28, 0.28), (0.95, 1.02), _RUBBER)
    parts.add((-0.22, 0.16), (-half * 0.7, half * 0.7), (0.5, 0.98), trousers)
    parts.add((-0.25, 0.3), (-half, half), (0.95, top - 0.28), shirt)
    parts.add((0.08, 0.34), (-0.12, 0.12), (top - 0.26, top), head)
    return parts
