"""The simulated CUDA shows what a real one would let pass: no wait, stale addresses, freed memory, the wrong side."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from tests.runtime.engines.cuda_names import CaptureMode, CopyKind, Status
from tests.runtime.engines.simulated_cuda import SimulatedCuda

SIZE = 4
UP, DOWN = CopyKind.cudaMemcpyHostToDevice, CopyKind.cudaMemcpyDeviceToHost


@pytest.fixture
def cuda() -> SimulatedCuda:
    return SimulatedCuda()


def _stream(cuda: SimulatedCuda) -> Any:
    return cuda.cudaStreamCreateWithFlags(cuda.cudaStreamNonBlocking)[1]


def _pinned(cuda: SimulatedCuda) -> tuple[int, Any]:
    address = cuda.cudaHostAlloc(SIZE, cuda.cudaHostAllocDefault)[1]
    return address, np.ndarray(SIZE, np.uint8, buffer=memoryview((ctypes.c_uint8 * SIZE).from_address(address)))


def test_work_waits_for_a_synchronization(cuda: SimulatedCuda) -> None:
    stream, (address, host), device = _stream(cuda), _pinned(cuda), cuda.cudaMalloc(SIZE)[1]
    host[:] = 7
    cuda.cudaMemcpyAsync(device, address, SIZE, UP, stream)
    assert (cuda.memory(device, SIZE) != 7).all()
    host[:] = 8  # too early: the copy reads it later
    assert cuda.cudaStreamSynchronize(stream) == (Status.cudaSuccess,)
    np.testing.assert_array_equal(cuda.memory(device, SIZE), 8)


def test_an_event_covers_what_came_before_it(cuda: SimulatedCuda) -> None:
    stream, event, done = _stream(cuda), cuda.cudaEventCreateWithFlags(0)[1], []
    cuda.put(stream.handle, lambda: done.append("before"))
    cuda.cudaEventRecord(event, stream)
    cuda.put(stream.handle, lambda: done.append("after"))
    cuda.cudaEventSynchronize(event)
    assert done == ["before"]


def test_a_graph_keeps_the_addresses_that_it_was_recorded_with(cuda: SimulatedCuda) -> None:
    stream, (address, host) = _stream(cuda), _pinned(cuda)
    first, second = cuda.cudaMalloc(SIZE)[1], cuda.cudaMalloc(SIZE)[1]
    cuda.cudaStreamBeginCapture(stream, CaptureMode.cudaStreamCaptureModeThreadLocal)
    cuda.cudaMemcpyAsync(first, address, SIZE, UP, stream)
    executable = cuda.cudaGraphInstantiate(cuda.cudaStreamEndCapture(stream)[1], 0)[1]
    host[:] = 9
    cuda.cudaGraphLaunch(executable, stream)
    cuda.cudaStreamSynchronize(stream)
    np.testing.assert_array_equal(cuda.memory(first, SIZE), 9)
    assert (cuda.memory(second, SIZE) != 9).all()
    cuda.cudaFree(first)
    cuda.cudaGraphLaunch(executable, stream)
    assert cuda.cudaStreamSynchronize(stream)[0] == Status.cudaErrorIllegalAddress
    assert cuda.cudaMalloc(SIZE)[0] == Status.cudaErrorIllegalAddress, "the device is lost"


@pytest.mark.parametrize("spoil", ["cudaMalloc", "cudaStreamSynchronize"])
def test_what_allocates_or_waits_spoils_a_recording(cuda: SimulatedCuda, spoil: str) -> None:
    stream = _stream(cuda)
    cuda.cudaStreamBeginCapture(stream, CaptureMode.cudaStreamCaptureModeThreadLocal)
    given = SIZE if spoil == "cudaMalloc" else stream
    assert getattr(cuda, spoil)(given)[0] == Status.cudaErrorStreamCaptureUnsupported
    assert cuda.cudaStreamEndCapture(stream)[0] == Status.cudaErrorStreamCaptureInvalidated
    assert cuda.cudaStreamSynchronize(stream)[0] == Status.cudaSuccess


def test_addresses_of_the_wrong_side_are_refused(cuda: SimulatedCuda) -> None:
    stream, (address, _), device = _stream(cuda), _pinned(cuda), cuda.cudaMalloc(SIZE)[1]
    assert cuda.cudaMemcpyAsync(device, address, SIZE, DOWN, stream)[0] == Status.cudaErrorInvalidValue
    mapped = cuda.cudaHostAlloc(SIZE, cuda.cudaHostAllocMapped)[1]
    assert cuda.cudaHostGetDevicePointer(mapped, 0)[1] != mapped
    assert cuda.cudaHostGetDevicePointer(address, 0)[0] == Status.cudaErrorInvalidValue


def test_freed_memory_is_overwritten(cuda: SimulatedCuda) -> None:
    address, host = _pinned(cuda)
    host[:] = 1
    cuda.cudaFreeHost(address)
    assert (host == 255).all()
    assert cuda.cudaFreeHost(address)[0] == Status.cudaErrorInvalidValue


def test_a_stream_belongs_to_the_device_of_its_thread() -> None:
    cuda = SimulatedCuda(devices=2)
    stream = _stream(cuda)
    cuda.cudaSetDevice(1)
    assert cuda.cudaStreamSynchronize(stream)[0] == Status.cudaErrorInvalidResourceHandle


def test_what_was_not_given_back_is_counted(cuda: SimulatedCuda) -> None:
    stream, device = _stream(cuda), cuda.cudaMalloc(SIZE)[1]
    assert cuda.leaks() == {"stream": 1, "device": 1}
    cuda.cudaFree(device)
    cuda.cudaStreamDestroy(stream)
    assert cuda.leaks() == {}


def test_the_nth_call_fails_where_asked(cuda: SimulatedCuda) -> None:
    cuda.fail("cudaMalloc", 2)
    statuses = [cuda.cudaMalloc(SIZE)[0] for _ in range(3)]
    assert statuses == [Status.cudaSuccess, Status.cudaErrorMemoryAllocation, Status.cudaSuccess]
    assert cuda.cudaGetLastError() == (Status.cudaErrorMemoryAllocation,)
    assert cuda.cudaGetLastError() == (Status.cudaSuccess,)
