"""The precision that each layer is meant to have: an ordered list of rules, written by hand or by a recipe."""

from __future__ import annotations

from fnmatch import fnmatchcase
from glob import escape
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.runtime.config_file import read_yaml, validated
from edge.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.runtime.manifest import StageEntry

PlannedPrecision = Literal["int8", "fp16", "fp32"]
Precision = Literal["int8", "fp16", "bf16", "fp32", "fp8", "int4", "other", "unknown"]  # what may be found
QUANTIZE = "quantize"


class PrecisionRule(BaseModel):
    """Layers by their name, and what they compute in.

    Attributes:
        layers: Glob on the path of the layer's module, such as `encoders.audio.*`.
        precision: What they compute in, or narrower.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: str = Field(min_length=1)
    precision: PlannedPrecision


class PrecisionPlan(BaseModel):
    """Rules in order; the first that matches a layer counts, and FP32 where none does.

    Attributes:
        rules: For layers with weights.
        products: What products of two activations, as in attention, compute in: they are not quantized.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[PrecisionRule, ...] = ()
    products: PlannedPrecision = "fp32"

    @classmethod
    def int8(cls, keep_float: tuple[str, ...] = (), kept: PlannedPrecision = "fp32") -> PrecisionPlan:
        """INT8 everywhere but in the layers that `keep_float` names, as `QuantizeConfig` has it."""
        wide = (PrecisionRule(layers=glob, precision=kept) for glob in expanded(keep_float))
        return cls(rules=(*wide, PrecisionRule(layers="*", precision="int8")))

    def of(self, layer: str, *, has_weight: bool = True) -> PlannedPrecision:
        """What the layer of this name is meant to compute in."""
        if not has_weight:
            return self.products
        return next((rule.precision for rule in self.rules if fnmatchcase(layer, rule.layers)), "fp32")


def load_plan(path: Path) -> PrecisionPlan:
    """Reads a plan: YAML with a list of `rules`.

    Raises:
        ConfigError: The file is missing or no YAML, or a key is unknown or wrong.
    """
    return validated(PrecisionPlan, read_yaml(path), path)


def plan_of_stages(stages: Sequence[StageEntry]) -> PrecisionPlan:
    """What the stages of a bundle say: INT8 but for the layers that were kept or left, or nothing narrower than FP32.

    Raises:
        BundleError: The settings of the last quantization are none.
    """
    quantized = next((s for s in reversed(stages) if s.config.get("stage") == QUANTIZE), None)
    if quantized is None:
        return PrecisionPlan()
    try:
        settings = _Kept.model_validate(quantized.config.get(QUANTIZE) or {})
        notes = _Notes.model_validate(quantized.notes)
        return PrecisionPlan.int8((*settings.keep_float, *map(escape, notes.left_float)))
    except ValidationError as error:
        raise BundleError(
            f"stage '{quantized.name}' does not say which layers it kept ({error.errors()[0]['msg']})",
            "pack the bundle again",
        ) from error


class _Kept(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    keep_float: tuple[str, ...] = ()


class _Notes(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    left_float: dict[str, str] = {}


def expanded(globs: tuple[str, ...]) -> tuple[str, ...]:
    """Globs on modules as globs on layers: what lies inside a matching module matches too."""
    return tuple(name for glob in globs for name in (glob, f"{glob}.*"))
