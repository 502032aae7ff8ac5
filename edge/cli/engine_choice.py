"""What verbs that run a model are told of the engine."""

from __future__ import annotations

from enum import Enum


class EngineName(str, Enum):
    """Engines by the name that `--engine` takes."""

    auto = "auto"
    onnxruntime = "onnxruntime"
    tensorrt = "tensorrt"
