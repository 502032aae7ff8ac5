"""What `edge compress MODEL.onnx` does and what it demands, as a YAML file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from edge.compress.onnx_model.config import OnnxQuantizeConfig
from edge.runtime.config_file import read_yaml, validated
from edge.runtime.errors import GateError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.compress.onnx_model.agreement import OutputAgreement


class AgreementGate(BaseModel):
    """What INT8 must keep of the float model, without labels, and must reach.

    Attributes:
        min_agreement: Share of decisions that must be equal, for every output that decides.
        min_sqnr_db: Signal over quantization noise that every float output must have.
        min_int8_share: Share of the multiply-accumulates that must be declared INT8.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_agreement: float = Field(0.98, ge=0, le=1)
    min_sqnr_db: float = 10.0
    min_int8_share: float = Field(0.0, ge=0, le=1)

    def check_outputs(self, outputs: Sequence[OutputAgreement]) -> None:
        """Raises GateError where an output falls short; the message names it."""
        for output in outputs:
            if output.agreement is not None and output.agreement < self.min_agreement:
                self._refuse(
                    f"{output.agreement:.1%} of {output.decisions} decisions of '{output.output}' agree with "
                    f"the float model, {self.min_agreement:.1%} are asked"
                )
            if output.sqnr_db is not None and output.sqnr_db < self.min_sqnr_db:
                self._refuse(
                    f"'{output.output}' has {output.sqnr_db:.1f} dB of signal over quantization noise, "
                    f"{self.min_sqnr_db:.1f} dB are asked"
                )

    def check_share(self, share: float) -> None:
        """Raises GateError where too little of the work is INT8."""
        if share < self.min_int8_share:
            self._refuse(f"{share:.1%} of the MACs are INT8, {self.min_int8_share:.1%} are asked")

    def _refuse(self, problem: str) -> None:
        raise GateError(
            problem, "keep sensitive layers with `keep_float`, try another observer, or lower the gate in the recipe"
        )


class OnnxRecipe(BaseModel):
    """How an ONNX file is compressed.

    Attributes:
        quantize: How its layers become INT8.
        held_back: Every so manieth sample is kept from calibration, to compare INT8 with float on.
        gate: When the result is refused; absent means measured only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    quantize: OnnxQuantizeConfig = OnnxQuantizeConfig()
    held_back: int = Field(5, ge=2)
    gate: AgreementGate | None = None


def load_onnx_recipe(path: Path) -> OnnxRecipe:
    """Reads a recipe: YAML with `quantize`, `held_back` and `gate`.

    Raises:
        ConfigError: The file is missing or no YAML, or a key is unknown or wrong; the message names it.
    """
    return validated(OnnxRecipe, read_yaml(path), path)
