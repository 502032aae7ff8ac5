"""How an engine is built: the record that goes into its key, and what the builder dispatches on."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.runtime.engine_key import ShapeRange

Regime = Literal["auto", "typed", "untyped"]


class EngineConfig(BaseModel):
    """All that shapes an engine besides its graph.

    Attributes:
        regime: `typed`: the graph's types are kept (TensorRT 11 and RTX know nothing else). `untyped`: an FP32-typed
            graph whose layers may run in INT8, by its Q/DQ pairs, and in FP16 (TensorRT 10). `auto` takes untyped
            where there is a choice, because there the compiler may choose the quicker of the two.
        fp16: In the untyped regime, whether layers that are not quantized may run in FP16.
        workspace_mib: Bound of the memory for temporaries; None leaves it to TensorRT (all of the device's).
        optimization_level: 0 to 5; None leaves TensorRT's default of 3.
        sparse_weights: Whether 2:4 sparse kernels may be used; None: where a bundle says that its graph is so.
        dla_core: Runs what can on this DLA core, the rest on the GPU.
        compute_capability: Builds for this device, such as `8.6`; None for the one that is here. TensorRT-RTX only.
        profiles: Ranges of the inputs that are not fixed in the graph.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    regime: Regime = "auto"
    fp16: bool = True
    workspace_mib: int | None = Field(None, ge=1)
    optimization_level: int | None = Field(None, ge=0, le=5)
    sparse_weights: bool | None = None
    dla_core: int | None = Field(None, ge=0, le=1)
    compute_capability: str | None = Field(None, pattern=r"^\d{1,2}\.\d$")
    profiles: dict[str, ShapeRange] = {}

    def flags(self) -> dict[str, Any]:
        """What enters the engine's key, by name; profiles and device have places of their own there."""
        return self.model_dump(mode="json", exclude={"profiles", "compute_capability"}, exclude_none=True)
