"""A street project that is small enough to train in a test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from edge.project import preset_path

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {
    "data": {"train": 96, "validation": 12, "test": 12},
    "teacher": {
        "encoders": {
            "camera": {"embedding": 16, "hidden": [24, 48], "depths": [1, 1]},
            "lidar": {"embedding": 16, "hidden": [24, 48], "depths": [1, 1]},
            "audio": {"embedding": 8, "hidden": [16, 32], "depths": [1, 1]},
        },
        "fusion": {"channels": 48},
    },
    "student": {
        "encoders": {
            "camera": {"embedding": 8, "hidden": [16, 32], "depths": [1, 1]},
            "lidar": {"embedding": 8, "hidden": [16, 32], "depths": [1, 1]},
            "audio": {"embedding": 8, "hidden": [16, 16], "depths": [1, 1]},
        },
        "fusion": {"channels": 32},
    },
    "train": {"epochs": 2, "batch_size": 16},
    "recipe": {
        "stages": [
            {"stage": "distill", "fit": {"epochs": 2, "batch_size": 16}},
            {"stage": "prune", "prune": {"macs_ratio": 0.7}, "fit": {"epochs": 1, "batch_size": 16}},
            {"stage": "quantize", "samples": 32},
        ]
    },
}


@pytest.fixture(scope="session")
def small_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Project file: the demo's tensors and decoders, few samples, narrow models."""
    path = tmp_path_factory.mktemp("project") / "small.yaml"
    path.write_text(yaml.safe_dump({"base": str(preset_path("street_demo")), **SMALL}))
    return path
