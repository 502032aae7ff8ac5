"""How a model is quantized; importing this loads no quantization library."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.calibration.observers import Observer


class AdaptiveRounding(BaseModel):
    """How weights' rounding is learned, layer by layer.

    Attributes:
        iterations: Steps of the optimizer for each layer.
        learning_rate: Of Adam, on what chooses between the level above and the one below.
        batch: Samples a step.
        samples: Calibration samples that are looked at, the held-back ones included; it bounds the memory.
        held_back: Share of them that is not learned from, and decides whether what was learned is kept.
        seed: Of all draws.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    iterations: int = Field(400, ge=1)
    learning_rate: float = Field(0.05, gt=0)
    batch: int = Field(32, ge=1)
    samples: int = Field(256, ge=2)
    held_back: float = Field(0.2, gt=0, lt=1)
    seed: int = Field(0, ge=0)


class QuantizeConfig(BaseModel):
    """How a model is quantized.

    Attributes:
        observer: How activations' scales are found.
        percentile: Share in % of an activation's values that the observer `percentile` leaves unclipped.
        keep_float: Globs on module paths whose layers stay float: FP16 in the `s8f16` graph.
        keep_fp32: Of what stays float, globs on layers that FP16 is not enough for.
        equalize: Rescale channels of neighbouring layers first: by the layers' weights alone, or by the activation
            between them and the weights that read it.
        rounding: Weights to the nearest level, or to the one of two that was learned to keep a layer's result.
        adaptive: How that is learned.
        weight_bits: 8, or 7 for x86 hosts without VNNI, whose integer kernels then do not saturate.
        bias_correction: Shift each quantized layer's bias by the mean error that INT8 brings to its output.
        max_batch: Largest batch that the quantized module takes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    observer: Observer = "minmax"
    percentile: float = Field(99.99, gt=50, le=100)
    keep_float: tuple[str, ...] = ()
    keep_fp32: tuple[str, ...] = ()
    equalize: Literal["off", "weights", "activations"] = "off"
    rounding: Literal["nearest", "adaptive"] = "nearest"
    adaptive: AdaptiveRounding = AdaptiveRounding()
    weight_bits: Literal[7, 8] = 8
    bias_correction: bool = True
    max_batch: int = Field(4096, ge=2)
