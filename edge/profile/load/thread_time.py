"""Processor time of one thread of this process."""

from __future__ import annotations

import time


def thread_cpu_ns(thread: int) -> int | None:
    """Processor time that a thread has taken so far; None where it has ended or the system does not tell.

    The clock's number is made as the kernel's ABI has it, and as pthread_getcpuclockid(3) makes it.

    Args:
        thread: As the kernel numbers it.
    """
    try:
        return time.clock_gettime_ns((~thread << 3) | 6)
    except OSError:
        return None
