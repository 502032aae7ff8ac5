"""The CUDA runtime through `cuda-python`, without torch: its loader, its devices, and the check of every status.

In this package the module object is called `cudart` wherever it is used, and every call of it goes through `checked`,
or through `released` where an error must not hide the one before it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from edge.runtime.capabilities import has_module, require_module
from edge.runtime.errors import ConfigError, EdgeError, MissingDependencyError, ModelError, first_line

logger = logging.getLogger(__name__)

_MODULE = "cuda.bindings.runtime"
_MODULE_OF_OLD = "cuda.cudart"  # the only one up to cuda-python 12.6.0, deprecated since
_DRIVER_REMEDY = (
    "install NVIDIA's driver (on a Jetson it is part of JetPack), start a container with --gpus all or --runtime "
    "nvidia, or run the bundle with ONNX Runtime"
)
_MEMORY_REMEDY = (
    "close what else uses the GPU, on a board first the desktop (sudo systemctl isolate multi-user.target); "
    "`edge run --memory-limit` refuses a run that may not fit before it starts"
)
_LOST_REMEDY = "end this process, its CUDA context is lost, and run `edge verify` on the bundle"
_OTHER_REMEDY = "run `edge verify` on the bundle"
_NO_DRIVER = frozenset({"cudaErrorInsufficientDriver", "cudaErrorNoDevice", "cudaErrorStubLibrary"})
# After these every later call of the process fails as well (CUDA Runtime API, cudaError_t).
_LOST = frozenset(
    {
        "cudaErrorIllegalAddress",
        "cudaErrorLaunchFailure",
        "cudaErrorLaunchTimeout",
        "cudaErrorHardwareStackError",
        "cudaErrorIllegalInstruction",
        "cudaErrorMisalignedAddress",
        "cudaErrorAssert",
        "cudaErrorECCUncorrectable",
    }
)


@dataclass(frozen=True, slots=True)
class CudaDevice:
    """One device, and what decides where an engine's tensors lie.

    Attributes:
        index: Among the process's visible devices.
        name: As the driver says; one name for many boards on a Jetson, so the device tree's says more there.
        compute_capability: Such as `8.7`.
        integrated: Whether it shares its memory with the CPU, as on a Jetson.
        maps_host_memory: Whether it can read and write the CPU's pinned memory in place.
        shares_managed_memory: Whether CPU and GPU may touch managed memory at the same time; on a Jetson they may not.
    """

    index: int
    name: str
    compute_capability: str
    integrated: bool
    maps_host_memory: bool
    shares_managed_memory: bool


def load_cudart() -> Any:
    """The module of the CUDA runtime, whichever way the installed cuda-python calls it.

    Raises:
        MissingDependencyError: cuda-python is not installed.
    """
    has_new = has_module(_MODULE)
    return require_module(_MODULE if has_new or not has_module(_MODULE_OF_OLD) else _MODULE_OF_OLD)


def checked(cudart: Any, answer: tuple[Any, ...], doing: str) -> Any:
    """What a CUDA call gave, after its status was looked at.

    Args:
        cudart: The CUDA runtime.
        answer: What the call returned: its status, and perhaps a value.
        doing: What the call was for, to follow "CUDA cannot".

    Raises:
        MissingDependencyError: There is no driver or device.
        ModelError: Any other failure, with CUDA's own name for it.
    """
    status, *values = answer
    if status != cudart.cudaError_t.cudaSuccess:
        raise cuda_error(cudart, status, doing)
    return values[0] if values else None


def released(cudart: Any, answer: tuple[Any, ...], doing: str) -> None:
    """Looks at the status of a call that gives something back: a failure is logged and hides no other."""
    if answer[0] != cudart.cudaError_t.cudaSuccess:
        logger.warning("%s", cuda_error(cudart, answer[0], doing).problem)


def cuda_error(cudart: Any, status: Any, doing: str) -> EdgeError:
    """The error for a status, in CUDA's words and with what to do next."""
    name, meaning = _described(cudart, status)
    # The runtime keeps the last failure, and TensorRT would take it for one of its own.
    cudart.cudaGetLastError()
    if name in _NO_DRIVER:
        return MissingDependencyError(f"CUDA cannot {doing}: {_driver_problem(cudart, name, meaning)}", _DRIVER_REMEDY)
    remedy = _OTHER_REMEDY
    if name == "cudaErrorMemoryAllocation":
        meaning, remedy = f"{meaning}{_memory_left(cudart)}", memory_remedy()
    elif name in _LOST:
        remedy = _LOST_REMEDY
    return ModelError(f"CUDA cannot {doing}: {name} ({meaning})", remedy)


def memory_remedy() -> str:
    """What to do when the device's memory is full."""
    return _MEMORY_REMEDY


def open_device(cudart: Any, index: int) -> CudaDevice:
    """Makes a device the calling thread's current one and describes it.

    Raises:
        MissingDependencyError: There is no driver, an older one than this cuda-python needs, or no device.
        ConfigError: There are fewer devices.
        ModelError: The device does not start.
    """
    try:
        count = checked(cudart, cudart.cudaGetDeviceCount(), "find a device")
    except RuntimeError as error:  # older bindings raise where they do not find libcuda
        raise MissingDependencyError(f"there is no NVIDIA driver here ({first_line(error)})", _DRIVER_REMEDY) from error
    if not 0 <= index < count:
        raise ConfigError(f"there is no CUDA device {index}", f"choose one of 0 to {count - 1}")
    checked(cudart, cudart.cudaSetDevice(index), f"start device {index}")
    names = cudart.cudaDeviceAttr

    def attribute(which: Any) -> int:
        return int(checked(cudart, cudart.cudaDeviceGetAttribute(which, index), f"describe device {index}"))

    major = attribute(names.cudaDevAttrComputeCapabilityMajor)
    minor = attribute(names.cudaDevAttrComputeCapabilityMinor)
    return CudaDevice(
        index=index,
        name=_text(checked(cudart, cudart.cudaGetDeviceProperties(index), f"describe device {index}").name),
        compute_capability=f"{major}.{minor}",
        integrated=bool(attribute(names.cudaDevAttrIntegrated)),
        maps_host_memory=bool(attribute(names.cudaDevAttrCanMapHostMemory)),
        shares_managed_memory=bool(attribute(names.cudaDevAttrConcurrentManagedAccess)),
    )


def _described(cudart: Any, status: Any) -> tuple[str, str]:
    name, meaning = cudart.cudaGetErrorName(status)[1], cudart.cudaGetErrorString(status)[1]
    return _text(name), _text(meaning)


def _text(raw: bytes | str) -> str:
    return raw.decode().rstrip("\0") if isinstance(raw, bytes) else raw


def _driver_problem(cudart: Any, name: str, meaning: str) -> str:
    """CUDA calls an absent driver insufficient; one that is there and too old deserves both versions."""
    here, needed = cudart.cudaDriverGetVersion()[1], cudart.cudaRuntimeGetVersion()[1]
    if name != "cudaErrorInsufficientDriver":
        return f"{name} ({meaning})"
    if not here:
        return f"there is no NVIDIA driver here ({name})"
    return (
        f"{name}: the driver here is made for CUDA {_version(here)}, this cuda-python for CUDA {_version(needed)}, "
        f"so install its like: pip install 'cuda-python<{here // 1000 + 1}'"
    )


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _memory_left(cudart: Any) -> str:
    status, *sizes = cudart.cudaMemGetInfo()
    if status != cudart.cudaError_t.cudaSuccess:
        return ""
    free, total = sizes
    return f", {free >> 20} of {total >> 20} MiB are free"
