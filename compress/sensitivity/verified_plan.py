"""The plan that goes into a recipe and a record: with what was verified of it, or as it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from edge.compress.precision_plan import PlannedPrecision, PrecisionPlan
from edge.compress.sensitivity.config import JudgedOn

if TYPE_CHECKING:
    from collections.abc import Mapping


class Trial(BaseModel):
    """One combination that was scored.

    Attributes:
        ms: Of one inference, by the table.
        lost: Points lost against the float model, by state.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ms: float
    lost: dict[str, float]

    def excess(self, allowed: Mapping[str, float]) -> dict[str, float]:
        """Points over what may be lost, for the states that are over it; the worst first."""
        over = {state: points - allowed[state] for state, points in self.lost.items() if points > allowed[state]}
        return dict(sorted(over.items(), key=lambda item: -item[1]))


class FollowedPlan(BaseModel):
    """A plan that was given, and what came of it.

    Attributes:
        plan: As it was given.
        precisions: By unit, as the model has them.
        wider_than_planned: Layers that cannot have what the plan says, with what they have instead.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    plan: PrecisionPlan
    precisions: dict[str, PlannedPrecision]
    wider_than_planned: dict[str, PlannedPrecision] = {}


class PlanningSamples(BaseModel):
    """What a plan was searched and verified by.

    Attributes:
        judged_on: Part of the validation split.
        recordings: In that part.
        samples: In that part.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    judged_on: JudgedOn
    recordings: int = Field(ge=1)
    samples: int = Field(ge=1)


class VerifiedPlan(BaseModel):
    """A plan that was quantized, scored in every state, and kept the budget.

    Attributes:
        plan: Rules, for every row of the table.
        precisions: By unit.
        verified: Latency and losses of the quantized model itself, its float layers rounded to FP16.
        emulated: Losses that the emulation gave for it, which the search went by.
        allowed: Points that each state may lose.
        source: Of the latency table.
        table_graph_sha256: Graph that the table is of.
        fp32_ms: Latency with everything in FP32, where the table has that.
        prior: Latency and emulated losses of the prior; None where the table lacks it.
        trials: Combinations that were emulated.
        confirmations: Combinations that were quantized.
        unit_ms: Milliseconds by unit and precision, with what computes along with it, as the table has them.
        judged: Samples that the losses are of; None where a search was run on samples of one's own.
        not_emulated: Settings of quantization that the search did without, and the verification had.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    plan: PrecisionPlan
    precisions: dict[str, PlannedPrecision]
    verified: Trial
    emulated: Trial
    allowed: dict[str, float]
    source: str
    table_graph_sha256: str
    fp32_ms: float | None
    prior: Trial | None
    trials: int
    confirmations: int
    unit_ms: dict[str, dict[PlannedPrecision, float]] = {}
    judged: PlanningSamples | None = None
    not_emulated: tuple[str, ...] = ()
