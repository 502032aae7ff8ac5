"""The sensor rig (`rig.yaml`): cameras, extrinsics, and each stream's clock, rate and policy.

Metres and radians. Base frame: x forward, y left, z up, its origin on the ground below the lidar unless a rig says
otherwise. Optical frames: z forward, x right, y down. `T_a_from_b` maps points of frame b into frame a.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.runtime.config_file import read_yaml, validated
from edge.runtime.errors import RigError
from edge.runtime.levels import HealthPolicy
from edge.runtime.sanity_limits import SanityLimits

Matrix4 = Annotated[tuple[tuple[float, ...], ...], Field(min_length=4, max_length=4)]
IDENTITY: Matrix4 = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
MOTION_KINDS = ("twist", "pose")
TO_STAMP = "stamp"
MOST_TEXT_BYTES = 262_144
COEFFICIENTS = {"none": (0,), "plumb_bob": (4, 5), "rational": (8,), "fisheye": (4,)}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Distortion(_Strict):
    """Lens distortion with OpenCV's coefficient order.

    plumb_bob: k1 k2 p1 p2 [k3]; rational: k1 k2 p1 p2 k3 k4 k5 k6; fisheye: k1 k2 k3 k4.
    """

    model: Literal["none", "plumb_bob", "rational", "fisheye"] = "none"
    coefficients: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _count(self) -> Distortion:
        if len(self.coefficients) not in COEFFICIENTS[self.model]:
            raise ValueError(
                f"{self.model} takes {COEFFICIENTS[self.model]} coefficients, not {len(self.coefficients)}"
            )
        return self


class Intrinsics(_Strict):
    """Pinhole intrinsics of an image of `width` x `height` pixels; pixel centres at integers."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    fx: float = Field(gt=0)
    fy: float = Field(gt=0)
    cx: float
    cy: float
    distortion: Distortion = Distortion()

    def scaled(self, width: int, height: int) -> Intrinsics:
        """The same lens seen through a stretched image: `u' = (u + 0.5) s - 0.5`."""
        sx, sy = width / self.width, height / self.height
        return self.model_copy(
            update={
                "width": width,
                "height": height,
                "fx": self.fx * sx,
                "fy": self.fy * sy,
                "cx": (self.cx + 0.5) * sx - 0.5,
                "cy": (self.cy + 0.5) * sy - 0.5,
            }
        )


class Stream(_Strict):
    """One sensor stream.

    Attributes:
        kind: What its payloads are. A `twist` or `pose` stream tells how the vehicle moves; no model reads it.
        rate_hz: Declared rate; the synchronizer's bounds rest on it.
        clock: The clock that its stamps are on.
        stamp: What a stamp marks.
        latency_offset_ms: Added to each stamp to bring it to the instant that was measured.
        transport_ms: From the end of the measurement to arrival; used where a recording holds no arrivals.
        policy: What to do where no fresh sample is there: `required` waits for the deadline and then declares it
            missing, `hold` reuses the last one up to `max_age_ms`, `mask` declares it missing at once.
        conceal_ms: The longest hole that is filled: with silence in a window of sound, with the reading before it in a
            series of a table's. A longer one makes the window or the series missing.
        T_base_from_sensor: Where the sensor sits.
        intrinsics: Cameras only.
        max_points: Lidars only: room that is planned for a sweep; one with more points is refused.
        sample_rate_hz: Audio only.
        channels: Audio only: microphones of one stream; chunks with more are refused.
        fields: Tables only.
        max_text_bytes: Text only: room that is planned for one, in UTF-8; a longer one is refused.
        sanity: From when on samples that repeat themselves, or are silent or clipped, count as missing.
    """

    kind: Literal["camera", "lidar", "audio", "table", "text", "twist", "pose"]
    rate_hz: float = Field(gt=0)
    clock: Literal["ptp", "monotonic", "realtime", "tsc", "sample-counter", "replay"] = "monotonic"
    stamp: Literal["start", "mid", "end", "first-sample"] = "start"
    latency_offset_ms: float = 0.0
    transport_ms: float = Field(0.0, ge=0)
    policy: Literal["required", "hold", "mask"] = "required"
    max_age_ms: float = Field(200.0, gt=0)
    conceal_ms: float = Field(60.0, ge=0)
    T_base_from_sensor: Matrix4 = IDENTITY
    intrinsics: Intrinsics | None = None
    max_points: int = Field(262_144, gt=0)
    sample_rate_hz: int | None = None
    channels: int = Field(1, ge=1)
    fields: tuple[str, ...] = ()
    max_text_bytes: int = Field(16_384, gt=0, le=MOST_TEXT_BYTES)
    sanity: SanityLimits = SanityLimits()

    @model_validator(mode="after")
    def _complete(self) -> Stream:
        if self.kind == "camera" and self.intrinsics is None:
            raise ValueError("a camera needs intrinsics")
        if self.kind == "audio" and not self.sample_rate_hz:
            raise ValueError("an audio stream needs sample_rate_hz")
        _check_rigid(np.asarray(self.T_base_from_sensor, np.float64))
        return self

    @property
    def period_ns(self) -> int:
        """Nominal time between two samples."""
        return round(1e9 / self.rate_hz)


