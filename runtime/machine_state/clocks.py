"""Clock domains: the processor's frequency policies, what devfreq scales (GPU, DLA, memory), and the memory's clock.

Kernel interfaces: Documentation/admin-guide/pm/cpufreq.rst (kHz) and ABI/testing/sysfs-class-devfreq (Hz). On Orin
the memory's clock is only told by the firmware's debugfs; on Thor by a devfreq device of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge.runtime.machine_state.core_lists import format_cores, parse_cores
from edge.runtime.machine_state.state import ClockState

if TYPE_CHECKING:
    from pathlib import Path

    from edge.runtime.machine_state.system_files import SystemFiles

POLICIES = "sys/devices/system/cpu/cpufreq/policy*"
DEVICES = "sys/class/devfreq/*"
FIRMWARE_MEMORY = "sys/kernel/debug/bpmp/debug/clk/emc"
KHZ, HZ = 1e-3, 1e-6  # to MHz
# Integrated GPUs of Xavier and Orin have one clock, Thor's has one for graphics and one for the rest of it.
_GPU = re.compile(r"^[0-9a-f]+\.(gpu|ga10b|gv11b|gp10b|gm20b)$")
_MEMORY = re.compile(r"^(bwmgr|emc|[0-9a-f]+\.(emc|external-memory-controller))$")


def clock_states(files: SystemFiles, *, is_jetson: bool) -> tuple[ClockState, ...]:
    """Every domain, in a fixed order; only a Jetson owes the memory's clock."""
    found = [*_processors(files), *_devices(files)]
    if is_jetson and not any(clock.name == "emc" for clock in found):
        found += _firmware_memory(files)
    return tuple(found)


def _processors(files: SystemFiles) -> list[ClockState]:
    policies = files.found(POLICIES)
    if not policies:
        files.note("clocks: the kernel shows no frequency policy of the processor")
    return [_processor(files, policy) for policy in policies]


def _processor(files: SystemFiles, policy: Path) -> ClockState:
    cores = parse_cores(files.text(policy / "related_cpus") or "")
    name = f"cpu{format_cores(cores)}" if cores else policy.name
    return ClockState(
        name=name,
        now_mhz=files.number(policy / "scaling_cur_freq", name, scale=KHZ),
        least_mhz=files.number(policy / "scaling_min_freq", name, scale=KHZ),
        most_mhz=files.number(policy / "scaling_max_freq", name, scale=KHZ),
        governor=_governor(files, policy / "scaling_governor", name),
    )


def _devices(files: SystemFiles) -> list[ClockState]:
    return [_device(files, device) for device in files.found(DEVICES)]


def _device(files: SystemFiles, device: Path) -> ClockState:
    name = "gpu" if _GPU.match(device.name) else "emc" if _MEMORY.match(device.name) else device.name
    return ClockState(
        name=name,
        now_mhz=files.number(device / "cur_freq", name, scale=HZ),
        least_mhz=files.number(device / "min_freq", name, scale=HZ),
        most_mhz=files.number(device / "max_freq", name, scale=HZ),
        governor=_governor(files, device / "governor", name),
    )


def _firmware_memory(files: SystemFiles) -> list[ClockState]:
    now = files.number(files.root / FIRMWARE_MEMORY / "rate", "emc", scale=HZ)
    return [] if now is None else [ClockState(name="emc", now_mhz=now)]


def _governor(files: SystemFiles, path: Path, name: str) -> str | None:
    told = files.text(path)
    if told is None:
        files.note(f"{name}: {path.name} does not tell who picks the speed")
    return told.splitlines()[0].strip() if told else None
