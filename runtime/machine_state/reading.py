"""Reads the state of a machine from what its kernel shows: nothing is started, changed or allocated on a device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from edge.runtime.environment import thread_variables
from edge.runtime.machine_state.clocks import clock_states
from edge.runtime.machine_state.core_lists import parse_cores
from edge.runtime.machine_state.heat import temperatures, throttle_counts, throttle_limits, throttling_now
from edge.runtime.machine_state.hwmon_rails import HwmonRails
from edge.runtime.machine_state.identity import jetson_linux, machine_model, power_mode
from edge.runtime.machine_state.rails import open_rails
from edge.runtime.machine_state.state import MachineState
from edge.runtime.machine_state.system_files import SystemFiles, as_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.runtime.machine_state.state import RailState

OWN_STATUS = "proc/self/status"
ONLINE = "sys/devices/system/cpu/online"
LOAD = "proc/loadavg"
_ALLOWED = re.compile(r"^Cpus_allowed_list:\s*(\S+)$", re.MULTILINE)


def read_machine_state(root: Path = Path("/"), threads: Mapping[str, int | str] | None = None) -> MachineState:
    """The state at this time; never raises: what cannot be read is None or absent, with a line in `missing`.

    It takes some milliseconds, most of it for rails, whose sensors are on a slow bus; where only tegrastats knows
    them, it runs for a tenth of a second. So it belongs before and after a measurement, never inside.

    Args:
        root: Below which the system's files are.
        threads: Counts that the caller set, such as those of `OnnxRuntimeEngine.thread_settings`; beside them stand
            the environment's variables.
    """
    files = SystemFiles(root)
    model, release = machine_model(files), jetson_linux(files)
    is_jetson = release is not None or "jetson" in (model or "").lower()
    clocks = clock_states(files, is_jetson=is_jetson)
    rails, source = _rails(files)
    return MachineState(
        model=model,
        jetpack=release,
        power_mode=power_mode(files) if is_jetson else None,
        clocks=clocks,
        temperatures_c=temperatures(files),
        limits_c=throttle_limits(files),
        throttling=throttling_now(files),
        throttled=throttle_counts(files),
        rails=rails,
        source=source,
        cores=_cores(files),
        threads={**thread_variables(), **(threads or {})},
        load=_load(files),
        missing=tuple(files.missing),
    )


def _rails(files: SystemFiles) -> tuple[tuple[RailState, ...], str | None]:
    reader = open_rails(files.root)
    if reader is None:
        why = HwmonRails(files.root)
        why.read()
        files.missing += why.missing or ["rails: there is no power sensor under hwmon, and no tegrastats"]
        return (), None
    with reader:
        rails = reader.read()
        files.missing += reader.missing
    return rails, reader.source if rails else None


def _cores(files: SystemFiles) -> tuple[int, ...]:
    """What the process's main thread may run on; the kernel's list also names cores that are not there."""
    allowed = _ALLOWED.search(files.text(OWN_STATUS) or "")
    cores = parse_cores(allowed[1]) if allowed else ()
    if not cores:
        files.note(f"cores: /{OWN_STATUS} does not tell which the process may run on")
    online = parse_cores(files.text(ONLINE) or "")
    return tuple(core for core in cores if core in online) if online else cores


def _load(files: SystemFiles) -> float | None:
    told = (files.text(LOAD) or "").split()
    value = as_number(told[0]) if told else None
    if value is None or value < 0:
        files.note(f"load: /{LOAD} does not tell it")
        return None
    return value
