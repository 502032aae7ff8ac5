"""Road, kerbs, pavements and house fronts as rays meet them, for the camera and the lidar alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.runtime.simulate.slabs import Fan, Floats
from edge.runtime.simulate.street import BLOCK_M, KERB_Y, PAVEMENT_HEIGHT, Snapshot

SKY, ROAD, KERB, PAVEMENT, WALL = range(5)
_FAR = np.float32(np.inf)


class Walls(NamedTuple):
    """House fronts as each column of rays meets them.

    Attributes:
        distance: float32 `[W]`, multiples of the ray's direction.
        along: float32 `[W]`, metres along the street from its beginning.
        top: float32 `[W]`, height of the roof there, base frame.
    """

    distance: Floats
    along: Floats
    top: Floats


def cast_scenery(fan: Fan, origin: Floats, snapshot: Snapshot) -> tuple[Floats, NDArray[np.uint8], Walls]:
    """What the rays meet where no object is in their way.

    Args:
        fan: The rays.
        origin: Where they start, base frame.
        snapshot: The street at the instant.

    Returns:
        float32 `[H, W]` multiples of the ray's direction (infinite in the sky), uint8 `[H, W]` of `SKY` to `WALL`,
        and the house fronts.
    """
    walls, kerb = _walls(fan, origin, snapshot), _aside(fan, origin, KERB_Y)
    fall = _fall(fan, snapshot.slope)
    above_road = np.float32(origin[2] - snapshot.slope * origin[0])
    t_road, t_pavement = _drop(above_road, fall), _drop(above_road - np.float32(PAVEMENT_HEIGHT), fall)
    on_road, on_pavement = t_road < kerb, t_pavement > kerb
    t = np.where(on_road, t_road, np.where(on_pavement, t_pavement, kerb))
    surface = np.where(on_road, np.uint8(ROAD), np.where(on_pavement, np.uint8(PAVEMENT), np.uint8(KERB)))
    beyond = t >= walls.distance
    np.copyto(t, walls.distance, where=beyond)
    np.copyto(surface, np.uint8(WALL), where=beyond)
    over = beyond & (origin[2] + fan.rows[:, None] * walls.distance > walls.top)
    over |= ~np.isfinite(t)
    np.copyto(t, _FAR, where=over)
    np.copyto(surface, np.uint8(SKY), where=over)
    return t, surface, walls


def _walls(fan: Fan, origin: Floats, snapshot: Snapshot) -> Walls:
    distance = _aside(fan, origin, snapshot.surroundings.wall_y)
    ahead = origin[0] + np.minimum(distance, np.float32(1e4)) * fan.columns[:, 0]
    along = snapshot.travelled_m + ahead.astype(np.float64)
    side = np.where(fan.columns[:, 1] > 0, 0, 17)
    heights = snapshot.surroundings.wall_heights
    top = heights[(np.floor(along / BLOCK_M).astype(np.int64) + side) % len(heights)]
    return Walls(distance, along.astype(np.float32), top + np.float32(snapshot.slope) * ahead)


def _aside(fan: Fan, origin: Floats, y: float) -> Floats:
    """Where each column of rays meets the upright plane `y` metres to its side."""
    dy = fan.columns[:, 1]
    with np.errstate(divide="ignore"):
        met = np.where(dy == 0, _FAR, (np.sign(dy) * np.float32(y) - origin[1]) / dy)
    return np.asarray(met, np.float32)


def _fall(fan: Fan, slope: float) -> Floats:
    """How fast rays near the road, `[H, W]` or, where all columns agree, `[H, 1]`."""
    ahead = fan.columns[:, 0]
    if np.all(ahead == ahead[0]):
        ahead = ahead[:1]
    return np.asarray(np.float32(slope) * ahead[None] - fan.rows[:, None], np.float32)


def _drop(height: np.float32, fall: Floats) -> Floats:
    return np.asarray(np.where(fall > 1e-4, height / np.maximum(fall, np.float32(1e-4)), _FAR), np.float32)
