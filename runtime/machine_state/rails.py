"""Finds what tells the power of this machine's supply rails."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from edge.runtime.machine_state.hwmon_rails import HwmonRails
from edge.runtime.machine_state.tegrastats import TegrastatsRails

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.machine_state.rail_reader import RailReader


def open_rails(root: Path = Path("/"), *, program: Callable[[str], str | None] = shutil.which) -> RailReader | None:
    """The reader that works here: sensors under hwmon, else NVIDIA's tegrastats where it is installed.

    Args:
        root: Below which the system's files are; tegrastats tells of the machine itself, so it is left alone for
            another root.
        program: Finds a program by its name.

    Returns:
        None where neither tells a rail.
    """
    sensors = HwmonRails(root)
    if sensors.read():
        return sensors
    if root != Path("/") or (path := program("tegrastats")) is None:
        return None
    spoken = TegrastatsRails([path])
    if spoken.read():
        return spoken
    spoken.close()
    return None
