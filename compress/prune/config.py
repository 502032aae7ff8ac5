"""How much to prune, by which measure and to which widths."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class PruneConfig(BaseModel):
    """How much to prune and by what. Exactly one of the three targets is set.

    Attributes:
        ratio: Share of channels to remove from every group, rounded to the nearest aligned width.
        macs_ratio: Share of the multiply-accumulates that may stay; groups compete for it.
        cost_ratio: The same for the cost function that the caller passes, such as a latency.
        align: Kept channels are a multiple of this, or the group stays whole. Kernels work on blocks of channels:
            8 in FP16 on tensor cores and with AVX2, 16 with AVX-512, 32 in INT8 on tensor cores.
        minimum: No group goes below this width.
        max_ratio: Largest share that a group may lose where groups compete, against starving one layer.
        importance: `taylor` needs losses, `norm` only the weights.
        keep: Globs over parameter paths whose output channels stay (`heads.*`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ratio: float | None = Field(None, gt=0, lt=1)
    macs_ratio: float | None = Field(None, gt=0, lt=1)
    cost_ratio: float | None = Field(None, gt=0, lt=1)
    align: int = Field(8, ge=1)
    minimum: int = Field(8, ge=1)
    max_ratio: float = Field(0.8, gt=0, lt=1)
    importance: Literal["taylor", "norm"] = "taylor"
    keep: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_target(self) -> PruneConfig:
        if sum(target is not None for target in (self.ratio, self.macs_ratio, self.cost_ratio)) != 1:
            raise ValueError("set exactly one of ratio, macs_ratio and cost_ratio")
        return self
