"""Layers that a plan decides together, and what they may compute in; importing this loads no torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from edge.compress.precision_plan import PlannedPrecision

PRECISIONS: tuple[PlannedPrecision, ...] = ("int8", "fp16", "fp32")  # narrowest first


class Unit(BaseModel):
    """Layers that are decided together.

    Attributes:
        name: Of its first layer.
        branch: Where it belongs.
        layers: Module paths; more than one where a weight is shared, or one layer's module lies in another's.
        choices: What it may compute in, narrowest first; FP32 always.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    branch: str
    layers: tuple[str, ...]
    choices: tuple[PlannedPrecision, ...]
