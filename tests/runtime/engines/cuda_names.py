"""Names and numbers of the CUDA runtime, as far as the simulated one has them."""
# ruff: noqa: N815
# They are CUDA's own.

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """What a call can return."""

    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorNoDevice = 100
    cudaErrorInvalidResourceHandle = 400
    cudaErrorIllegalAddress = 700
    cudaErrorNotSupported = 801
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorStreamCaptureInvalidated = 901


class DeviceError(Exception):
    """What goes wrong inside the device."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


class Attributes(IntEnum):
    """What a device can be asked."""

    cudaDevAttrIntegrated = 18
    cudaDevAttrCanMapHostMemory = 19
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76
    cudaDevAttrConcurrentManagedAccess = 89


class CopyKind(IntEnum):
    """Where a copy goes."""

    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class CaptureMode(IntEnum):
    """Whom a recording keeps from what would spoil it."""

    cudaStreamCaptureModeGlobal = 0
    cudaStreamCaptureModeThreadLocal = 1
