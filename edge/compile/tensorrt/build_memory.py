"""Memory of a build: computed before it starts, since a board that runs out takes minutes to say so; measured after."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge.runtime.byte_sizes import mebibytes
from edge.runtime.errors import ConfigError, ModelError
from edge.runtime.memory_budget import MemoryItem, MemoryPlan, resident_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_MEMORY_INFO = Path("/proc/meminfo")
# Assumed, not measured on a board: with lazy loading CUDA and TensorRT take some hundred MiB.
RESERVE_BYTES = 1 << 30
MOST_WORKSPACE_BYTES = 2 << 30
_FP32 = 4
_RESET_PEAK = "5"  # proc(5): resets the peak of the resident set


class _Sized(Protocol):
    """A layer that says how many values it holds, reads and writes."""

    @property
    def weights(self) -> int: ...

    @property
    def reads(self) -> int: ...

    @property
    def writes(self) -> int: ...


@dataclass(slots=True)
class PeakWatch:
    """What a block of code needed at its highest.

    Attributes:
        bytes: Growth of the process; None while it runs, and where the system does not tell.
    """

    bytes: int | None = None


@contextmanager
def peak_watch() -> Iterator[PeakWatch]:
    """Measures how much the process grows at its highest while the body runs."""
    watch, before = PeakWatch(), _reset_peak()
    try:
        yield watch
    finally:
        highest = _kib_line(_STATUS, "VmHWM")
        if before is not None and highest is not None:
            watch.bytes = max(0, highest - before)


def _reset_peak() -> int | None:
    """Begins a new peak; what the process holds now, or None where the system does not allow it."""
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")
        return resident_bytes()
    except (OSError, ConfigError):
        return None


def _kib_line(path: Path, key: str) -> int | None:
    """Bytes of a line such as `MemAvailable:  123 kB`; None where there is none."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{key}:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None


@dataclass(frozen=True, slots=True)
class BuildSizes:
    """What of a network decides how much memory its build takes.

    Attributes:
        file: Bytes of the ONNX file.
        weights: Values of all constants.
        largest: Values that the largest layer reads and writes, its weights included.
    """

    file: int
    weights: int
    largest: int

    @classmethod
    def of_layers(cls, layers: Sequence[_Sized], file: int) -> BuildSizes:
        """From layers that say what they hold, read and write."""
        weights = sum(layer.weights for layer in layers)
        return cls(file, weights, max((x.weights + x.reads + x.writes for x in layers), default=0))


def workspace_bytes(memory_gib: float) -> int:
    """Bound of TensorRT's workspace that suits a machine: an eighth of its memory, 2 GiB at the most."""
    return min(int(memory_gib * (1 << 30) / 8), MOST_WORKSPACE_BYTES)


def plan_build_memory(sizes: BuildSizes, workspace: int, reserve: int = RESERVE_BYTES) -> MemoryPlan:
    """An upper bound, part by part; where memory is shared with the GPU, all of it comes out of the same.

    Args:
        sizes: Of the network.
        workspace: Bound of TensorRT's temporaries, in bytes.
        reserve: For the CUDA context and TensorRT's libraries.
    """
    return MemoryPlan(
        (
            MemoryItem("CUDA context and TensorRT's libraries, assumed", reserve),
            MemoryItem("the ONNX file, ours and the parser's", 2 * sizes.file),
            MemoryItem("weights, of the network and of the engine, at FP32", 2 * _FP32 * sizes.weights),
            MemoryItem("the largest layer while it is timed, twice", 2 * _FP32 * sizes.largest),
            MemoryItem("workspace", workspace),
        )
    )


def check_build_memory(plan: MemoryPlan, available: int | None = None) -> None:
    """Refuses a build that may not fit, instead of having the system end it after minutes.

    Args:
        plan: What it may take.
        available: What there is; by default what the system says.

    Raises:
        ModelError: The plan is larger.
    """
    free = available_bytes() if available is None else available
    if free is not None and plan.total > free:
        largest = max(plan.items, key=lambda item: item.bytes)
        raise ModelError(
            f"the build may take {mebibytes(plan.total)}, {mebibytes(free)} are free; the largest part is "
            f"{largest.what} with {mebibytes(largest.bytes)}",
            "lower --workspace, or stop the desktop (sudo systemctl isolate multi-user.target) and other programs",
        )


def available_bytes(path: Path = _MEMORY_INFO) -> int | None:
    """Memory that can be had without swapping (`MemAvailable`, proc(5)); None where the system does not tell."""
    return _kib_line(path, "MemAvailable")
