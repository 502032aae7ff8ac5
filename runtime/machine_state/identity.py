"""What a machine is: its model, its release of Jetson Linux, and the power mode that nvpmodel has set."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.runtime.machine_state.system_files import SystemFiles

MODEL = "proc/device-tree/model"
PRODUCT = "sys/class/dmi/id/product_name"
CPU_INFO = "proc/cpuinfo"
TEGRA_RELEASE = "etc/nv_tegra_release"
POWER_STATUS = "var/lib/nvpmodel/status"
POWER_MODES = "etc/nvpmodel.conf"
_RELEASE = re.compile(r"R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)")
_MODE = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>")
_STATUS = re.compile(r"pmode:\s*(\d+)")
_CPU_MODEL = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)


def l4t_release(text: str | None) -> str | None:
    """Release of Jetson Linux, such as `36.4.3`, of the text of `/etc/nv_tegra_release`."""
    found = _RELEASE.search(text or "")
    return f"{found[1]}.{found[2]}" if found else None


def power_mode_number(status: str | None) -> int | None:
    """Of the text of nvpmodel's status file."""
    found = _STATUS.search(status or "")
    return int(found[1]) if found else None


def power_mode_name(number: int, config: str | None) -> str | None:
    """What nvpmodel's configuration calls a mode."""
    return dict(_MODE.findall(config or "")).get(str(number))


def machine_model(files: SystemFiles) -> str | None:
    """The board by its device tree, else the product by its firmware, else the processor."""
    told = files.text(MODEL) or files.text(PRODUCT)
    if told is not None:
        return told.splitlines()[0].strip()
    processor = _CPU_MODEL.search(files.text(CPU_INFO) or "")
    if processor is None:
        files.note(f"model: neither /{MODEL} nor /{PRODUCT} tells it")
    return processor[1].strip() if processor else None


def jetson_linux(files: SystemFiles) -> str | None:
    """`Jetson Linux 36.4.3`; None on another system, which is worth no note."""
    told = files.text(TEGRA_RELEASE)
    release = l4t_release(told)
    if told is not None and release is None:
        files.note(f"jetpack: /{TEGRA_RELEASE} names no release")
    return f"Jetson Linux {release}" if release else None


def power_mode(files: SystemFiles) -> str | None:
    """`0 MAXN`, or the number alone where the configuration does not name it."""
    number = power_mode_number(files.text(POWER_STATUS))
    if number is None:
        files.note(f"power mode: /{POWER_STATUS} cannot be read or names none")
        return None
    name = power_mode_name(number, files.text(POWER_MODES))
    if name is None:
        files.note(f"power mode: /{POWER_MODES} does not name mode {number}")
    return f"{number} {name}" if name else str(number)
