"""Colours of sky, road and houses: each pixel without an object gets a code, each code a colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.runtime.simulate.scenery import KERB, PAVEMENT, ROAD, WALL, Walls
from edge.runtime.simulate.slabs import Fan, Floats
from edge.runtime.simulate.street import BLOCK_M, Snapshot, Surroundings

_SKIES = 16  # shades from the horizon up
_HOUSES = 8
_ASPHALTS = 4
_SKY, _ROAD, _MARK, _KERB, _PAVEMENT = (
    0,
    _SKIES,
    _SKIES + _ASPHALTS,
    _SKIES + _ASPHALTS + 1,
    _SKIES + _ASPHALTS + 2,
)
_WALL = _PAVEMENT + 2
_PER_HOUSE = 4  # front, window, lit window, ground floor
BACKGROUND_COLOURS = _WALL + _HOUSES * _PER_HOUSE

_FRONTS = np.array(
    [
        (0.70, 0.62, 0.52), (0.62, 0.40, 0.33), (0.76, 0.73, 0.66), (0.55, 0.53, 0.52),
        (0.68, 0.56, 0.42), (0.58, 0.62, 0.60), (0.72, 0.50, 0.42), (0.64, 0.64, 0.68),
    ],
    np.float32,
)  # fmt: skip
_LINES_Y = (1.7, -1.75, -2.95)  # middle of the street, cycle lane, parking lane

_BAY_M, _STOREY_M = 2.8, 3.1
_STOREY_STEPS, _STOREYS = 24, 6
_LIT_CYCLE = 7  # of all windows at night one in seven is lit


def background_palette(surroundings: Surroundings) -> tuple[Floats, Floats]:
    """Colours and glow of the background's codes, both float32 `[BACKGROUND_COLOURS, 3]`."""
    return (_NIGHT_COLOURS, _NIGHT_GLOW) if surroundings.night else (_DAY_COLOURS, np.zeros_like(_NIGHT_GLOW))


def paint_background(
    surface: NDArray[np.uint8], depth: Floats, walls: Walls, fan: Fan, origin: Floats, snapshot: Snapshot
) -> NDArray[np.int32]:
    """Codes of all pixels, as though no object were there; int32 `[H, W]`.

    Args:
        surface: What the camera's rays meet.
        depth: Where; pixels that show an object may hold its depth.
        walls: House fronts of the columns.
        fan: The camera's rays.
        origin: The camera's place, base frame.
        snapshot: The street at the instant.
    """
    shade = np.clip(fan.rows * 45, 0, _SKIES - 1).astype(np.int32)
    codes = np.repeat((_SKY + shade)[:, None], len(fan.columns), 1)
    horizon = int(np.searchsorted(-fan.rows, -0.05))
    _paint_walls(codes, surface, walls, fan, origin, snapshot)
    _paint_ground(codes[horizon:], surface[horizon:], depth[horizon:], fan, origin, snapshot)
    return codes


def _paint_ground(
    codes: NDArray[np.int32],
    surface: NDArray[np.uint8],
    depth: Floats,
    fan: Fan,
    origin: Floats,
    snapshot: Snapshot,
) -> None:
    t = np.minimum(depth, np.float32(200))
    y = origin[1] + t * fan.columns[:, 1]
    along = np.float32(snapshot.travelled_m % 1200.0 + origin[0]) + t
    lane, stretch = ((y + 21.7) * np.float32(0.29)).astype(np.int32), (along * np.float32(0.09)).astype(np.int32)
    patch = (stretch * 7 + lane * 3) & 3
    slab = ((along * np.float32(0.5)).astype(np.int32) + (y + 20).astype(np.int32)) & 1
    np.copyto(codes, _ROAD + patch, where=surface == ROAD)
    np.copyto(codes, _PAVEMENT + slab, where=surface == PAVEMENT)
    np.copyto(codes, np.int32(_KERB), where=surface == KERB)
    np.copyto(codes, np.int32(_MARK), where=_on_line(y, along, t) & (surface == ROAD))


