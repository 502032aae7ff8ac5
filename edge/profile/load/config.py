"""How load is raised, and what counts as a miss."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

STEP_S = 5.0


class LoadConfig(BaseModel):
    """Sensors at rising rates; sound and motion keep the rig's.

    Attributes:
        cameras: So many camera streams of the rig's kind. The model runs once a set and reads those that it was made
            for; the others cost what any camera costs the runtime: the copy of each frame, the look at it, matching.
        lidars: Likewise.
        start: The first step's rates, as times those of the rig.
        growth: From one step to the next, until one misses.
        most: Times the rig's rates after which nobody asks for more.
        resolution: The search ends when the lowest missed rate is within this share above the highest sustained.
        seconds: Of a step that count.
        settle_s: Before them: windows of sound fill, and the model warms up.
        tolerated: Share of a step's sets that may be missed, for what the host's other work costs; 0 for none at all.
        repeats: So often a step that missed is run again before its rate counts as missed: one stall of a shared host
            is not the runtime's limit.
        slower: So far below the rate asked for the sensors, or the results below the sets, count as a miss.
        seed: Of the simulated street.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cameras: int = Field(1, ge=1, le=64)
    lidars: int = Field(1, ge=1, le=64)
    start: float = Field(1.0, gt=0)
    growth: float = Field(1.5, gt=1)
    most: float = Field(64.0, gt=0)
    resolution: float = Field(0.05, gt=0)
    seconds: float = Field(STEP_S, gt=0)
    settle_s: float = Field(1.5, ge=0)
    tolerated: float = Field(0.01, ge=0, lt=1)
    repeats: int = Field(1, ge=0)
    slower: float = Field(0.03, gt=0, lt=1)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _rises(self) -> LoadConfig:
        if self.most < self.start:
            raise ValueError("most must not be below start")
        return self
