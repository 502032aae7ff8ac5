"""How an ONNX file is quantized."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.calibration.observers import Observer


class OnnxQuantizeConfig(BaseModel):
    """How an ONNX file is quantized; the keys mean what they mean in `QuantizeConfig`.

    Attributes:
        observer: How activations' scales are found.
        percentile: Share in % of an activation's values that the observer `percentile` leaves unclipped.
        keep_float: Globs on nodes' names whose layers stay float: FP16 in the `s8f16` graph.
        keep_fp32: Of what stays float, globs on layers that FP16 is not enough for.
        bias_correction: Shift each quantized layer's bias by the mean error that INT8 brings to its output.
        weight_bits: 7 for processors whose INT8 products saturate.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    observer: Observer = "minmax"
    percentile: float = Field(99.99, gt=50, le=100)
    keep_float: tuple[str, ...] = ()
    keep_fp32: tuple[str, ...] = ()
    bias_correction: bool = True
    weight_bits: Literal[7, 8] = 8

    @property
    def largest_level(self) -> int:
        """The level that a weight scale's largest value gets: 127, or 63 with 7 bits."""
        return int(2 ** (self.weight_bits - 1)) - 1
