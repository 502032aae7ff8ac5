"""What a live run asks of the scheduler: which priority, which cores, how many threads, and memory that stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge.runtime.errors import ConfigError
from edge.runtime.machine_state.core_lists import format_cores

if TYPE_CHECKING:
    from collections.abc import Collection


class RealtimeConfig(BaseModel):
    """Settings of the threads that match and run the model; nothing is set by default.

    Attributes:
        priority: 1 to 99 of SCHED_FIFO, which runs before everything without one; None leaves the scheduler's class.
        niceness: -20 to 19 within the ordinary class, where no priority is given.
        cores: That the inference thread and the engine's own threads may run on; all but `capture_cores` by default.
        capture_cores: Left to what captures and to the system: neither the model nor the engine runs there, and the
            thread that matches runs nowhere else.
        lock_memory: Keep the process's pages in memory from their first use on (`mlockall`).
        switch_interval_ms: After how long a thread that computes in Python hands the interpreter's lock to one that
            waits for it, such as inference, whatever the priorities are; Python's own is 5. None leaves it.
        engine_threads: Of the engine on the CPU; None for as many as there are cores for it.
        required: Refuse to run where something is not permitted; otherwise that is logged and stands in the report.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    priority: int | None = Field(None, ge=1, le=99)
    niceness: int | None = Field(None, ge=-20, le=19)
    cores: tuple[int, ...] = ()
    capture_cores: tuple[int, ...] = ()
    lock_memory: bool = False
    switch_interval_ms: float | None = Field(None, ge=0.01, le=1000)
    engine_threads: int | None = Field(None, ge=1)
    required: bool = True

    @field_validator("cores", "capture_cores")
    @classmethod
    def _are_cores(cls, cores: tuple[int, ...]) -> tuple[int, ...]:
        if any(core < 0 for core in cores) or len(set(cores)) < len(cores):
            raise ValueError("name each core once, by its number from 0 on")
        return tuple(sorted(cores))

    @model_validator(mode="after")
    def _agree(self) -> RealtimeConfig:
        if self.priority is not None and self.niceness is not None:
            raise ValueError("a thread with a priority has no niceness: give one of both")
        shared = set(self.cores) & set(self.capture_cores)
        if shared:
            raise ValueError(f"core {format_cores(shared)} is both the model's and left to capture")
        return self

    @property
    def sets_threads(self) -> bool:
        """Whether there is anything to set on a thread."""
        return self.priority is not None or self.niceness is not None or bool(self.cores or self.capture_cores)

    def model_cores(self, usable: Collection[int]) -> tuple[int, ...]:
        """The cores for inference and engine, of those that the process may use.

        Raises:
            ConfigError: A core is named that the process may not use, or none is left for the model.
        """
        absent = sorted({*self.cores, *self.capture_cores} - set(usable))
        if absent:
            raise ConfigError(
                f"core {format_cores(absent)} is none of those that this process may use ({format_cores(usable)})",
                "name others, or start it with another affinity (taskset, cgroup)",
            )
        left = tuple(sorted(set(self.cores or usable) - set(self.capture_cores)))
        if not left:
            raise ConfigError("all cores are left to capture, none to the model", "leave fewer --capture-cores")
        return left

    def threads_of_engine(self, usable: Collection[int]) -> int:
        """How many threads the engine gets: as many as it has cores, at least one, or as given.

        Raises:
            ConfigError: As `model_cores`.
        """
        return self.engine_threads or threads_beside_capture(self.model_cores(usable), ())


def threads_beside_capture(usable: Collection[int], capture: Collection[int]) -> int:
    """How many threads an engine may have so that every core of capture stays free; at least one."""
    return max(1, len(set(usable) - set(capture)))
