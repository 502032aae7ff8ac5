"""A process that only sleeps, and notes how late the host wakes it: what no runtime can do anything about.

It is a process of its own, so that neither the interpreter's lock nor the runtime's threads delay it.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from edge.runtime.clock import NS_PER_MS

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_PROGRAM = """
import sys, time
step, least = 2_000_000, 1_000_000
with open(sys.argv[1], "w", buffering=1) as out:
    at = time.monotonic_ns()
    while True:
        at += step
        time.sleep(max(0, at - time.monotonic_ns()) / 1e9)
        late = time.monotonic_ns() - at
        if late > least:
            out.write(f"{at} {late}\\n")
            at += late // step * step
"""


class Bystander:
    """Notes the host's delays while it is open; a context manager.

    Args:
        folder: For its notes.
    """

    def __init__(self, folder: Path) -> None:
        self._notes = folder / "host_delays.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self.delays: list[tuple[int, int]] = []

    def __enter__(self) -> Bystander:
        self._process = subprocess.Popen([sys.executable, "-S", "-c", _PROGRAM, str(self._notes)])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        lines = self._notes.read_text().splitlines()
        self.delays = [(int(at), int(late)) for at, _, late in (line.partition(" ") for line in lines) if late]

    @property
    def latest_ms(self) -> float:
        """The longest that it was woken too late."""
        return max((late for _, late in self.delays), default=0) / NS_PER_MS

    def delay_ms(self, begin_ns: int, end_ns: int) -> float:
        """The longest of its delays that lay, at least in part, between two instants."""
        return max((late for at, late in self.delays if at <= end_ns and at + late >= begin_ns), default=0) / NS_PER_MS
