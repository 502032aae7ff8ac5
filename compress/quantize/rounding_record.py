"""What adaptive rounding brought each layer, kept with the quantized module; importing this loads no torch."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

ROUNDED = "rounded_layers"  # in a graph module's `meta`


class RoundedLayer(BaseModel):
    """What reconstruction brought a layer, on samples that it did not learn from.

    Attributes:
        layer: Path of its module.
        error_before: Mean square error of its result with weights rounded to nearest, as a share of the float
            result's mean square.
        error_after: The same with what was kept.
        kept: What was kept: `nearest`, `learned`, or either `+bias`, with a bias shifted by the mean error.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer: str
    error_before: float
    error_after: float
    kept: str


def rounded_layers(module: Any) -> tuple[RoundedLayer, ...]:
    """The record of a module that `quantize_static` made; empty where rounding was not adaptive."""
    found: tuple[RoundedLayer, ...] = getattr(module, "meta", {}).get(ROUNDED, ())
    return found
