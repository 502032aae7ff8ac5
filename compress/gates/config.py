"""What a stage may cost and must bring."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edge.compress.gates.findings import Judge


class GateConfig(BaseModel):
    """What a step may cost and must bring, against the stage before and on the same validation samples.

    Attributes:
        max_loss: Points of `score` that may be lost in state `all`.
        max_loss_any: Points of `score` that may be lost in any other state.
        limits: `{state: {metric: points}}`, in place of the two above; state `any` holds where none names the state.
        min_shrink: The deployed graph must be this many times smaller than before.
        min_speedup: One inference on one thread of this machine must be this many times faster; not timed if absent.
        confidence: Of each interval, drawn over recordings.
        judge: `interval` refuses what is shown to lose too much, passes what is shown not to, and calls the rest
            undecided, which goes on with a note. `proved` refuses the undecided as well. `point` ignores intervals.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_loss: float = Field(2.0, ge=0)
    max_loss_any: float = Field(4.0, ge=0)
    limits: dict[str, dict[str, Annotated[float, Field(ge=0)]]] = {}
    min_shrink: float = Field(1.0, ge=0)
    min_speedup: float | None = Field(None, gt=0)
    confidence: float = Field(0.95, gt=0.5, lt=1)
    judge: Judge = "interval"
