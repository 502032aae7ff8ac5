"""All simulated sensors of a rig, and how exactly their stamps tell the time."""

from __future__ import annotations

from functools import lru_cache

from edge.runtime.rig import Rig
from edge.runtime.simulate.camera import StreetCamera
from edge.runtime.simulate.lidar import StreetLidar
from edge.runtime.simulate.microphone import StreetMicrophone

STAMP_JITTER_S = {"camera": 0.0008, "lidar": 0.0005, "audio": 0.0003, "odometry": 0.0003}  # standard deviations


class Sensors:
    """Camera, lidar and microphone of a rig.

    Raises:
        RigError: The rig is not one that the simulator can render.
    """

    def __init__(self, rig: Rig) -> None:
        self.camera = StreetCamera(rig)
        self.lidar = StreetLidar(rig)
        self.microphone = StreetMicrophone(rig)


def sensors_of(rig: Rig) -> Sensors:
    """The sensors of a rig; equal rigs share them.

    Raises:
        RigError: The rig is not one that the simulator can render.
    """
    return _cached(rig.model_dump_json(by_alias=True))


@lru_cache(maxsize=4)
def _cached(rig_json: str) -> Sensors:
    return Sensors(Rig.model_validate_json(rig_json))
