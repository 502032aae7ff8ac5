"""One CUDA stream: work goes in order, and one waits for all of it; its work can be recorded once and replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.runtime.engines.cuda_runtime import checked, released

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack


class CudaStream:
    """A stream of its own, beside the default one, on the thread's current device.

    Waiting sleeps until the device interrupts, unless it is told to spin: on a board the cores have other work.

    Args:
        cudart: The CUDA runtime.
        resources: Takes over to give the stream back.
        spin: Wait by asking again and again: some microseconds sooner, at the price of a core.

    Attributes:
        handle: For CUDA's calls; as an `int` for TensorRT's.

    Raises:
        ModelError: The device gives none.
    """

    def __init__(self, cudart: Any, resources: ExitStack, *, spin: bool = False) -> None:
        self._cudart = cudart
        self.handle = handle = checked(
            cudart, cudart.cudaStreamCreateWithFlags(cudart.cudaStreamNonBlocking), "make a stream"
        )
        resources.callback(lambda: released(cudart, cudart.cudaStreamDestroy(handle), "give a stream back"))
        flags = cudart.cudaEventDisableTiming | (0 if spin else cudart.cudaEventBlockingSync)
        self._done = done = checked(cudart, cudart.cudaEventCreateWithFlags(flags), "make an event")
        resources.callback(lambda: released(cudart, cudart.cudaEventDestroy(done), "give an event back"))

    def wait(self) -> None:
        """Returns when all work that was put in is done.

        Raises:
            ModelError: Some of it failed.
        """
        cudart = self._cudart
        checked(cudart, cudart.cudaEventRecord(self._done, self.handle), "mark the end of an inference")
        checked(cudart, cudart.cudaEventSynchronize(self._done), "finish the inference")

    def drain(self) -> None:
        """Waits after a failure, so that nothing of the device's writes later; never raises."""
        cudart = self._cudart
        released(cudart, cudart.cudaStreamSynchronize(self.handle), "finish what was begun")


class CudaGraph:
    """Work of a stream, recorded once and started by one call: the CPU no longer launches each kernel.

    Recording runs nothing. What is recorded keeps the addresses of its tensors, so these must stay where they are.

    Args:
        cudart: The CUDA runtime.
        stream: Its work is recorded.
        work: Puts the work in; must neither allocate nor wait.
        resources: Takes over to give the graph back.

    Raises:
        ModelError: The work cannot be recorded; the stream is usable again.
    """

    def __init__(self, cudart: Any, stream: CudaStream, work: Callable[[], None], resources: ExitStack) -> None:
        self._cudart, self._stream = cudart, stream
        graph = _record(cudart, stream, work)
        try:
            self._executable = executable = checked(
                cudart, cudart.cudaGraphInstantiate(graph, 0), "make a recorded graph executable"
            )
        finally:
            released(cudart, cudart.cudaGraphDestroy(graph), "give a recorded graph back")
        resources.callback(lambda: released(cudart, cudart.cudaGraphExecDestroy(executable), "give a graph back"))

    def launch(self) -> None:
        """Puts the recorded work into the stream.

        Raises:
            ModelError: The device refuses.
        """
        cudart = self._cudart
        checked(cudart, cudart.cudaGraphLaunch(self._executable, self._stream.handle), "start a recorded graph")


def _record(cudart: Any, stream: CudaStream, work: Callable[[], None]) -> Any:
    # Only this thread is kept from what would spoil the recording; others may go on allocating.
    mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
    checked(cudart, cudart.cudaStreamBeginCapture(stream.handle, mode), "begin to record a graph")
    try:
        work()
    except BaseException:
        _abandon(cudart, stream)
        raise
    return checked(cudart, cudart.cudaStreamEndCapture(stream.handle), "record a graph")


def _abandon(cudart: Any, stream: CudaStream) -> None:
    """Brings a stream back out of recording; that this reports the failure once more is of no interest."""
    status, graph = cudart.cudaStreamEndCapture(stream.handle)
    if status == cudart.cudaError_t.cudaSuccess and graph is not None:
        released(cudart, cudart.cudaGraphDestroy(graph), "give a recorded graph back")
    cudart.cudaGetLastError()
