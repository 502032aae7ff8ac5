"""What is cut from where: data that a model can be rebuilt from, with its configuration and its weights."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edge.compress.prune.surgery import check_shapes, shrink

if TYPE_CHECKING:
    from torch import nn


class GroupChange(BaseModel):
    """How many channels one group had and keeps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    channels: int = Field(ge=1)
    kept: int = Field(ge=1)


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
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    shapes: dict[str, tuple[int, ...]]
    kept: dict[str, dict[int, tuple[int, ...]]]
    groups: tuple[GroupChange, ...] = ()
    untouched: dict[str, str] = {}
    macs_before: int = Field(ge=0)
    macs_after: int = Field(ge=0)

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
    check_shapes(model, plan.shapes)
    return shrink(model, plan.kept)
