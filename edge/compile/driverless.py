"""Torch-TensorRT on a machine without an NVIDIA driver: the few substitutions that let it import, convert and build.

All of them live here, and none acts where a device exists. What they stand in for is asked but not needed by
conversion: the current device's properties at import, a C++ runtime that links CUDA's torch, and the deserialization of
an engine that was just built for another device. What is built is real; it cannot be run here, and is not.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# What the substitute says of itself; conversion asks for the architecture only to choose between kernels.
STAND_IN_CAPABILITY = (8, 6)
STAND_IN_MEMORY = 8 << 30
_DRIVER_PATHS = ("/proc/driver/nvidia/version", "/dev/nvhost-gpu", "/dev/nvidiactl", "/dev/nvgpu")
_RUNTIME_LIBRARY = "libtorchtrt"


def has_device() -> bool:
    """Whether a driver is here, in which case nothing of this module acts."""
    if any(Path(path).exists() for path in _DRIVER_PATHS):
        return True
    import torch

    return bool(torch.cuda.is_available())


def import_torch_tensorrt() -> Any:
    """Imports `torch_tensorrt`; where there is no driver, with the substitutions that its import needs.

    Raises:
        ImportError: The package is not installed, or does not fit its torch.
    """
    if has_device():
        import torch_tensorrt

        return torch_tensorrt
    with _stand_in(), _without_runtime_library(), _muted():
        import torch_tensorrt
    return torch_tensorrt


@contextmanager
def serialized_only() -> Iterator[None]:
    """While the body runs, a built engine is handed on as bytes and not deserialized; nothing changes with a device."""
    if has_device():
        yield
        return
    from torch_tensorrt.dynamo.conversion import _TRTInterpreter as interpreter

    original = interpreter.trt.Runtime
    interpreter.trt.Runtime = _SerializingRuntime
    try:
        yield
    finally:
        interpreter.trt.Runtime = original


class _StandIn:
    """Properties of a device that is not here."""

    name = "no device"
    major, minor = STAND_IN_CAPABILITY
    total_memory = STAND_IN_MEMORY
    multi_processor_count = 16


@contextmanager
def _stand_in() -> Iterator[None]:
    """Describes the device that is not here to whoever asks torch; taken back where the body raises.

    It stays after an import that succeeded, because conversion asks as well.
    """
    import torch

    substitutes: dict[str, Any] = {
        "get_device_capability": lambda *_, **__: STAND_IN_CAPABILITY,
        "current_device": lambda: 0,
        "get_device_properties": lambda *_, **__: _StandIn(),
        "get_device_name": lambda *_, **__: _StandIn.name,
        "synchronize": lambda *_, **__: None,
        "set_device": lambda *_, **__: None,
        "mem_get_info": lambda *_, **__: (STAND_IN_MEMORY, STAND_IN_MEMORY),
    }
    originals = {name: getattr(torch.cuda, name) for name in substitutes}
    for name, substitute in substitutes.items():
        setattr(torch.cuda, name, substitute)
    # A type that torch's CPU build lacks and Torch-TensorRT names in annotations.
    if not hasattr(torch._C, "_CudaDeviceProperties"):
        setattr(torch._C, "_CudaDeviceProperties", object)  # noqa: B010  (mypy takes it for a class)
    try:
        yield
    except BaseException:
        for name, original in originals.items():
            setattr(torch.cuda, name, original)
        raise


@contextmanager
def _muted() -> Iterator[None]:
    """Keeps from the log that there is no CUDA, which here is no news."""
    logger = logging.getLogger("torch_tensorrt")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _without_runtime_library() -> Iterator[None]:
    """Lets Torch-TensorRT believe that its C++ runtime, which links CUDA's torch, is not there."""
    original = os.path.isfile

    def isfile(path: Any) -> bool:
        return _RUNTIME_LIBRARY not in str(path) and original(path)

    os.path.isfile = isfile
    try:
        yield
    finally:
        os.path.isfile = original


class _SerializingRuntime:
    """Stands where TensorRT's runtime would: gives an engine that only knows its own bytes."""

    def __init__(self, _logger: Any) -> None:
        pass

    def deserialize_cuda_engine(self, plan: Any) -> _SerializedEngine:
        return _SerializedEngine(plan)


class _SerializedEngine:
    """An engine that is not run: whatever is asked of it, it has its plan."""

    def __init__(self, plan: Any) -> None:
        self._plan = plan

    def serialize(self, *_: Any) -> Any:
        return self._plan

    def create_serialization_config(self) -> None:
        return None

    def serialize_with_config(self, _config: Any) -> Any:
        return self._plan

    def get_aliased_input_tensor(self, _name: str) -> None:
        return None
