"""The simulated camera: colour, but no distance; blinded by night and fog.

A pinhole that looks level and straight ahead, without lens distortion, motion blur or rolling shutter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.runtime.rig import Rig
from edge.runtime.sample import Image
from edge.runtime.simulate.palette import BACKGROUND_COLOURS, background_palette, paint_background
from edge.runtime.simulate.rig import check_rig
from edge.runtime.simulate.scene import Scene, build_scene
from edge.runtime.simulate.scenery import Walls, cast_scenery
from edge.runtime.simulate.slabs import Fan, Floats, Hits, cast
from edge.runtime.simulate.street import Snapshot, Surroundings, Thing

_VIEW_M = 90.0
_NIGHT_SKY = 0.05
_DAY_FOG = np.array([0.70, 0.72, 0.74], np.float32)
_NIGHT_FOG = np.array([0.09, 0.09, 0.10], np.float32)
_GRAIN = 1 << 16  # frames start at a random place of a fixed bank of noise


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What the camera's rays meet: the truth behind a frame, untouched by night and fog.

    Attributes:
        depth: float32 `[H, W]`, optical depth in metres, infinite in the sky.
        things: int32 `[H, W]`, index into `snapshot.things`, -1 where there is none.
    """

    depth: Floats
    things: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class _Traced:
    scene: Scene | None
    depth: Floats
    hits: Hits | None
    surface: NDArray[np.uint8]
    walls: Walls
    seen: NDArray[np.int32]


class StreetCamera:
    """Renders snapshots with a rig's camera.

    Args:
        rig: Its stream `camera` is rendered.

    Raises:
        RigError: The camera is missing, distorted or turned.
    """

    def __init__(self, rig: Rig) -> None:
        check_rig(rig)
        lens = rig.intrinsics("camera")
        self.lens = lens
        self.origin = np.asarray(rig.stream("camera").T_base_from_sensor, np.float64)[:3, 3].astype(np.float32)
        across = -(np.arange(lens.width) - lens.cx) / lens.fx
        down = -(np.arange(lens.height) - lens.cy) / lens.fy
        columns = np.stack([np.ones_like(across), across], 1).astype(np.float32)
        self.fan = Fan(columns, down.astype(np.float32))
        self._beam = _headlight_beam(self.fan)
        rng = np.random.default_rng(0)
        self._noise = rng.standard_normal(lens.width * lens.height * 3 + _GRAIN, np.float32)

    def render(self, snapshot: Snapshot) -> Image:
        """The frame of an instant: uint8 RGB `[H, W, 3]`."""
        traced = self._trace(snapshot, paint=True)
        surroundings = snapshot.surroundings
        codes = paint_background(traced.surface, traced.depth, traced.walls, self.fan, self.origin, snapshot)
        colours, glow = background_palette(surroundings)
        if traced.scene is not None and traced.hits is not None:
            faces = traced.hits.faces()
            np.copyto(codes, faces + np.int32(BACKGROUND_COLOURS), where=faces >= 0)
            colours = np.concatenate([colours, traced.scene.colours.reshape(-1, 3)])
            glow = np.concatenate([glow, traced.scene.glow.reshape(-1, 3)])
        return Image(self._expose(codes, colours, glow, traced.depth, snapshot))

    def look(self, snapshot: Snapshot) -> View:
        """Depth and objects behind each pixel."""
        traced = self._trace(snapshot, paint=False)
        if traced.scene is None or traced.hits is None:
            return View(traced.depth, np.full(self.fan.shape, -1, np.int32))
        owners = np.append(traced.seen[traced.scene.owners], np.int32(-1))
        return View(traced.depth, owners[traced.hits.boxes])

    def _trace(self, snapshot: Snapshot, *, paint: bool) -> _Traced:
        chosen = [i for i, t in enumerate(snapshot.things) if self._in_view(t)]
        scene = build_scene(tuple(snapshot.things[i] for i in chosen), paint=paint)
        depth, surface, walls = cast_scenery(self.fan, self.origin, snapshot)
        hits = None if scene is None else cast(self.fan, self.origin, scene.boxes, depth)
        return _Traced(scene, depth, hits, surface, walls, np.array(chosen, np.int32))

    def _in_view(self, thing: Thing) -> bool:
        ahead = thing.x - float(self.origin[0])
        reach = thing.body.length
        half_view = float(np.abs(self.fan.columns[:, 1]).max())
        return -reach < ahead < _VIEW_M and abs(thing.y) < half_view * (ahead + reach) + reach

    def _expose(
        self, codes: NDArray[np.int32], colours: Floats, glow: Floats, depth: Floats, snapshot: Snapshot
    ) -> NDArray[np.uint8]:
        surroundings = snapshot.surroundings
        picture = np.take(colours, codes, axis=0)
        if surroundings.night:
            picture *= self._night_light(depth)[..., None]
        if surroundings.night or np.isfinite(surroundings.fog_m):
            picture += np.take(glow, codes, axis=0)
        if np.isfinite(surroundings.fog_m):
            picture = _in_fog(picture, depth, surroundings)
        return self._develop(picture, snapshot)

    def _night_light(self, depth: Floats) -> Floats:
        reach = np.float32(11.0) / np.maximum(depth, np.float32(3.0))
        return np.asarray(np.float32(_NIGHT_SKY) + self._beam * np.minimum(reach * reach, 1), np.float32)

    def _develop(self, picture: Floats, snapshot: Snapshot) -> NDArray[np.uint8]:
        """Sensor noise (more of it at night, when the gain is up) and 8 bits."""
        sigma = 5.0 if snapshot.surroundings.night else 2.5
        start = int(np.random.default_rng((snapshot.seed, 4, _tick(snapshot.t_s))).integers(_GRAIN))
        picture *= np.float32(255)
        picture += self._noise[start : start + picture.size].reshape(picture.shape) * np.float32(sigma)
        np.clip(picture, 0, 255, out=picture)
        return picture.astype(np.uint8)


def _headlight_beam(fan: Fan) -> Floats:
    """Dipped headlights: broad, and cut off a little above the horizon of the road."""
    across = np.exp(-((fan.columns[:, 1] / 0.38) ** 2))
    up = np.where(fan.rows > -0.015, 0.28, 0.85)
    return np.outer(up, across).astype(np.float32)


def _in_fog(picture: Floats, depth: Floats, surroundings: Surroundings) -> Floats:
    clear = np.exp(depth * np.float32(-1 / surroundings.fog_m))[..., None]
    grey = _NIGHT_FOG if surroundings.night else _DAY_FOG
    return np.asarray((picture - grey) * clear + grey, np.float32)


def _tick(t_s: float) -> int:
    """A time as a seed: its microseconds."""
    return round(t_s * 1e6) & 0xFFFFFFFFFFFF
