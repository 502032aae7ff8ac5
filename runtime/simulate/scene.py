"""The objects of a snapshot as one set of boxes, with what each box looks like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.runtime.simulate.slabs import Boxes, Floats
from edge.runtime.simulate.street import Thing


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Boxes, and the thing that each is part of.

    Attributes:
        boxes: In the base frame.
        owners: int32 `[n]`, index into the things it was made of.
        colours: float32 `[n, FACES, 3]`.
        glow: float32 `[n, FACES, 3]`.
    """

    boxes: Boxes
    owners: NDArray[np.int32]
    colours: Floats
    glow: Floats


def build_scene(things: tuple[Thing, ...], *, paint: bool, shift_s: NDArray[np.float64] | None = None) -> Scene | None:
    """Boxes of all things.

    Args:
        things: Objects at an instant.
        paint: Also the parts that are colour and no body: what a camera sees.
        shift_s: `[things]`, how long after the instant each is looked at; it moves on meanwhile.

    Returns:
        The scene, or None without any thing.
    """
    if not things:
        return None
    masks = [None if paint else thing.body.solid for thing in things]
    centres = np.concatenate([_pick(t.body.centres, m) for t, m in zip(things, masks, strict=True)])
    halves = np.concatenate([_pick(t.body.halves, m) for t, m in zip(things, masks, strict=True)])
    counts = [len(t.body.centres) if m is None else int(m.sum()) for t, m in zip(things, masks, strict=True)]
    owners = np.repeat(np.arange(len(things), dtype=np.int32), counts)
    boxes = _place(centres, halves, _poses(things, shift_s)[owners])
    colours = np.concatenate([_pick(t.body.colours, m) for t, m in zip(things, masks, strict=True)])
    glow = np.concatenate([_pick(t.body.glow, m) for t, m in zip(things, masks, strict=True)])
    return Scene(boxes, owners, colours, glow)


def _pick(values: Floats, mask: NDArray[np.bool_] | None) -> Floats:
    return values if mask is None else values[mask]


def _poses(things: tuple[Thing, ...], shift_s: NDArray[np.float64] | None) -> Floats:
    """x, y, z, cosine and sine of the yaw of each thing."""
    state = np.array([(t.x, t.y, t.z, np.cos(t.yaw), np.sin(t.yaw)) for t in things])
    if shift_s is not None:
        state[:, 0] += shift_s * [t.vx for t in things]
        state[:, 1] += shift_s * [t.vy for t in things]
    return state.astype(np.float32)


def _place(centres: Floats, halves: Floats, poses: Floats) -> Boxes:
    cos, sin = poses[:, 3], poses[:, 4]
    placed = np.stack(
        [
            poses[:, 0] + cos * centres[:, 0] - sin * centres[:, 1],
            poses[:, 1] + sin * centres[:, 0] + cos * centres[:, 1],
            poses[:, 2] + centres[:, 2],
        ],
        1,
    )
    return Boxes(placed, poses[:, 3:5], halves)
