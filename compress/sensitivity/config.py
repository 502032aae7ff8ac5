"""What to sweep and what a plan may cost; importing this loads neither torch nor a quantization library."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.compress.precision_plan import PrecisionPlan

# Of the validation split: half of its recordings, so that a gate can judge by the other half, or all of it.
JudgedOn = Literal["half", "validation"]


class SensitivityConfig(BaseModel):
    """How sensitivities are measured.

    Attributes:
        samples: Of those that the search looks at, spread evenly: on them outputs are compared layer by layer.
        scored: How many of the most sensitive layers are scored on all of them, as all branches are.
        branches: Globs on module paths, each a branch; other layers go by `edge.compress.sensitivity.branches`.
        batch_size: Samples a call; the same everywhere, or sums round differently.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    samples: int = Field(128, ge=1)
    scored: int = Field(8, ge=0)
    branches: tuple[str, ...] = ()
    batch_size: int = Field(64, ge=1)


class PlanBudget(BaseModel):
    """What a plan may cost.

    Attributes:
        max_loss: Points of `score` that may be lost in state `all`, against the float model.
        max_loss_any: Points that may be lost in any other state.
        max_ms: Most milliseconds of one inference, by the latency table.
        minimise: `latency` seeks the fastest plan that keeps the score, `loss` the one that is hurt least in `max_ms`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_loss: float = Field(0.35, ge=0)
    max_loss_any: float = Field(0.35, ge=0)
    max_ms: float | None = Field(None, gt=0)
    minimise: Literal["latency", "loss"] = "latency"

    @model_validator(mode="after")
    def _loss_needs_a_latency(self) -> PlanBudget:
        if self.minimise == "loss" and self.max_ms is None:
            raise ValueError("to minimise the loss, set max_ms: without it nothing speaks against FP32")
        return self

    def allowed(self, state: str) -> float:
        """Points that may be lost in a state."""
        return self.max_loss if state == "all" else self.max_loss_any


class PlanSearchConfig(BaseModel):
    """How a plan is looked for.

    Attributes:
        table: YAML of a `LatencyTable` of this model; its source is noted with the plan.
        budget: What the plan may cost.
        sensitivity: How the sweep is done.
        prior: What layers compute in where nothing speaks against it; by default INT8 in encoders, FP16 elsewhere.
        prior_weight: What it costs to be narrower than the prior, in mean costs of a layer at INT8.
        trials: Most combinations that are scored on the emulation.
        confirmations: Most combinations that are quantized for real before the search gives up.
        judged_on: What of the validation split the search looks at. The gate of the stage judges by the recordings
            that are left; of a plan that was picked by all of them, it would see the picked score again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Path
    budget: PlanBudget = PlanBudget()
    sensitivity: SensitivityConfig = SensitivityConfig()
    prior: PrecisionPlan | None = None
    prior_weight: float = Field(0.05, ge=0)
    trials: int = Field(32, ge=2)
    confirmations: int = Field(5, ge=1)
    judged_on: JudgedOn = "half"