class Deskew(_Strict):
    """How sweeps are compensated for the vehicle's motion while they were taken, where points have times.

    Attributes:
        motion: The stream of kind `twist` or `pose` that tells the motion.
        to: The instant that the points are brought to: `stamp`, that of the fused set, or the name of a camera, whose
            stamp it then is: right for points that are projected into that camera.
        reach_ms: How far any instant may be from the next motion sample; None for one period of the lidar.
    """

    motion: str
    to: str = TO_STAMP
    reach_ms: float | None = Field(None, gt=0)


class Rig(_Strict):
    """All sensors of one vehicle or machine, and which of them sets the pace.

    Attributes:
        anchor: The stream whose stamps the fused results carry.
        budget_ms: How long after the anchor's arrival the others are waited for, at most.
        streams: By name.
        health: When a level that is reported with the results takes hold, and when it lets go.
        deskew: How lidar sweeps are compensated for motion; None where they are taken as they come.
    """

    schema_version: Literal[1] = Field(1, alias="schema")
    name: str = "rig"
    anchor: str
    budget_ms: float = Field(60.0, gt=0)
    streams: dict[str, Stream]
    health: HealthPolicy = HealthPolicy()
    deskew: Deskew | None = None

    @model_validator(mode="after")
    def _anchor_exists(self) -> Rig:
        if self.anchor not in self.streams:
            raise ValueError(f"the anchor '{self.anchor}' is not one of the streams {sorted(self.streams)}")
        if self.streams[self.anchor].kind in MOTION_KINDS:
            raise ValueError(f"the anchor '{self.anchor}' tells motion only; let a sensor that the model reads lead")
        return self

    @model_validator(mode="after")
    def _deskew_fits(self) -> Rig:
        if self.deskew is None:
            return self
        kinds = {name: stream.kind for name, stream in self.streams.items()}
        if kinds.get(self.deskew.motion) not in MOTION_KINDS:
            raise ValueError(f"deskew: motion '{self.deskew.motion}' is not one of the twist or pose streams")
        if self.deskew.to != TO_STAMP and kinds.get(self.deskew.to) != "camera":
            raise ValueError(f"deskew: to '{self.deskew.to}' is neither '{TO_STAMP}' nor one of the cameras")
        return self

    def stream(self, name: str) -> Stream:
        """The stream called `name`.

        Raises:
            RigError: There is none.
        """
        if name not in self.streams:
            raise RigError(
                f"rig '{self.name}' has no stream '{name}' (it has {', '.join(sorted(self.streams))})",
                "add the stream to rig.yaml or use the rig that the bundle was built with",
            )
        return self.streams[name]

    def intrinsics(self, camera: str) -> Intrinsics:
        """Intrinsics of a camera stream.

        Raises:
            RigError: The stream is absent or no camera.
        """
        found = self.stream(camera).intrinsics
        if found is None:
            raise RigError(f"stream '{camera}' of rig '{self.name}' is no camera", "name a camera stream")
        return found

    def transform(self, to: str, source: str) -> NDArray[np.float64]:
        """`T_to_from` between two sensors' frames, 4x4."""
        base_to = np.asarray(self.stream(to).T_base_from_sensor, np.float64)
        base_from = np.asarray(self.stream(source).T_base_from_sensor, np.float64)
        return np.asarray(np.linalg.inv(base_to) @ base_from, np.float64)


def load_rig(path: Path) -> Rig:
    """Reads and validates a `rig.yaml`.

    Raises:
        RigError: The file is missing, no YAML, or no valid rig; the message names the key.
    """
    return validated(Rig, read_yaml(path, RigError), path, RigError)


def _check_rigid(T: NDArray[np.float64]) -> None:
    if T.shape != (4, 4) or not np.allclose(T[3], (0, 0, 0, 1)):
        raise ValueError("T_base_from_sensor must be 4x4 with a last row of 0 0 0 1")
    if not np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-3) or np.linalg.det(T[:3, :3]) < 0:
        raise ValueError("the rotation in T_base_from_sensor is not orthonormal and right-handed")
