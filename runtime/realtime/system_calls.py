"""The kernel's calls for threads and memory, in one place, so that a test can put a kernel there that refuses."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import sys
from pathlib import Path
from typing import Protocol

from edge.runtime.errors import ConfigError

# <sys/mman.h> of Linux; mlockall(2). Locking on first use spares the memory of address space that is never touched.
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
CAP_IPC_LOCK = 14  # <linux/capability.h>
_CAPABILITIES = re.compile(r"^CapEff:\s*([0-9a-f]+)$", re.MULTILINE)


class SchedulerCalls(Protocol):
    """What is asked of the kernel. `thread` is a native id; 0 is the calling thread."""

    def usable_cores(self) -> frozenset[int]:
        """Those that the calling thread may run on."""

    def set_fifo(self, thread: int, priority: int) -> None:
        """SCHED_FIFO; OSError where it is not permitted."""

    def set_niceness(self, thread: int, niceness: int) -> None:
        """Of one thread, as Linux has it; OSError where it is not permitted."""

    def set_cores(self, thread: int, cores: frozenset[int]) -> None:
        """Affinity; OSError where none of them may be used."""

    def threads_named(self, name: str) -> list[int]:
        """Native ids of this process's threads with a name."""

    def may_lock_memory(self) -> bool:
        """Whether all that the process will ever map may be locked."""

    def lock_memory(self) -> None:
        """Locks pages from their first use on; OSError where that fails."""

    def unlock_memory(self) -> None:
        """Undoes it."""


class LinuxCalls:
    """This process's kernel.

    Raises:
        ConfigError: It is not Linux.
    """

    def __init__(self) -> None:
        if not sys.platform.startswith("linux"):
            raise ConfigError(f"real-time settings are for Linux, this is {sys.platform}", "leave them out")

    def usable_cores(self) -> frozenset[int]:
        """By the affinity of the calling thread."""
        return frozenset(os.sched_getaffinity(0))

    def set_fifo(self, thread: int, priority: int) -> None:
        """sched_setscheduler(2)."""
        os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(priority))

    def set_niceness(self, thread: int, niceness: int) -> None:
        """setpriority(2), whose "process" is one thread on Linux."""
        os.setpriority(os.PRIO_PROCESS, thread, niceness)

    def set_cores(self, thread: int, cores: frozenset[int]) -> None:
        """sched_setaffinity(2)."""
        os.sched_setaffinity(thread, cores)

    def threads_named(self, name: str) -> list[int]:
        """By `/proc/self/task`."""
        found = []
        for task in Path("/proc/self/task").iterdir():
            try:
                if (task / "comm").read_text(encoding="utf-8", errors="replace").strip() == name:
                    found.append(int(task.name))
            except OSError:  # it has just ended
                continue
        return sorted(found)

    def may_lock_memory(self) -> bool:
        """By the capability or the limit. A lower limit would make allocations fail in the middle of a run."""
        if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
            return True
        told = _CAPABILITIES.search(Path("/proc/self/status").read_text(encoding="utf-8"))
        return told is not None and bool(int(told[1], 16) >> CAP_IPC_LOCK & 1)

    def lock_memory(self) -> None:
        """mlockall(2)."""
        self._checked(ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))

    def unlock_memory(self) -> None:
        """munlockall(2)."""
        self._checked(ctypes.CDLL(None, use_errno=True).munlockall())

    @staticmethod
    def _checked(result: int) -> None:
        if result:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
