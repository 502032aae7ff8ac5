"""The precision that each layer is meant to have: an ordered list of rules, written by hand or by a recipe."""

from __future__ import annotations

from fnmatch import fnmatchcase
from glob import escape
from typing import TYPE_CHECKING, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.runtime.atomic import atomic_file
from edge.runtime.config_file import read_yaml, validated
from edge.runtime.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.runtime.manifest import StageEntry

PlannedPrecision = Literal["int8", "fp16", "fp32"]
Precision = Literal["int8", "fp16", "bf16", "fp32", "fp8", "int4", "other", "unknown"]  # what may be found
QUANTIZE = "quantize"
PLAN_NOTE = "precision_plan"  # in the notes of a quantization that followed or searched one


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

    def names(self, layer: str) -> bool:
        """Whether a rule matches the layer."""
        return any(fnmatchcase(layer, rule.layers) for rule in self.rules)

    def int8_or_float(self) -> PrecisionPlan:
        """The same without FP16: what every dialect of a bundle keeps, for only `s8f16` has FP16 in it."""
        wide = {"int8": "int8", "fp16": "fp32", "fp32": "fp32"}
        rules = (rule.model_copy(update={"precision": wide[rule.precision]}) for rule in self.rules)
        return PrecisionPlan(rules=tuple(rules))

    def save(self, path: Path) -> None:
        """Writes YAML that `load_plan` reads, one rule a line."""
        lines = ["# The first rule that matches a layer's path counts; FP32 where none does.", "rules:"]
        for rule in self.rules:
            text = yaml.safe_dump(rule.model_dump(), default_flow_style=True, sort_keys=False, width=1000)
            lines.append(f"- {text.strip()}")
        if not self.rules:
            lines.append("  []")
        lines.append(f"products: {self.products}  # of two activations, as in attention")
        with atomic_file(path) as partial:
            partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_plan(path: Path) -> PrecisionPlan:
    """Reads a plan: YAML with a list of `rules`.

    Raises:
        ConfigError: The file is missing or no YAML, or a key is unknown or wrong.
    """
    return validated(PrecisionPlan, read_yaml(path), path)


def plan_of_stages(stages: Sequence[StageEntry]) -> PrecisionPlan:
    """What the stages of a bundle say: INT8 but for the layers that were kept or left, or nothing narrower than FP32.

    Where a plan was followed, it is the plan's INT8 layers; its FP16 ones may be FP32 in dialects without FP16.

    Raises:
        BundleError: The settings of the last quantization are none.
    """
    quantized = next((s for s in reversed(stages) if s.config.get("stage") == QUANTIZE), None)
    if quantized is None:
        return PrecisionPlan()
    try:
        settings = _Kept.model_validate(quantized.config.get(QUANTIZE) or {})
        notes = _Notes.model_validate(quantized.notes)
        left = tuple(map(escape, notes.left_float))
        if notes.precision_plan is None:
            return PrecisionPlan.int8((*settings.keep_float, *left))
        wider = tuple(map(escape, notes.precision_plan.wider_than_planned))
        excused = (PrecisionRule(layers=glob, precision="fp32") for glob in (*left, *wider))
        return PrecisionPlan(rules=(*excused, *notes.precision_plan.plan.int8_or_float().rules))
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
    precision_plan: _NotedPlan | None = None


class _NotedPlan(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    plan: PrecisionPlan
    wider_than_planned: dict[str, PlannedPrecision] = {}


def expanded(globs: tuple[str, ...]) -> tuple[str, ...]:
    """Globs on modules as globs on layers: what lies inside a matching module matches too."""
    return tuple(name for glob in globs for name in (glob, f"{glob}.*"))