def _on_line(y: Floats, along: Floats, t: Floats) -> NDArray[np.bool_]:
    """Lane marks, drawn as wide as a pixel at least, or they would flicker."""
    half = np.maximum(np.float32(0.08), t * np.float32(0.0018))
    dashed = np.abs(y - np.float32(_LINES_Y[0])) < half
    dashed &= (along.astype(np.int32) % 8) < 4
    for line in _LINES_Y[1:]:
        dashed |= np.abs(y - np.float32(line)) < half * np.float32(0.7)
    return np.asarray(dashed)


def _paint_walls(
    codes: NDArray[np.int32],
    surface: NDArray[np.uint8],
    walls: Walls,
    fan: Fan,
    origin: Floats,
    snapshot: Snapshot,
) -> None:
    lowest = int(np.searchsorted(-fan.rows, 0.6))
    block = np.floor(walls.along / np.float32(BLOCK_M)).astype(np.int32)
    side = (fan.columns[:, 1] > 0).astype(np.int32)
    front = _WALL + ((block * 5 + side * 3 + snapshot.seed % _HOUSES) % _HOUSES) * _PER_HOUSE
    bay = np.floor(walls.along / np.float32(_BAY_M))
    glazed = np.abs(walls.along / np.float32(_BAY_M) - bay - np.float32(0.5)) < 0.24
    pattern = ((bay.astype(np.int32) * 3 + block) % _LIT_CYCLE) * 2 + glazed
    steps = np.float32(_STOREY_STEPS / _STOREY_M)
    foot = np.float32(origin[2]) - np.float32(snapshot.slope) * walls.distance
    height = (foot * steps + fan.rows[:lowest, None] * (walls.distance * steps)).astype(np.int32)
    np.clip(height, 0, len(_FACADE) - 1, out=height)
    height *= _FACADE.shape[1]
    height += pattern
    np.copyto(codes[:lowest], front + _FACADE.ravel()[height], where=surface[:lowest] == WALL)


def _facade() -> NDArray[np.int32]:
    """Front, window, lit window or ground floor by height step and by the column's pattern."""
    step, pattern = np.arange(_STOREYS * _STOREY_STEPS)[:, None], np.arange(2 * _LIT_CYCLE)[None]
    storey, within = step // _STOREY_STEPS, (step % _STOREY_STEPS + 0.5) / _STOREY_STEPS
    window = (pattern % 2 == 1) & (np.abs(within - 0.55) < 0.27)
    lit = (storey * 5 + pattern // 2) % _LIT_CYCLE == 0
    wall = np.where(storey < 1, 3, 0)
    return np.where(window, np.where(lit, 2, 1), wall).astype(np.int32)


def _day_colours() -> Floats:
    colours = np.zeros((BACKGROUND_COLOURS, 3), np.float32)
    up = np.linspace(0, 1, _SKIES)[:, None]
    colours[_SKY : _SKY + _SKIES] = (1 - up) * (0.86, 0.89, 0.93) + up * (0.45, 0.64, 0.90)
    for shade in range(_ASPHALTS):
        colours[_ROAD + shade] = np.array((0.33, 0.33, 0.34)) + 0.009 * (shade - 1.5)
    colours[_MARK], colours[_KERB] = (0.86, 0.86, 0.84), (0.58, 0.57, 0.55)
    colours[_PAVEMENT], colours[_PAVEMENT + 1] = (0.52, 0.50, 0.48), (0.48, 0.465, 0.445)
    for house, front in enumerate(_FRONTS):
        at = _WALL + house * _PER_HOUSE
        colours[at], colours[at + 1], colours[at + 2], colours[at + 3] = (
            front,
            front * 0.45,
            front * 0.5,
            front * 0.8,
        )
    return colours


def _night_colours() -> tuple[Floats, Floats]:
    colours, glow = _day_colours(), np.zeros((BACKGROUND_COLOURS, 3), np.float32)
    colours[:_SKIES] *= 0.5
    for house in range(_HOUSES):
        glow[_WALL + house * _PER_HOUSE + 2] = (0.42, 0.34, 0.18)
    return colours, glow


_FACADE = _facade()
_DAY_COLOURS = _day_colours()
_NIGHT_COLOURS, _NIGHT_GLOW = _night_colours()
