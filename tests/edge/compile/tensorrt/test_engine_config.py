"""The record of how an engine is built: what is refused, and what of it enters the engine's key."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edge.compile.tensorrt.engine_config import EngineConfig
from edge.runtime.engine_key import ShapeRange


def test_flags_are_what_was_chosen_without_profiles_and_device() -> None:
    assert EngineConfig().flags() == {"regime": "auto", "fp16": True}
    ranges = {"x": ShapeRange.fixed((1, 3))}
    config = EngineConfig(
        regime="typed",
        fp16=False,
        workspace_mib=256,
        optimization_level=0,
        sparse_weights=True,
        dla_core=0,
        compute_capability="8.6",
        profiles=ranges,
    )
    assert config.flags() == {
        "regime": "typed",
        "fp16": False,
        "workspace_mib": 256,
        "optimization_level": 0,
        "sparse_weights": True,
        "dla_core": 0,
    }


@pytest.mark.parametrize(
    "settings",
    [
        {"regime": "weak"},
        {"workspace_mib": 0},
        {"optimization_level": 6},
        {"optimization_level": -1},
        {"dla_core": 2},
        {"compute_capability": "86"},
        {"compute_capability": "sm_86"},
        {"compute_capability": "8.6 "},
        {"precision": "int8"},
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EngineConfig(**settings)
