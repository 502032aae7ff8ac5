"""What a stage did and what came of it: goes into the bundle and the report."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class StageRecord(BaseModel):
    """One stage, measured.

    Attributes:
        name: `teacher`, `student`, `prune`, `quantize`, ...
        config: The stage's resolved config, which replays it.
        params: Weights of the model.
        macs: Multiply-accumulates of one inference at batch 1.
        bytes: Size of the deployed graph file (FP32 before quantization, the target's INT8 dialect after).
        seconds: Wall time that the stage took.
        metrics: `{state: {metric: points}}` on the test split.
        gate_metrics: The same on the validation split, which is what gates look at.
        notes: Facts worth keeping, e.g. `parity_u8`, `channels_removed`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    config: dict[str, Any]
    params: int
    macs: int
    bytes: int
    seconds: float
    metrics: dict[str, dict[str, float]]
    gate_metrics: dict[str, dict[str, float]]
    notes: dict[str, Any] = {}
