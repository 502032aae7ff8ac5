"""Rails as NVIDIA's tegrastats prints them, for a system whose sensors cannot be read.

A line of it holds, among much else, `VDD_IN 4943mW/4943mW`: now, and the mean since it was started. Jetson Linux
Developer Guide, "tegrastats Utility".
"""

from __future__ import annotations

import re
import subprocess
import threading
from typing import TYPE_CHECKING

from edge.runtime.machine_state.rail_reader import RailReader
from edge.runtime.machine_state.state import RailState

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERVAL_MS = 100
PATIENCE_S = 3.0
_RAIL = re.compile(r"(?<!\S)([A-Z][A-Z0-9_]*) (-?\d+)(?:mW)?/(-?\d+)(?:mW)?(?!\S)")


def parse_tegrastats(line: str) -> tuple[tuple[RailState, ...], tuple[str, ...]]:
    """Rails of a line, and a line on each that cannot be: some sensors say less than nothing when they idle.

    Releases before 32 write no unit: `VDD_IN 4943/4943`; memory, as `RAM 1/2MB`, is none.
    """
    found, missing = [], []
    for name, now, _mean in _RAIL.findall(line):
        if int(now) < 0:
            missing.append(f"rail {name}: tegrastats says {now} mW, which cannot be")
        else:
            found.append(RailState(name=name, milliwatts=float(now)))
    return tuple(found), tuple(missing)


class TegrastatsRails(RailReader):
    """Keeps a tegrastats running and knows its latest line.

    Args:
        command: The program, with arguments before those of its interval.
    """

    source = "tegrastats"

    def __init__(self, command: Sequence[str]) -> None:
        self._command = [*command, "--interval", str(INTERVAL_MS)]
        self._process: subprocess.Popen[str] | None = None
        self._line = ""
        self._told = threading.Condition()
        self._ended = False
        self.missing: list[str] = []

    def read(self) -> tuple[RailState, ...]:
        """Rails of the next line that it prints; none where it does not start or stays silent."""
        if self._process is None and not self._has_started():
            return ()
        with self._told:
            self._line = ""
            if not self._told.wait_for(lambda: bool(self._line) or self._ended, PATIENCE_S) or not self._line:
                self._note("rails: tegrastats prints nothing")
                return ()
            rails, missing = parse_tegrastats(self._line)
        for line in missing:
            self._note(line)
        return rails

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _has_started(self) -> bool:
        if self._ended:
            return False
        try:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
            )
        except OSError as error:
            self._ended = True
            self._note(f"rails: tegrastats does not start ({error.strerror})")
            return False
        threading.Thread(target=self._listen, args=(self._process,), name="edge-tegrastats", daemon=True).start()
        return True

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                with self._told:
                    self._line = line
                    self._told.notify_all()
        with self._told:
            self._ended = True
            self._told.notify_all()

    def _note(self, line: str) -> None:
        if line not in self.missing:
            self.missing.append(line)
