"""A CUDA runtime without a device, as cuda-python shows it: strict where a real one would go wrong without a word.

- The device's memory has addresses that the CPU cannot read, also for what is mapped into it.
- Work put into a stream runs when something waits for it, in order, and not before.
- A recorded graph works on the addresses it was recorded with. Freed memory is overwritten, and using it is an error.
- Every call can be made to fail, and all that was not given back can be asked for.
"""

# ruff: noqa: N802, N815
# The names are CUDA's own.

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.runtime.engines.cuda_names import Attributes, CaptureMode, CopyKind, DeviceError, Status

POISON = 0xFF  # as float: not a number
Answer = tuple[Any, ...]
Work = Callable[[], None]


@dataclass(eq=False)
class Block:
    """One allocation."""

    kind: str
    content: NDArray[np.uint8]
    address: int
    device_address: int | None


@dataclass(eq=False)
class Stream:
    """Work that waits, or is being recorded."""

    handle: int
    device: int
    work: deque[Work] = field(default_factory=deque)
    given: int = 0  # so much was ever put in
    recording: list[Work] | None = None
    spoilt: bool = False

    def __int__(self) -> int:
        return self.handle


def simulated(call: Callable[..., Answer]) -> Callable[..., Answer]:
    """Counts a call, lets it fail where that is asked for, and turns faults into statuses."""

    @wraps(call)
    def counted(self: SimulatedCuda, *given: Any) -> Answer:
        name = call.__name__
        self.calls.append(name)
        injected = self.injected.pop((name, self.calls.count(name)), None)
        try:
            if injected is not None:
                if name == "cudaStreamEndCapture":  # it ends the recording also when it fails
                    given[0].recording = None
                raise DeviceError(injected)
            if self.lost is not None:
                raise DeviceError(self.lost)
            return (Status.cudaSuccess, *call(self, *given))
        except DeviceError as error:
            self.last_error = error.status
            return (error.status, None)

    return counted


