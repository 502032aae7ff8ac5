"""Optional pieces of the environment: probed once, and named with the command that brings them when absent."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from edge.runtime.errors import MissingDependencyError

# module -> (what it is for, the extra that installs it)
OPTIONAL_MODULES = {
    "cv2": ("reading images", "camera"),
    "soundfile": ("reading audio files", "audio"),
    "onnxruntime": ("running a bundle on the CPU", "cpu"),
    "torch": ("training and compressing models", "train"),
    "torchao": ("INT8 quantization", "train"),
    "transformers": ("building encoders", "train"),
    "onnx": ("exporting and checking graphs", "train"),
    "jinja2": ("writing report.html", "train"),
    "matplotlib": ("drawing the report's figures", "train"),
}
# All that the extra `mcap` brings, and its parts.
OPTIONAL_MODULES |= dict.fromkeys(
    ("mcap", "lz4", "zstandard", "mcap_protobuf", "mcap_ros2", "foxglove_schemas_protobuf", "google"),
    ("recording and replaying MCAP files", "mcap"),
)


@cache
def has_module(name: str) -> bool:
    """Whether `name` really imports; a bare folder of that name on the path does not count."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return False
    return getattr(module, "__file__", None) is not None


def require_module(name: str) -> Any:
    """Imports an optional module.

    Raises:
        MissingDependencyError: It is absent; the message names the extra that brings it.
    """
    if not has_module(name):
        purpose, extra = OPTIONAL_MODULES.get(name) or OPTIONAL_MODULES[name.partition(".")[0]]
        raise MissingDependencyError(
            f"{purpose} needs the Python package {name}, which does not import here",
            f"install it with: pip install 'edge-fusion[{extra}]'",
        )
    return importlib.import_module(name)
