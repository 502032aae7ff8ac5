"""What is cut from where: data that a model can be rebuilt from, with its configuration and its weights."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.compress.latency_table import Digest, Source
from edge.compress.precision_plan import PlannedPrecision
from edge.compress.prune.attention import separate_attention
from edge.compress.prune.surgery import check_shapes, shrink

if TYPE_CHECKING:
    from torch import nn


class GroupChange(BaseModel):
    """How many channels one group had and keeps.

    Attributes:
        name: Of the group.
        channels: What it had; heads of attention are counted as one each.
        kept: What it keeps.
        unit: Positions that each takes where it is made, such as the width of a head.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    channels: int = Field(ge=1)
    kept: int = Field(ge=1)
    unit: int = Field(1, ge=1)


class Rival(BaseModel):
    """One of several plans that hold a latency.

    Attributes:
        path: How it was come by: `max_ratio 0.5`, or `uniform`.
        ratio: Share of the latency that stays.
        kept: Channels that it keeps, by group; those that stay whole are absent.
        loss: On training samples that were held back, after a short training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    path: str
    ratio: float = Field(ge=0)
    kept: dict[str, int]
    loss: float


class PlanLatency(BaseModel):
    """Latency of a pruned graph against the unpruned one's.

    Attributes:
        source: `measured:<machine>` or `estimate:<device>`.
        precision: What both graphs compute in.
        target: Share of the latency that might stay.
        ratio: Share that stays, of the real pruned graph.
        interval: 95 % interval of `ratio`; both ends are `ratio` where it is computed.
        before_ms: Median of the unpruned graph.
        after_ms: Median of the pruned one.
        graphs: Pruned graphs that were timed until this one was chosen.
        width_table: SHA-256 of the layers' latencies by width that the search went by.
        rivals: All plans that were compared by a short training, this one first; empty where none was asked for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Source
    precision: PlannedPrecision
    target: float = Field(gt=0)
    ratio: float = Field(ge=0)
    interval: tuple[float, float]
    before_ms: float = Field(ge=0)
    after_ms: float = Field(ge=0)
    graphs: int = Field(ge=1)
    width_table: Digest
    rivals: tuple[Rival, ...] = ()


class PruningPlan(BaseModel):
    """A pruned architecture, without weights.

    Attributes:
        schema_version: Version of this layout (`schema` in JSON).
        shapes: Original shape of every tensor that changes.
        kept: Tensor path to dimension to the indices that stay, ascending.
        groups: For people: what happened to each group that may be pruned.
        untouched: Tensor path to the reason why its channels stay.
        macs_before: Multiply-accumulates of the example before.
        macs_after: The same after.
        separated: Paths of `nn.MultiheadAttention` modules that are taken apart first, so that they can lose heads.
        latency: What the latency target came to, and by whose clock; None for the other targets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    shapes: dict[str, tuple[int, ...]]
    kept: dict[str, dict[int, tuple[int, ...]]]
    groups: tuple[GroupChange, ...] = ()
    untouched: dict[str, str] = {}
    macs_before: int = Field(ge=0)
    macs_after: int = Field(ge=0)
    separated: tuple[str, ...] = ()
    latency: PlanLatency | None = None

    @property
    def macs_ratio(self) -> float:
        """Share of the multiply-accumulates that stays."""
        return self.macs_after / self.macs_before if self.macs_before else 1.0

    @model_validator(mode="after")
    def _indices_fit(self) -> PruningPlan:
        for path, dims in self.kept.items():
            shape = self.shapes.get(path)
            for dim, indices in dims.items():
                if shape is None or not 0 <= dim < len(shape):
                    raise ValueError(f"{path} has no dimension {dim}")
                ascending = all(a < b for a, b in pairwise(indices))
                if not indices or not ascending or indices[0] < 0 or indices[-1] >= shape[dim]:
                    raise ValueError(f"kept indices of {path}, dimension {dim}, must ascend within {shape[dim]}")
        return self


def apply(model: nn.Module, plan: PruningPlan) -> nn.Module:
    """A pruned deep copy: smaller tensors, and modules whose widths say so.

    Works on the model that the plan was made from and on any freshly built model of the same architecture, so that
    configuration + plan + state dict rebuild a pruned checkpoint.

    Args:
        model: Not changed.
        plan: From `edge.compress.prune.slimming.plan`, or read back from JSON.

    Raises:
        ModelError: The model is of another architecture, or already pruned.
    """
    if plan.separated:
        model, _ = separate_attention(model, plan.separated)
    check_shapes(model, plan.shapes)
    return shrink(model, plan.kept)
