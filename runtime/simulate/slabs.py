"""Rays against upright boxes, for the camera and the lidar alike.

Both sensors throw a grid of rays from one point whose direction splits into a column part (x, y) and a row part
(z): a pinhole camera that looks along x has columns (1, -(u - cx) / fx) and rows -(v - cy) / fy, a spinning lidar
columns (cos azimuth, sin azimuth) and rows tan(elevation). A box that stands upright then meets its side planes
as a function of the column alone and its top and bottom as a function of the row alone (the slab method of Kay
and Kajiya, 1986), which leaves four operations a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

FRONT, REAR, SIDE, TOP = range(4)
FACES = 4
NEAREST = 0.3  # nothing closer is drawn: sensors do not stand inside objects
_TINY = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Fan:
    """Rays from one point; ray (i, j) has the direction `(columns[j, 0], columns[j, 1], rows[i])`.

    Attributes:
        columns: float32 `[W, 2]`.
        rows: float32 `[H]`.
    """

    columns: Floats
    rows: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.rows), len(self.columns)


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Upright boxes in the base frame.

    Attributes:
        centres: float32 `[n, 3]`.
        headings: float32 `[n, 2]`, cosine and sine of the yaw.
        halves: float32 `[n, 3]`, half the length, width and height.
    """

    centres: Floats
    headings: Floats
    halves: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Slabs:
    near: Floats
    far: Floats
    face: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Which box each ray meets first.

    Attributes:
        boxes: int32 `[H, W]`, -1 where there is none.
        columns: Where columns enter the boxes' sides.
        rows: Where rows enter between their bottoms and tops.
    """

    boxes: NDArray[np.int32]
    columns: _Slabs
    rows: _Slabs

    def faces(self) -> NDArray[np.int32]:
        """`FACES * box + face` of each ray, -1 where there is none."""
        found = np.full(self.boxes.size, -1, np.int32)
        met = np.flatnonzero(self.boxes.ravel() >= 0)
        row, column = np.divmod(met, self.boxes.shape[1])
        box = self.boxes.ravel()[met]
        over = self.rows.near[box, row] > self.columns.near[box, column]
        face = np.where(over, np.int32(TOP), self.columns.face[box, column])
        found[met] = np.int32(FACES) * box + face
        return found.reshape(self.boxes.shape)


def cast(fan: Fan, origin: Floats, boxes: Boxes, distance: Floats) -> Hits:
    """Draws boxes over what the rays would meet without them; the nearest surface wins.

    Args:
        fan: The rays.
        origin: Where they start, base frame.
        boxes: What they may meet.
        distance: float32 `[H, W]`, multiples of the ray's direction; written where a box is nearer.
    """
    columns, rows = _column_slabs(fan, origin, boxes), _row_slabs(fan, origin, boxes)
    found = np.full(fan.shape, -1, np.int32)
    windows = _windows(columns, rows)
    shown = np.flatnonzero((windows[:, 1] > windows[:, 0]) & (windows[:, 3] > windows[:, 2]))
    for box, (top, bottom, left, right) in zip(shown.tolist(), windows[shown].tolist(), strict=True):
        t = np.maximum(rows.near[box, top:bottom, None], columns.near[box, left:right])
        seen = t <= np.minimum(rows.far[box, top:bottom, None], columns.far[box, left:right])
        nearest = distance[top:bottom, left:right]
        seen &= t < nearest
        np.copyto(nearest, t, where=seen)
        np.copyto(found[top:bottom, left:right], np.int32(box), where=seen)
    return Hits(found, columns, rows)


def _column_slabs(fan: Fan, origin: Floats, boxes: Boxes) -> _Slabs:
    cos, sin = boxes.headings.T
    from_x, from_y = (origin[None, :2] - boxes.centres[:, :2]).T
    dx, dy = fan.columns.T
    ahead, aside = cos * from_x + sin * from_y, cos * from_y - sin * from_x
    x_near, x_far = _slab(ahead, boxes.halves[:, 0], np.outer(cos, dx) + np.outer(sin, dy))
    y_near, y_far = _slab(aside, boxes.halves[:, 1], np.outer(cos, dy) - np.outer(sin, dx))
    end = np.where(ahead > 0, np.int32(FRONT), np.int32(REAR))
    face = np.where(x_near > y_near, end[:, None], np.int32(SIDE))
    return _Slabs(np.maximum(x_near, y_near), np.minimum(x_far, y_far), face)


def _row_slabs(fan: Fan, origin: Floats, boxes: Boxes) -> _Slabs:
    near, far = _slab(origin[2] - boxes.centres[:, 2], boxes.halves[:, 2], fan.rows[None])
    return _Slabs(near, far, np.empty(0, np.int32))


def _slab(offset: Floats, half: Floats, direction: Floats) -> tuple[Floats, Floats]:
    """Where rays enter and leave the space between two parallel planes, `[n, rays]`."""
    inverse = 1 / np.where(np.abs(direction) < _TINY, np.float32(_TINY), direction)
    one, other = (-half - offset)[:, None] * inverse, (half - offset)[:, None] * inverse
    return np.minimum(one, other), np.maximum(one, other)


def _windows(columns: _Slabs, rows: _Slabs) -> NDArray[np.int64]:
    """The part of the grid that each box can fill: `[n, 4]` of top, bottom, left, right."""
    open_columns = (columns.far >= columns.near) & (columns.near > NEAREST)
    first = np.where(open_columns, columns.near, np.float32(np.inf)).min(1)
    last = np.where(open_columns, columns.far, np.float32(-np.inf)).max(1)
    open_rows = (rows.near <= last[:, None]) & (rows.far >= first[:, None])
    return np.concatenate([_extent(open_rows), _extent(open_columns)], 1)


def _extent(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First and one past the last true value of each row, `[n, 2]`; equal where there is none."""
    start = mask.argmax(1)
    stop = mask.shape[1] - mask[:, ::-1].argmax(1)
    return np.where(mask.any(1, keepdims=True), np.stack([start, stop], 1), 0)
