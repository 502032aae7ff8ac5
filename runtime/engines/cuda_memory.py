"""Where an engine's tensors lie: allocated once, seen by the CPU and by the GPU, copied only where they must be.

`pinned`: memory of the CPU that stays in place, memory of the GPU, and copies between; right for cards with memory of
their own. `mapped`: the same memory of the CPU, which the GPU reads and writes in place, without copies; right where
both share one memory, as on a Jetson. `unified`: managed memory, moved or shared by the driver. On Tegra the GPU does
not cache pinned memory but does cache managed memory (NVIDIA, CUDA for Tegra, "Memory Management"), so which of the
two is quicker there depends on how often a layer reads its input: measure it on the board.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from edge.runtime.byte_sizes import mebibytes
from edge.runtime.engines.cuda_runtime import checked, released
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from contextlib import ExitStack

    from numpy.typing import NDArray

    from edge.runtime.engines.cuda_runtime import CudaDevice
    from edge.runtime.engines.cuda_stream import CudaStream
    from edge.runtime.engines.engine_tensors import EngineTensor

MemoryKind = Literal["pinned", "mapped", "unified"]
MemoryChoice = Literal["auto", "pinned", "mapped", "unified"]


class Placement(NamedTuple):
    """A kind of memory, and why that one."""

    kind: MemoryKind
    reason: str


def choose_memory(wanted: MemoryChoice, device: CudaDevice, auxiliary_streams: int = 0) -> Placement:
    """Settles where tensors lie.

    Args:
        wanted: What the user asks for; `auto` looks at the device.
        device: Decides, and bounds what can be had.
        auxiliary_streams: Further streams that the engine runs its layers on.

    Raises:
        ConfigError: The device does not have what is asked for.
    """
    if wanted == "auto":
        if device.integrated and device.maps_host_memory:
            return Placement("mapped", "CPU and GPU share one memory, so nothing is copied")
        return Placement("pinned", "the GPU has memory of its own, so tensors are copied")
    if wanted == "mapped" and not device.maps_host_memory:
        raise ConfigError("this device does not read the CPU's memory in place", "use the memory 'pinned'")
    if wanted == "unified" and auxiliary_streams and not device.shares_managed_memory:
        raise ConfigError(
            f"the engine computes on {auxiliary_streams} streams beside its own, and this device keeps managed memory "
            "to one stream",
            "use the memory 'mapped', or build the engine without auxiliary streams",
        )
    return Placement(wanted, "asked for")


@dataclass(frozen=True, slots=True)
class TensorBuffer:
    """The memory of one tensor.

    Attributes:
        tensor: What lies in it.
        host: The CPU's view of it, of the tensor's type and shape; valid until the memory is given back.
        host_address: Where the CPU finds it.
        device_address: Where the GPU finds it.
    """

    tensor: EngineTensor
    host: NDArray[Any]
    host_address: int
    device_address: int

    def transfer(self, cudart: Any, stream: CudaStream) -> None:
        """Puts the copy of an input to the GPU, or of an output back, into the stream."""
        kinds, name = cudart.cudaMemcpyKind, self.tensor.name
        to, source, kind = self.device_address, self.host_address, kinds.cudaMemcpyHostToDevice
        if not self.tensor.is_input:
            to, source, kind = source, to, kinds.cudaMemcpyDeviceToHost
        answer = cudart.cudaMemcpyAsync(to, source, self.tensor.nbytes, kind, stream.handle)
        checked(cudart, answer, f"copy tensor '{name}'")


class TensorMemory:
    """Allocates the tensors of an engine.

    Args:
        cudart: The CUDA runtime.
        kind: Of the memory.
        device: On which the engine runs.
        stream: The engine's.
        resources: Takes over to give the memory back.

    Attributes:
        copies: Whether tensors must be copied before and after each inference.
    """

    def __init__(
        self, cudart: Any, kind: MemoryKind, device: CudaDevice, stream: CudaStream, resources: ExitStack
    ) -> None:
        self._cudart, self._kind, self._device = cudart, kind, device
        self._stream, self._resources = stream, resources
        self.copies = kind == "pinned"

    def allocate(self, tensor: EngineTensor) -> TensorBuffer:
        """Memory for one tensor, zero at first.

        Raises:
            ModelError: The device has too little.
        """
        size = max(1, tensor.nbytes)
        if self._kind == "unified":
            host_address = device_address = self._managed(size, tensor.name)
        else:
            host_address = self._host(size, tensor.name)
            device_address = (self._mapped if self._kind == "mapped" else self._own)(host_address, size, tensor.name)
        host = _view(host_address, tensor)
        host[...] = 0
        return TensorBuffer(tensor, host, host_address, device_address)

    def _host(self, size: int, name: str) -> int:
        cudart = self._cudart
        flags = cudart.cudaHostAllocMapped if self._kind == "mapped" else cudart.cudaHostAllocDefault
        answer = cudart.cudaHostAlloc(size, flags)
        address = int(checked(cudart, answer, f"pin {mebibytes(size)} of the CPU's memory for tensor '{name}'"))
        self._resources.callback(lambda: released(cudart, cudart.cudaFreeHost(address), "give pinned memory back"))
        return address

    def _mapped(self, host_address: int, _size: int, name: str) -> int:
        cudart = self._cudart
        answer = cudart.cudaHostGetDevicePointer(host_address, 0)
        return int(checked(cudart, answer, f"show the GPU the memory of tensor '{name}'"))

    def _own(self, _host_address: int, size: int, name: str) -> int:
        cudart = self._cudart
        answer = cudart.cudaMalloc(size)
        address = int(checked(cudart, answer, f"allocate {mebibytes(size)} of the GPU's memory for tensor '{name}'"))
        self._resources.callback(lambda: released(cudart, cudart.cudaFree(address), "give the GPU's memory back"))
        return address

    def _managed(self, size: int, name: str) -> int:
        """Where the CPU may not touch managed memory while any kernel runs, it is kept to the engine's stream."""
        cudart, stream = self._cudart, self._stream
        answer = cudart.cudaMallocManaged(size, cudart.cudaMemAttachGlobal)
        address = int(checked(cudart, answer, f"allocate {mebibytes(size)} of managed memory for tensor '{name}'"))
        self._resources.callback(lambda: released(cudart, cudart.cudaFree(address), "give managed memory back"))
        if not self._device.shares_managed_memory:
            answer = cudart.cudaStreamAttachMemAsync(stream.handle, address, 0, cudart.cudaMemAttachSingle)
            checked(cudart, answer, f"keep the memory of tensor '{name}' to the engine's stream")
            stream.wait()
        return address


def _view(address: int, tensor: EngineTensor) -> NDArray[Any]:
    raw = (ctypes.c_uint8 * tensor.nbytes).from_address(address)
    view: NDArray[Any] = np.ndarray(tensor.shape, tensor.dtype, buffer=memoryview(raw))
    return view
