"""Precision layer by layer, the shares of the work that they make, and the demand that a plan makes on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from edge.compress.precision_plan import Precision
from edge.runtime.errors import GateError

if TYPE_CHECKING:
    from edge.compress.precision_plan import PlannedPrecision, PrecisionPlan

Evidence = Literal["declared", "proved"]
NAMED_LAYERS = 8


class LayerPrecision(BaseModel):
    """One convolution, linear layer or product of matrices.

    Attributes:
        name: Path of its module, or what the compiler calls it.
        macs: Multiply-accumulates of one inference.
        precision: What it computes in; `unknown` where the engine does not tell.
        reason: Why it is not INT8, where something speaks against it.
        has_weight: Whether one side is constant; of a product of two activations, as in attention, it is not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    macs: int
    precision: Precision
    reason: str = ""
    has_weight: bool = True


class PrecisionReport(BaseModel):
    """At which precision a whole model computes.

    Attributes:
        evidence: `declared`: what the compiler was handed; `proved`: what is inside the engine.
        source: Where this was read, such as `TensorRT-RTX 1.7.1 network`.
        layers: In the order of execution.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    evidence: Evidence
    source: str
    layers: tuple[LayerPrecision, ...]

    @property
    def macs(self) -> int:
        """Of all layers."""
        return sum(layer.macs for layer in self.layers)

    def shares(self) -> dict[str, float]:
        """Share of the MACs at each precision that occurs, largest first; empty without MACs."""
        total = self.macs
        if not total:
            return {}
        sums: dict[str, int] = {}
        for layer in self.layers:
            sums[layer.precision] = sums.get(layer.precision, 0) + layer.macs
        return {name: value / total for name, value in sorted(sums.items(), key=lambda item: -item[1])}

    def shortfall(self, plan: PrecisionPlan) -> tuple[LayerPrecision, ...]:
        """Layers that compute wider than the plan says."""
        return tuple(layer for layer in self.layers if _wider(layer.precision, planned(layer, plan)))

    def with_fp16_allowed(self) -> PrecisionReport:
        """The same where the compiler may take FP16 for what is not quantized, as TensorRT up to 10 by its flags."""
        layers = (x.model_copy(update={"precision": "fp16"}) if x.precision == "fp32" else x for x in self.layers)
        return self.model_copy(update={"source": f"{self.source}, FP16 allowed", "layers": tuple(layers)})

    @property
    def unknown(self) -> tuple[LayerPrecision, ...]:
        """Layers of which nothing could be told, neither for nor against."""
        return tuple(layer for layer in self.layers if layer.precision == "unknown")

    def demand(self, plan: PrecisionPlan) -> None:
        """Refuses what falls short of the plan.

        Raises:
            GateError: A layer that the plan calls INT8 or FP16 computes wider; the message names the layers.
        """
        short = self.shortfall(plan)
        if short:
            named = "; ".join(describe(layer, plan) for layer in short[:NAMED_LAYERS])
            more = f" and {len(short) - NAMED_LAYERS} more" if len(short) > NAMED_LAYERS else ""
            raise GateError(
                f"{len(short)} of {len(self.layers)} layers fall short of the precision plan as {self.evidence} by "
                f"{self.source}: {named}{more}",
                "quantize those layers, or let the plan keep them wider",
            )


def describe(layer: LayerPrecision, plan: PrecisionPlan) -> str:
    """One layer that falls short, in words."""
    return f"{layer.name} is {why_short(layer, plan)}"


def why_short(layer: LayerPrecision, plan: PrecisionPlan) -> str:
    """What is short of one layer, without its name."""
    because = f", {layer.reason}" if layer.reason else ""
    return f"{layer.precision}, planned {planned(layer, plan)}{because}"


def planned(layer: LayerPrecision, plan: PrecisionPlan) -> PlannedPrecision:
    """What a plan says of a layer."""
    return plan.of(layer.name, has_weight=layer.has_weight)


_BITS: dict[Precision, int] = {"int4": 4, "int8": 8, "fp8": 8, "fp16": 16, "bf16": 16, "fp32": 32, "other": 64}


def _wider(found: Precision, planned: Precision) -> bool:
    return found != "unknown" and _BITS[found] > _BITS[planned]
