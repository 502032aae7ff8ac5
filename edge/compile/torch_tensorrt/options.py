"""Options of Torch-TensorRT, checked against the function that takes them: it swallows unknown ones without a word."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from edge.runtime.byte_sizes import MIB
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# What the road passes itself.
GIVEN = frozenset({"exported_program", "inputs", "arg_inputs", "kwarg_inputs"})
REMOVED = {
    "enabled_precisions": "cast the model (`half: true`) or quantize it: types come from the graph since 2.13",
    "use_explicit_typing": "leave it out: every network is strongly typed since 2.13",
}


class TorchTensorRTConfig(BaseModel):
    """How a program is compiled.

    Attributes:
        half: Lets what is not INT8 compute in FP16, by casting the program before it is lowered.
        workspace_mib: Bound of the memory for temporaries; None leaves it to TensorRT.
        optimization_level: 0 to 5; None leaves the default.
        compute_capability: Builds for this device, such as `8.6`; None for the one that is here. TensorRT-RTX only.
        extra: Further options by the names that Torch-TensorRT gives them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    half: bool = False
    workspace_mib: int | None = Field(None, ge=1)
    optimization_level: int | None = Field(None, ge=0, le=5)
    compute_capability: str | None = Field(None, pattern=r"^\d{1,2}\.\d$")
    extra: dict[str, Any] = {}

    def options(self) -> dict[str, Any]:
        """As keyword arguments for Torch-TensorRT; what it has no option for is done around it."""
        ours: dict[str, Any] = {"min_block_size": 1, "require_full_compilation": True}
        if self.workspace_mib is not None:
            ours["workspace_size"] = self.workspace_mib * MIB
        if self.optimization_level is not None:
            ours["optimization_level"] = self.optimization_level
        return {**ours, **self.extra}


def checked_options(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, once it is sure that the function knows each of them.

    Raises:
        ConfigError: It does not; the message names the option and the nearest that it knows.
    """
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = [name for name, p in inspect.signature(function).parameters.items() if p.kind in kinds]
    for name in options:
        if name in REMOVED:
            raise ConfigError(f"Torch-TensorRT ignores '{name}' since 2.13", REMOVED[name])
        if name in GIVEN:
            raise ConfigError(f"'{name}' is no option: it comes from the program", "leave it out")
        if name not in known:
            near = get_close_matches(name, sorted(set(known) - GIVEN), n=3)
            told = f"did you mean {', '.join(near)}" if near else "leave it out"
            raise ConfigError(f"this Torch-TensorRT's {function.__name__} has no option '{name}'", told)
    return dict(options)
