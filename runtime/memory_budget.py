"""How much memory a run may take: every ring and buffer computed from the rig before anything flows.

A runtime that grows until the board's memory ends takes the other programs with it. Here nothing grows: frames are
adopted into slots whose number follows from rates, windows and the budget, and whose size follows from the sensors.
What cannot be computed, the process with its libraries and the engine, is measured once the engine has run.
"""

from __future__ import annotations

import math
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge.runtime.byte_sizes import mebibytes
from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.runtime.engines.base import Engine
    from edge.runtime.model_io import ModelIO
    from edge.runtime.rig import Rig, Stream

_POINT_BYTES = 4 * 4 + 4  # x, y, z, reflectance and the time of each point
_FLOAT_BYTES = 4
_CHARACTER_BYTES = 4  # of a text with one letter beyond the basic plane, however short it is in UTF-8
_ITEM_BYTES = {"float32": 4, "int64": 8}
# What engines that run on a device tell of themselves, and what that is for people.
_ON_DEVICE = {
    "device_memory_bytes": "temporaries of the engine, on the device",
    "buffer_bytes": "tensors of the engine, on the device and for it",
}


class Kept(NamedTuple):
    """How many samples of a stream may be alive at once.

    Attributes:
        samples: All of them.
        in_window: So many make one window of sound, or one series; 0 or 1 where neither is made.
    """

    samples: int
    in_window: int = 1


class MemoryItem(NamedTuple):
    """One buffer, or one kind of them.

    Attributes:
        what: For people.
        bytes: At most.
        measured: Whether it was measured and not computed.
    """

    what: str
    bytes: int
    measured: bool = False


class MemoryPlan(NamedTuple):
    """Everything that a run holds."""

    items: tuple[MemoryItem, ...]

    @property
    def total(self) -> int:
        """Bytes, all items together."""
        return sum(item.bytes for item in self.items)

    def check(self, limit: int) -> None:
        """Refuses a run that would not fit.

        Raises:
            ConfigError: The items add up to more than `limit` bytes; the message names the largest.
        """
        if self.total <= limit:
            return
        largest = max(self.items, key=lambda item: item.bytes)
        raise ConfigError(
            f"the run may take {mebibytes(self.total)}, the limit is {mebibytes(limit)}; the largest part is "
            f"{largest.what} with {mebibytes(largest.bytes)}",
            "raise the limit, or lower rates, sizes, max_points, max_age_ms or the budget in rig.yaml",
        )


def payload_bytes(stream: Stream) -> int:
    """The largest payload of one sample, as the rig declares it."""
    if stream.intrinsics is not None:
        return stream.intrinsics.width * stream.intrinsics.height * 3
    if stream.kind == "lidar":
        return stream.max_points * _POINT_BYTES
    if stream.sample_rate_hz is not None:
        return math.ceil(stream.sample_rate_hz / stream.rate_hz) * stream.channels * _FLOAT_BYTES
    if stream.kind == "text":
        return stream.max_text_bytes * _CHARACTER_BYTES
    return max(1, len(stream.fields)) * _FLOAT_BYTES


def plan_memory(rig: Rig, model_io: ModelIO, kept: Mapping[str, Kept], core_bytes: int = 0) -> MemoryPlan:
    """What a run over `rig` holds, beside the process itself.

    Args:
        rig: Sizes of the payloads.
        model_io: Shapes of the model's tensors.
        kept: Of each stream that takes part, how many samples may be alive at once.
        core_bytes: Rings, histories and sets of the core.
    """
    items = []
    for name, (samples, in_window) in kept.items():
        stream = rig.stream(name)
        each = payload_bytes(stream)
        items.append(MemoryItem(f"{name}: {samples} samples of {each:,} bytes", samples * each))
        if in_window > 1:
            what = "series" if stream.kind == "table" else "windows of sound"
            items.append(MemoryItem(f"{name}: {what}", 2 * in_window * each))  # cut, and contiguous
        if rig.deskew is not None and stream.kind == "lidar":
            items.append(MemoryItem(f"{name}: deskewed sweeps", 2 * each))  # the last one, and the next
    tensors = sum(math.prod(i.shape) * _ITEM_BYTES[i.dtype] for i in model_io.inputs if not hasattr(i, "streams"))
    items.append(MemoryItem("the model's input tensors", 2 * tensors))  # the engine may copy them
    items.append(MemoryItem("rings, histories and sets of the core", core_bytes))
    return MemoryPlan(tuple(items))


def with_engine(plan: MemoryPlan, engine: Engine) -> MemoryPlan:
    """Adds what an engine holds outside of the memory that is counted as the process's own, where it tells.

    A TensorRT engine has `device_memory_bytes` and `buffer_bytes`; one on the CPU has neither, and nothing is added. On
    a board all of it comes out of the one memory; beside a graphics card the plan is an upper bound. The engine's
    weights and CUDA's own needs are not in it.
    """
    told = {what: getattr(engine, name, None) for name, what in _ON_DEVICE.items()}
    return MemoryPlan((*plan.items, *(MemoryItem(what, size) for what, size in told.items() if size is not None)))


def with_process(plan: MemoryPlan) -> MemoryPlan:
    """Adds what the process holds now: call it when the engine is loaded and has run once.

    Raises:
        ConfigError: This system does not tell.
    """
    process = MemoryItem("the process with its libraries and the engine", resident_bytes(), measured=True)
    return MemoryPlan((process, *plan.items))


def peak_bytes() -> int:
    """The most memory that this process ever held in RAM (getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident_bytes() -> int:
    """Memory of this process that is in RAM now (`/proc/self/statm`, proc(5)).

    Raises:
        ConfigError: This system does not tell.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError) as error:
        raise ConfigError("this system does not tell how much memory a process takes", "run on Linux") from error
    return pages * os.sysconf("SC_PAGE_SIZE")
