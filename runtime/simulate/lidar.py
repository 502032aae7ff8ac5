"""The simulated spinning lidar: distance and reflectance, but no colour; dark surfaces and fog swallow returns.

Only the 100 degrees ahead are simulated, where a camera looks; the rest of the turn returns nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edge.runtime.rig import Rig
from edge.runtime.sample import PointCloud
from edge.runtime.simulate.rig import check_rig
from edge.runtime.simulate.scene import build_scene
from edge.runtime.simulate.scenery import KERB, PAVEMENT, ROAD, WALL, cast_scenery
from edge.runtime.simulate.slabs import Fan, Floats, cast
from edge.runtime.simulate.street import Snapshot, Thing

BEAMS, COLUMNS = 40, 284
_ELEVATION = (math.radians(-17.5), math.radians(9.0))
_AZIMUTH = (math.radians(-50.0), math.radians(50.0))
RANGE_NOISE_M = 0.02
_RANGE_M = 80.0
_DROPOUT = 0.03
_FOG_LIDAR_M = 4.5  # a lidar's light travels twice through fog, but returns count down to a few per cent
_SURFACE_REFLECTANCE = np.zeros(5, np.float32)
_SURFACE_REFLECTANCE[[ROAD, KERB, PAVEMENT, WALL]] = (0.12, 0.30, 0.24, 0.35)


class StreetLidar:
    """Sweeps snapshots with a rig's lidar.

    Args:
        rig: Its stream `lidar` is simulated.

    Raises:
        RigError: The lidar is missing or turned.
    """

    def __init__(self, rig: Rig) -> None:
        check_rig(rig)
        stream = rig.stream("lidar")
        self.origin = np.asarray(stream.T_base_from_sensor, np.float64)[:3, 3].astype(np.float32)
        azimuth, slope = np.linspace(*_AZIMUTH, COLUMNS), np.tan(np.linspace(*_ELEVATION, BEAMS))
        columns = np.stack([np.cos(azimuth), np.sin(azimuth)], 1).astype(np.float32)
        self.fan = Fan(columns, slope.astype(np.float32))
        self._stretch = np.sqrt(1 + slope * slope).astype(np.float32)[:, None]
        self._seconds_per_radian = 1 / (stream.rate_hz * 2 * np.pi)
        self._time = np.broadcast_to((azimuth * self._seconds_per_radian).astype(np.float32), self.fan.shape)

    def sweep(self, snapshot: Snapshot) -> PointCloud:
        """The sweep whose middle is the snapshot's instant, in the lidar's frame.

        Every object stands where it is when the beam passes it; points carry their time relative to the instant.
        """
        things = tuple(t for t in snapshot.things if self._in_reach(t))
        scene = build_scene(things, paint=False, shift_s=self._passing(things))
        t, surface, _ = cast_scenery(self.fan, self.origin, snapshot)
        reflectance, dark = _SURFACE_REFLECTANCE[surface], np.zeros(self.fan.shape, np.bool_)
        if scene is not None:
            boxes = cast(self.fan, self.origin, scene.boxes, t).boxes
            hit = boxes >= 0
            owner = scene.owners[boxes[hit]]
            reflectance[hit] = np.array([t.body.reflectance for t in things], np.float32)[owner]
            dark[hit] = np.array([t.body.dark for t in things])[owner]
        return self._measure(t * self._stretch, reflectance, dark, snapshot)

    def _in_reach(self, thing: Thing) -> bool:
        return -thing.body.length < thing.x < _RANGE_M and abs(thing.y) < 1.2 * thing.x + 2 * thing.body.length

    def _passing(self, things: tuple[Thing, ...]) -> NDArray[np.float64]:
        """When the beam passes each thing, relative to the middle of the sweep."""
        places = np.array([(t.x, t.y) for t in things]).reshape(-1, 2) - self.origin[:2]
        return np.clip(np.arctan2(places[:, 1], places[:, 0]), *_AZIMUTH) * self._seconds_per_radian

    def _measure(
        self, distance: Floats, reflectance: Floats, dark: NDArray[np.bool_], snapshot: Snapshot
    ) -> PointCloud:
        rng = np.random.default_rng((snapshot.seed, 5, round(snapshot.t_s * 1e6) & 0xFFFFFFFFFFFF))
        kept = rng.random(distance.shape, np.float32) < _return_rate(distance, dark, snapshot.surroundings.fog_m)
        rows, columns = np.nonzero(kept)
        noise = rng.standard_normal((2, len(rows)), np.float32)
        measured = distance[rows, columns] + np.float32(RANGE_NOISE_M) * noise[0]
        flat = measured / self._stretch[rows, 0]
        points = np.empty((len(rows), 4), np.float32)
        points[:, :2] = self.fan.columns[columns] * flat[:, None]
        points[:, 2] = self.fan.rows[rows] * flat
        points[:, 3] = np.clip(reflectance[rows, columns] + np.float32(0.02) * noise[1], 0, 1)
        return PointCloud(points, self._time[rows, columns])


def _return_rate(distance: Floats, dark: NDArray[np.bool_], fog_m: float) -> Floats:
    """Probability of a return: falls off for dark surfaces and in fog, 0 out of reach."""
    rate = np.where(distance < _RANGE_M, np.float32(1 - _DROPOUT), np.float32(0))
    rate *= np.where(dark, np.float32(0.35) * np.exp(distance * np.float32(-1 / 10)), np.float32(1))
    if np.isfinite(fog_m):
        rate *= np.exp(-np.minimum(distance, np.float32(500)) / np.float32(_FOG_LIDAR_M * fog_m))
    return np.asarray(rate, np.float32)
