"""How a model is quantized; importing this loads no quantization library."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from edge.calibration.observers import Observer


class QuantizeConfig(BaseModel):
    """How a model is quantized.

    Attributes:
        observer: How activations' scales are found.
        percentile: Share in % of an activation's values that the observer `percentile` leaves unclipped.
        keep_float: Globs on module paths whose layers stay float: FP16 in the `s8f16` graph.
        keep_fp32: Of what stays float, globs on layers that FP16 is not enough for.
        bias_correction: Shift each quantized layer's bias by the mean error that INT8 brings to its output.
        max_batch: Largest batch that the quantized module takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    observer: Observer = "minmax"
    percentile: float = Field(99.99, gt=50, le=100)
    keep_float: tuple[str, ...] = ()
    keep_fp32: tuple[str, ...] = ()
    bias_correction: bool = True
    max_batch: int = Field(4096, ge=2)
