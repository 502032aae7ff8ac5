"""Options of Torch-TensorRT: what it would swallow without a word is refused, with what to do instead."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edge.compile.torch_tensorrt.options import TorchTensorRTConfig, checked_options
from edge.runtime.errors import ConfigError


def compile_program(
    exported_program: Any,
    inputs: Any = None,
    *,
    arg_inputs: Any = None,
    min_block_size: int = 5,
    workspace_size: int = 0,
    optimization_level: int | None = None,
    require_full_compilation: bool = False,
    enable_autocast: bool = False,
    **kwargs: Any,
) -> None:
    """As Torch-TensorRT's own function, it takes any keyword and ignores those that it does not know."""


def test_ours_become_the_names_of_torch_tensorrt() -> None:
    assert TorchTensorRTConfig().options() == {"min_block_size": 1, "require_full_compilation": True}
    config = TorchTensorRTConfig(workspace_mib=256, optimization_level=0, extra={"enable_autocast": True})
    assert checked_options(compile_program, config.options()) == {
        "min_block_size": 1,
        "require_full_compilation": True,
        "workspace_size": 256 << 20,
        "optimization_level": 0,
        "enable_autocast": True,
    }


def test_further_options_win_over_ours() -> None:
    assert TorchTensorRTConfig(extra={"min_block_size": 7}).options()["min_block_size"] == 7


def test_half_and_device_are_done_around_it() -> None:
    options = TorchTensorRTConfig(half=True, compute_capability="8.6").options()
    assert options == TorchTensorRTConfig().options()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("min_blok_size", "has no option 'min_blok_size'; did you mean min_block_size"),
        ("optimisation_level", "did you mean optimization_level"),
        ("zzz", "has no option 'zzz'; leave it out"),
        ("kwargs", "has no option 'kwargs'"),
        ("enabled_precisions", r"ignores 'enabled_precisions' since 2\.13; cast the model .* or quantize it"),
        ("use_explicit_typing", r"ignores 'use_explicit_typing' since 2\.13; leave it out"),
        ("arg_inputs", "'arg_inputs' is no option: it comes from the program"),
        ("inputs", "'inputs' is no option"),
        ("exported_program", "'exported_program' is no option"),
    ],
)
def test_what_it_does_not_take_is_refused(name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        checked_options(compile_program, {name: 1})


def test_the_function_is_named() -> None:
    with pytest.raises(ConfigError, match="this Torch-TensorRT's compile_program has no option"):
        checked_options(compile_program, {"zzz": 1})


@pytest.mark.parametrize(
    "settings",
    [
        {"workspace_mib": 0},
        {"optimization_level": 9},
        {"compute_capability": "sm86"},
        {"min_block_size": 1},
        {"half": "perhaps"},
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TorchTensorRTConfig(**settings)
