"""What was done to an ONNX file, and what came of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.compress.onnx_model.agreement import OutputAgreement
from edge.compress.onnx_model.recipe import OnnxRecipe


class ModelRecord(BaseModel):
    """`record.json`.

    Attributes:
        name: Of the file.
        source_digest: SHA-256 of the file that was compressed, without weights beside it.
        calibration_digest: Of all samples, those that were held back included.
        calibrated_on: Ids of the samples that scales come from.
        compared_on: Ids of those that were held back.
        recipe: Resolved.
        inputs: Shapes that the graphs are fixed to.
        bytes: Of each graph.
        macs: Multiply-accumulates of one inference; None where shapes are not known.
        declared: Share of the MACs at each precision, by the Q/DQ pairs of the s8 graph.
        proved: The same, by the kernels that ONNX Runtime chose on this machine for the u8 graph.
        proved_by: Which ONNX Runtime that was.
        agreement: Of each quantized graph with the float one, output by output.
        left_float: Operator by layer, of layers with weights that no INT8 rule covers.
        custom: Operator by layer, of what is not ONNX's own.
        corrected_biases: How many layers got another bias.
        seconds: Wall time of quantization.
        environment: The machine that it ran on.
        notes: What could not be told.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    source_digest: str
    calibration_digest: str
    calibrated_on: tuple[str, ...]
    compared_on: tuple[str, ...]
    recipe: OnnxRecipe
    inputs: dict[str, tuple[int, ...]]
    bytes: dict[str, int]
    macs: int | None
    declared: dict[str, float]
    proved: dict[str, float]
    proved_by: str
    agreement: dict[str, tuple[OutputAgreement, ...]]
    left_float: dict[str, str]
    custom: dict[str, str]
    corrected_biases: int
    seconds: float
    environment: dict[str, Any]
    notes: tuple[str, ...] = ()