class SimulatedCuda:
    """Stands for the module `cuda.bindings.runtime`.

    Args:
        integrated: The device shares the CPU's memory.
        shares_managed: CPU and GPU may touch managed memory at once.
        maps_host: The device reads the CPU's memory in place.
        devices: How many there are.
        memory_bytes: Of each device.
    """

    cudaError_t = Status
    cudaDeviceAttr = Attributes
    cudaMemcpyKind = CopyKind
    cudaStreamCaptureMode = CaptureMode
    cudaHostAllocDefault, cudaHostAllocMapped = 0, 2
    cudaMemAttachGlobal, cudaMemAttachSingle = 1, 4
    cudaStreamNonBlocking = 1
    cudaEventBlockingSync, cudaEventDisableTiming = 1, 2

    def __init__(
        self,
        *,
        integrated: bool = False,
        shares_managed: bool = True,
        maps_host: bool = True,
        devices: int = 1,
        memory_bytes: int = 1 << 30,
    ) -> None:
        self.facts = {
            Attributes.cudaDevAttrIntegrated: int(integrated),
            Attributes.cudaDevAttrCanMapHostMemory: int(maps_host),
            Attributes.cudaDevAttrConcurrentManagedAccess: int(shares_managed),
            Attributes.cudaDevAttrComputeCapabilityMajor: 8,
            Attributes.cudaDevAttrComputeCapabilityMinor: 7,
        }
        self.devices, self.memory_bytes = devices, memory_bytes
        self.calls: list[str] = []
        self.injected: dict[tuple[str, int], Status] = {}
        self.lost: Status | None = None
        self.last_error = Status.cudaSuccess
        self.driver_version = 12060
        self.blocks: list[Block] = []
        self.attached: set[int] = set()
        self._graveyard: list[Block] = []  # kept, so that using it after it was freed shows and does not crash
        self._objects: dict[int, tuple[str, Any]] = {}
        self._handles = count(0x1000, 0x10)
        self._device_addresses = count(1 << 62, 1 << 32)
        self._thread = threading.local()

    def fail(self, call: str, nth: int = 1, status: Status = Status.cudaErrorMemoryAllocation) -> None:
        """Lets the nth call of a function fail."""
        self.injected[(call, nth)] = status

    def leaks(self) -> dict[str, int]:
        """What was not given back, by kind."""
        return dict(Counter([b.kind for b in self.blocks] + [kind for kind, _ in self._objects.values()]))

    def pending(self) -> int:
        """How much work was put into streams that nothing has waited for."""
        return sum(len(item.work) for _, item in self._objects.values() if isinstance(item, Stream))

    # What the simulated TensorRT uses.

    def memory(self, address: int, size: int) -> NDArray[np.uint8]:
        """The bytes that the device finds at an address."""
        for block in self.blocks:
            if block.device_address == address and size <= block.content.size:
                return block.content[:size]
        raise DeviceError(Status.cudaErrorIllegalAddress)

    def put(self, handle: int, work: Work) -> None:
        """Puts work into a stream, or records it."""
        stream = self._stream(handle)
        if stream.recording is not None:
            stream.recording.append(work)
            return
        stream.work.append(work)
        stream.given += 1

    def take_device_memory(self, size: int) -> Block:
        """As a library does that allocates by itself."""
        self._spoil_recordings()
        if size + sum(b.content.size for b in self.blocks if b.kind != "pinned") > self.memory_bytes:
            raise DeviceError(Status.cudaErrorMemoryAllocation)
        return self._allocate("device", size)

    def give_back(self, block: Block) -> None:
        """Frees, and overwrites what was there."""
        self.blocks.remove(block)
        block.content[...] = POISON
        self._graveyard.append(block)

    # The calls, with cuda-python's signatures.

    @simulated
    def cudaGetDeviceCount(self) -> Answer:
        return (self.devices,)

    @simulated
    def cudaSetDevice(self, device: int) -> Answer:
        self._thread.device = device
        return ()

    @simulated
    def cudaDeviceGetAttribute(self, attribute: Attributes, device: int) -> Answer:
        return (self.facts[attribute],)

    @simulated
    def cudaGetDeviceProperties(self, device: int) -> Answer:
        return (SimpleNamespace(name=b"Simulated\0\0"),)

    def cudaGetLastError(self) -> Answer:
        last, self.last_error = self.last_error, Status.cudaSuccess
        return (last,)

    def cudaGetErrorName(self, status: Status) -> Answer:
        return (Status.cudaSuccess, status.name.encode())

    def cudaGetErrorString(self, status: Status) -> Answer:
        return (Status.cudaSuccess, status.name.removeprefix("cudaError").lower().encode())

    def cudaDriverGetVersion(self) -> Answer:
        return (Status.cudaSuccess, self.driver_version)

    def cudaRuntimeGetVersion(self) -> Answer:
        return (Status.cudaSuccess, 13050)

    def cudaMemGetInfo(self) -> Answer:
        return (Status.cudaSuccess, 100 << 20, 1024 << 20)

    @simulated
    def cudaMalloc(self, size: int) -> Answer:
        return (self.take_device_memory(size).device_address,)

    @simulated
    def cudaMallocManaged(self, size: int, flags: int) -> Answer:
        self._spoil_recordings()
        return (self._allocate("managed", size).address,)

    @simulated
    def cudaHostAlloc(self, size: int, flags: int) -> Answer:
        self._spoil_recordings()
        return (self._allocate("mapped" if flags & self.cudaHostAllocMapped else "pinned", size).address,)

    @simulated
    def cudaHostGetDevicePointer(self, address: int, flags: int) -> Answer:
        block = self._block(address, "mapped")
        block.device_address = next(self._device_addresses)
        return (block.device_address,)

    @simulated
    def cudaFree(self, address: int) -> Answer:
        self.give_back(self._block(address, "device", "managed"))
        return ()

    @simulated
    def cudaFreeHost(self, address: int) -> Answer:
        self.give_back(self._block(address, "pinned", "mapped"))
        return ()

    @simulated
    def cudaStreamCreateWithFlags(self, flags: int) -> Answer:
        handle = next(self._handles)
        self._objects[handle] = ("stream", Stream(handle, self._current()))
        return (self._objects[handle][1],)

    @simulated
    def cudaStreamDestroy(self, stream: Stream) -> Answer:
        del self._objects[self._stream(stream.handle, anywhere=True).handle]
        return ()

    @simulated
    def cudaStreamSynchronize(self, stream: Stream) -> Answer:
        self._run(stream, self._stream(stream.handle).given)
        return ()

    @simulated
    def cudaStreamAttachMemAsync(self, stream: Stream, address: int, length: int, flags: int) -> Answer:
        self._block(address, "managed")
        self.put(stream.handle, lambda: self.attached.add(address))
        return ()

    @simulated
    def cudaMemcpyAsync(self, to: int, source: int, size: int, kind: CopyKind, stream: Stream) -> Answer:
        host, device = (source, to) if kind == CopyKind.cudaMemcpyHostToDevice else (to, source)
        self._block(host, "pinned")
        self._block(device, "device")

        def copy() -> None:
            here, there = self._block(host, "pinned").content[:size], self.memory(device, size)
            if kind == CopyKind.cudaMemcpyHostToDevice:
                there[...] = here
            else:
                here[...] = there

        self.put(stream.handle, copy)
        return ()

    @simulated
    def cudaEventCreateWithFlags(self, flags: int) -> Answer:
        return (self._new("event", []),)

    @simulated
    def cudaEventRecord(self, event: int, stream: Stream) -> Answer:
        self._objects[event][1][:] = [(stream, self._stream(stream.handle).given)]
        return ()

    @simulated
    def cudaEventSynchronize(self, event: int) -> Answer:
        for stream, mark in self._objects[event][1]:
            self._run(stream, mark)
        return ()

    @simulated
    def cudaEventDestroy(self, event: int) -> Answer:
        del self._objects[event]
        return ()

    @simulated
    def cudaStreamBeginCapture(self, stream: Stream, mode: CaptureMode) -> Answer:
        self._stream(stream.handle).recording, stream.spoilt = [], False
        return ()

    @simulated
    def cudaStreamEndCapture(self, stream: Stream) -> Answer:
        recorded, stream.recording = self._stream(stream.handle).recording, None
        if recorded is None or stream.spoilt:
            raise DeviceError(Status.cudaErrorStreamCaptureInvalidated)
        return (self._new("graph", recorded),)

    @simulated
    def cudaGraphInstantiate(self, graph: int, flags: int) -> Answer:
        return (self._new("executable", list(self._objects[graph][1])),)

    @simulated
    def cudaGraphDestroy(self, graph: int) -> Answer:
        del self._objects[graph]
        return ()

    @simulated
    def cudaGraphLaunch(self, executable: int, stream: Stream) -> Answer:
        for work in self._objects[executable][1]:
            self.put(stream.handle, work)
        return ()

    @simulated
    def cudaGraphExecDestroy(self, executable: int) -> Answer:
        del self._objects[executable]
        return ()

    def _current(self) -> int:
        return int(getattr(self._thread, "device", 0))

    def _new(self, kind: str, content: Any) -> int:
        handle = next(self._handles)
        self._objects[handle] = (kind, content)
        return handle

    def _allocate(self, kind: str, size: int) -> Block:
        content = np.full(size, POISON, np.uint8)
        address = content.ctypes.data if kind != "device" else next(self._device_addresses)
        device_address = None if kind in ("pinned", "mapped") else address
        self.blocks.append(Block(kind, content, address, device_address))
        return self.blocks[-1]

    def _block(self, address: int, *kinds: str) -> Block:
        for block in self.blocks:
            if block.address == address and block.kind in kinds:
                return block
        raise DeviceError(Status.cudaErrorInvalidValue)

    def _stream(self, handle: int, *, anywhere: bool = False) -> Stream:
        kind, stream = self._objects.get(handle, ("", None))
        if kind != "stream" or not (anywhere or stream.device == self._current()):
            raise DeviceError(Status.cudaErrorInvalidResourceHandle)
        assert isinstance(stream, Stream)
        return stream

    def _run(self, stream: Stream, mark: int) -> None:
        if stream.recording is not None:
            stream.spoilt = True
            raise DeviceError(Status.cudaErrorStreamCaptureUnsupported)
        while stream.given - len(stream.work) < mark:
            try:
                stream.work.popleft()()
            except DeviceError as error:
                self.lost = error.status
                raise

    def _spoil_recordings(self) -> None:
        for _, stream in self._objects.values():
            if isinstance(stream, Stream) and stream.recording is not None:
                stream.spoilt = True
                raise DeviceError(Status.cudaErrorStreamCaptureUnsupported)
