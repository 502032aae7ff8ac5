"""What the runtime emits: one fused result per anchor, as written to `results.jsonl`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.runtime.levels import Level


@dataclass(frozen=True, slots=True)
class Detection:
    """An object seen by the model.

    Attributes:
        class_name: One of the output's classes.
        score: 0..1.
        box_px: left, top, right, bottom in pixels of the source image (edges, so width = right - left).
        distance_m: Optical depth of the object.
        xyz_m: Its position in `frame`.
        frame: Frame of `xyz_m`, usually `base`.
    """

    class_name: str
    score: float
    box_px: tuple[float, float, float, float]
    distance_m: float
    xyz_m: tuple[float, float, float]
    frame: str

    def to_json(self) -> dict[str, Any]:
        """As a line of `results.jsonl` holds it."""
        return {
            "class": self.class_name,
            "score": round(self.score, 4),
            "box_px": [round(v, 1) for v in self.box_px],
            "distance_m": round(self.distance_m, 2),
            "xyz_m": [round(v, 2) for v in self.xyz_m],
            "frame": self.frame,
        }


@dataclass(frozen=True, slots=True)
class Event:
    """Something heard or recognised in the whole scene."""

    class_name: str
    score: float

    def to_json(self) -> dict[str, Any]:
        """As a line of `results.jsonl` holds it."""
        return {"class": self.class_name, "score": round(self.score, 4)}


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the decoders made of one inference."""

    detections: tuple[Detection, ...] = ()
    events: tuple[Event, ...] = ()
    outputs: dict[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FusedResult:
    """One line of `results.jsonl`; holds no wall timing, so that virtual-time runs repeat byte for byte.

    `ages_ms` are, for each modality used, emission minus its (offset-corrected) stamp; where nothing was usable,
    `valid` is False, `reason` says why and there are no detections. `level` says how far the result can be relied
    on, and `levels` the same of each modality (defined in `edge.runtime.health`); `blind` is what is not valid.
    """

    seq: int
    stamp_ns: int
    state: str
    present: tuple[str, ...]
    held: tuple[str, ...]
    ages_ms: dict[str, float]
    spread_ms: float
    epochs: dict[str, int]
    valid: bool
    reason: str
    level: Level
    levels: dict[str, Level]
    decoded: Decoded = field(default_factory=Decoded)

    def __post_init__(self) -> None:
        assert self.valid == (self.level != "blind"), "a result that is not valid is blind, and no other"

    def to_json(self) -> dict[str, Any]:
        """The line's fields, in the order of the contract."""
        return {
            "seq": self.seq,
            "stamp_ns": self.stamp_ns,
            "state": self.state,
            "present": list(self.present),
            "held": list(self.held),
            "ages_ms": {k: round(v, 3) for k, v in self.ages_ms.items()},
            "spread_ms": round(self.spread_ms, 3),
            "epochs": self.epochs,
            "valid": self.valid,
            "reason": self.reason,
            "level": self.level,
            "levels": self.levels,
            "detections": [d.to_json() for d in self.decoded.detections],
            "events": [e.to_json() for e in self.decoded.events],
            "outputs": {k: [round(float(x), 5) for x in v.ravel()] for k, v in self.decoded.outputs.items()},
        }
