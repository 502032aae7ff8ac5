"""Memory, descriptors and threads of this process over time."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import time
from array import array
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge.runtime.byte_sizes import MIB
from edge.runtime.memory_budget import resident_bytes

_PATIENCE_S = 5.0
_MALLINFO2 = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class AtRest(NamedTuple):
    """What this process holds while nothing runs.

    What is allocated is told beside resident memory, which only follows it: that also holds what is free.

    Attributes:
        descriptors: Open files; the one that lists them is not counted.
        threads: All, libraries' own included.
        native_bytes: Allocated by malloc(3), in all arenas: arrays, the core, ONNX Runtime. None before glibc 2.33.
        python_blocks: Pieces given out by Python's own allocator, about one an object.
    """

    descriptors: int
    threads: int
    native_bytes: int | None
    python_blocks: int


def at_rest(threads: int | None = None) -> AtRest:
    """What is held now, once garbage is gone.

    Args:
        threads: How many are expected: one that was joined is still listed for a moment.
    """
    gc.collect()
    until = time.monotonic() + _PATIENCE_S
    while (running := _entries("/proc/self/task")) != threads and threads is not None and time.monotonic() < until:
        time.sleep(0.01)
    return AtRest(_entries("/proc/self/fd") - 1, running, _native_bytes(), sys.getallocatedblocks())


def growth_by_life(values: list[int]) -> float:
    """Least squares over the second half of the lives: by how much each left more than the one before."""
    late = values[len(values) // 2 :]
    return float(np.polyfit(range(len(late)), late, 1)[0]) if len(late) > 1 else 0.0


def waited_for_cpu_ns() -> int:
    """For how long, in total, the threads that live now were ready to run but had no CPU (schedstat, proc(5)).

    Other processes cause that, and our own threads among each other. 0 where the kernel does not tell.
    """
    total = 0
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # the thread has just ended
            total += int((task / "schedstat").read_text().split()[1])
    return total


class MemoryCurve:
    """Resident memory over time, one sample a second or so."""

    def __init__(self) -> None:
        self._begun_s = time.monotonic()
        self._seconds, self._mebibytes = array("d"), array("d")

    def sample(self) -> None:
        """Takes note of what is resident now."""
        self._seconds.append(time.monotonic() - self._begun_s)
        self._mebibytes.append(resident_bytes() / MIB)

    def around_mib(self, share: float) -> float:
        """Median of the tenth of the samples around a share of the time."""
        n = len(self._mebibytes)
        width, middle = max(1, n // 20), round(share * (n - 1))
        return float(np.median(self._mebibytes[max(0, middle - width) : middle + width + 1]))

    def slope_mib_per_min(self) -> float:
        """Least squares over the samples of the second half."""
        begin = len(self._seconds) // 2
        return float(np.polyfit(self._seconds[begin:], self._mebibytes[begin:], 1)[0]) * 60

    def to_json(self) -> list[list[float]]:
        """`[seconds, MiB]` of every sample."""
        return [[round(s, 1), round(m, 2)] for s, m in zip(self._seconds, self._mebibytes, strict=True)]


class _MallInfo2(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_size_t) for name in _MALLINFO2.split())


def _native_bytes() -> int | None:
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None:
        return None
    ask.restype = _MallInfo2
    found = ask()
    return int(found.uordblks + found.hblkhd)


def _entries(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())
