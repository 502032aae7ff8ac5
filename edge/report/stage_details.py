"""What single kinds of stages leave in a report: precisions by layer, what was pruned. Loads no torch."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from edge.compress.precision_plan import PLAN_NOTE
from edge.compress.sensitivity.report import SENSITIVITY_NOTE, Sensitivity
from edge.compress.sensitivity.verified_plan import FollowedPlan, VerifiedPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

PRUNING_NOTE = "pruning"


class _Detail(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PrecisionReport(_Detail):
    """What the layers of a quantized stage compute in, and what that was decided by.

    Attributes:
        made: The plan that a search verified, or one that was given.
        sensitivity: Of every layer and branch, where a search measured it.
    """

    made: VerifiedPlan | FollowedPlan
    sensitivity: Sensitivity | None = None

    @property
    def searched(self) -> VerifiedPlan | None:
        """The plan, where a search made it."""
        return self.made if isinstance(self.made, VerifiedPlan) else None

    @classmethod
    def from_notes(cls, notes: Mapping[str, Any]) -> PrecisionReport | None:
        """Of a stage's record; None where it went by no plan."""
        if PLAN_NOTE not in notes:
            return None
        return cls.model_validate({"made": notes[PLAN_NOTE], "sensitivity": notes.get(SENSITIVITY_NOTE)})


class PrunedGroup(_Detail):
    """Channels that stay or go together, as `edge.compress.prune.plan.GroupChange` has them.

    Attributes:
        name: Of the group.
        channels: What it had; heads of attention are counted as one each.
        kept: What it keeps.
        unit: Positions that each takes, such as the width of a head.
    """

    name: str
    channels: int = Field(ge=1)
    kept: int = Field(ge=1)
    unit: int = Field(default=1, ge=1)


class NarrowedTensor(_Detail):
    """A weight that became smaller.

    Attributes:
        name: Path of the tensor.
        before: Its shape.
        after: The same afterwards.
    """

    name: str
    before: tuple[int, ...]
    after: tuple[int, ...]

    @property
    def share(self) -> float:
        """Of its values that stay."""
        return prod(self.after) / prod(self.before)


class RivalPlan(BaseModel):
    """A plan that held the latency too, as `edge.compress.prune.plan.Rival` has it.

    Attributes:
        path: How it was come by.
        ratio: Share of the latency that stays.
        kept: Channels that it keeps, by group.
        loss: After a short training, on samples held back.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    path: str
    ratio: float
    kept: dict[str, int]
    loss: float


class PrunedLatency(BaseModel):
    """What a latency target came to, as `edge.compress.prune.plan.PlanLatency` has it.

    Attributes:
        source: `measured:<machine>` or `estimate:<device>`: whose clock.
        precision: What both graphs compute in.
        target: Share of the latency that might stay.
        ratio: Share that stays.
        interval: 95 % interval of `ratio`; both ends are `ratio` where it is computed.
        before_ms: Of the unpruned graph.
        after_ms: Of the pruned one.
        rivals: Plans that were compared by a short training, the one taken first; empty where there was one plan.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    source: str
    precision: str
    target: float
    ratio: float
    interval: tuple[float, float]
    before_ms: float
    after_ms: float
    rivals: tuple[RivalPlan, ...] = ()


class PruningReport(_Detail):
    """What was cut from where.

    Attributes:
        groups: What happened to each group that may be pruned.
        tensors: Weights of two dimensions or more that became smaller, in the model's order.
        untouched: Tensor path to the reason why its channels stay.
        macs_before: Multiply-accumulates before.
        macs_after: The same after.
        latency: Where the target was a latency.
    """

    groups: tuple[PrunedGroup, ...] = ()
    tensors: tuple[NarrowedTensor, ...] = ()
    untouched: dict[str, str] = {}
    macs_before: int = Field(ge=0)
    macs_after: int = Field(ge=0)
    latency: PrunedLatency | None = None

    @classmethod
    def from_notes(cls, notes: Mapping[str, Any]) -> PruningReport | None:
        """Of a pruning stage's record; None where it has no plan."""
        plan = notes.get(PRUNING_NOTE)
        if plan is None:
            return None
        shared = {name: plan[name] for name in ("groups", "untouched", "macs_before", "macs_after", "latency")}
        return cls.model_validate({**shared, "tensors": _narrowed(plan["shapes"], plan["kept"])})


def _narrowed(shapes: Mapping[str, list[int]], kept: Mapping[str, Mapping[str, list[int]]]) -> list[dict[str, Any]]:
    """Biases and the like follow their weights, so they are left out."""
    found: list[dict[str, Any]] = []
    for name, before in shapes.items():
        left = {int(dim): len(indices) for dim, indices in kept.get(name, {}).items()}
        after = [left.get(dim, size) for dim, size in enumerate(before)]
        if len(before) > 1 and after != list(before):
            found.append({"name": name, "before": before, "after": after})
    return found
