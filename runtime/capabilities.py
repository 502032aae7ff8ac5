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
    "peft": ("tuning encoders by low-rank adapters", "train"),
    "onnx": ("exporting and checking graphs", "train"),
    "jinja2": ("writing report.html", "train"),
    "matplotlib": ("drawing the report's figures", "train"),
    "tokenizers": ("turning text into tokens", "text"),
    "pyarrow": ("reading Parquet files", "data"),
    "datasets": ("reading folders of Hugging Face datasets", "data"),
    "tensorboard": ("logging a training", "train"),
    "sklearn": ("precision, recall and F1 by class", "train"),
    "captum": ("attributing answers to inputs", "explain"),
    "rerun": ("showing a run live", "viewer"),
    "cryptography": ("signing bundles and checking signatures", "signing"),
    "tensorrt": ("building and running TensorRT engines", "board"),
    "tensorrt_rtx": ("building and running TensorRT-RTX engines", "board"),
    "cuda": ("running TensorRT engines", "board"),
}
# All that the extra `mcap` brings, and its parts.
OPTIONAL_MODULES |= dict.fromkeys(
    ("mcap", "lz4", "zstandard", "mcap_protobuf", "mcap_ros2", "foxglove_schemas_protobuf", "google"),
    ("recording and replaying MCAP files", "mcap"),
)
# What no extra installs, or not everywhere alike.
REMEDIES = {
    "tensorrt": (
        "on a Jetson it comes with JetPack and never from pip: sudo apt install tensorrt python3-libnvinfer, and make "
        "the venv with --system-site-packages; elsewhere: pip install tensorrt"
    ),
    "tensorrt_rtx": "on a PC with an NVIDIA GPU: pip install tensorrt-rtx; a board runs the TensorRT of its JetPack",
    # A newer one refuses the older driver, which is part of JetPack 6.
    "cuda": "install it with: pip install 'edge-fusion[board]'; on JetPack 6 (CUDA 12.6): pip install 'cuda-python<13'",
}


@cache
def has_module(name: str) -> bool:
    """Whether `name` really imports; a bare folder of that name on the path does not count."""
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError):  # TensorRT's wheels load their libraries through ctypes
        return False
    return getattr(module, "__file__", None) is not None


def require_module(name: str) -> Any:
    """Imports an optional module.

    Raises:
        MissingDependencyError: It is absent; the message names the extra, or the command, that brings it.
    """
    if not has_module(name):
        root = name.partition(".")[0]
        purpose, extra = OPTIONAL_MODULES.get(name) or OPTIONAL_MODULES[root]
        raise MissingDependencyError(
            f"{purpose} needs the Python package {name}, which does not import here",
            REMEDIES.get(root) or f"install it with: pip install 'edge-fusion[{extra}]'",
        )
    return importlib.import_module(name)
