"""Temperatures, the limits above which the kernel throttles, and what it holds back or has held back.

Kernel interfaces: Documentation/driver-api/thermal/sysfs-api.rst (millidegrees), x86's `thermal_throttle`, and the
counters of over-current events that Jetson Linux has under the hwmon device `soctherm_oc`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge.runtime.machine_state.system_files import as_number

if TYPE_CHECKING:
    from pathlib import Path

    from edge.runtime.machine_state.system_files import SystemFiles

ZONES = "sys/class/thermal/thermal_zone*"
COOLING = "sys/class/thermal/cooling_device*"
CORE_COUNTS = "sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count"
PACKAGE_COUNTS = "sys/devices/system/cpu/cpu*/thermal_throttle/package_throttle_count"
HWMON_NAMES = "sys/class/hwmon/hwmon*/name"
OVER_CURRENT = "soctherm_oc"
COLDEST_C = -55.0  # a sensor that is off says -256 degrees on Jetsons
# Fans cool and hold nothing back; an alert only says that the surface is hot, an offset is a setting.
_HARMLESS = re.compile(r"fan|hot-surface|tcc offset", re.IGNORECASE)


def temperatures(files: SystemFiles) -> dict[str, float]:
    """Degrees by zone; a zone that is switched off is noted as missing."""
    zones = files.found(ZONES)
    if not zones:
        files.note("temperatures: the kernel shows no thermal zone")
    found: dict[str, float] = {}
    for zone, name in _named(files, zones):
        value = files.number(zone / "temp", f"temperature of {name}", least=COLDEST_C * 1000)
        if value is not None:
            found[name] = value / 1000
    return found


def throttle_limits(files: SystemFiles) -> dict[str, float]:
    """By zone, the lowest temperature above which the kernel throttles."""
    found: dict[str, float] = {}
    for zone, name in _named(files, files.found(ZONES)):
        limits = [as_number(files.text(_temperature_of(kind)) or "") for kind in _passive_trips(files, zone)]
        told = [limit / 1000 for limit in limits if limit is not None and limit > 0]
        if told:
            found[name] = min(told)
    return found


def throttling_now(files: SystemFiles) -> tuple[str, ...]:
    """Cooling devices that hold something back, as `cpufreq-0 3 of 9`."""
    found = []
    for device in files.found(COOLING):
        kind = files.text(device / "type") or device.name
        state, most = (as_number(files.text(device / name) or "") for name in ("cur_state", "max_state"))
        if _HARMLESS.search(kind):
            continue
        if state is None:
            files.note(f"throttling by {kind}: cur_state does not tell it")
        elif state > 0:
            found.append(f"{kind} {state:.0f}" + (f" of {most:.0f}" if most is not None else ""))
    return tuple(found)


def throttle_counts(files: SystemFiles) -> dict[str, int]:
    """Since the machine booted: of all cores, of the package that counted most, of each over-current alarm."""
    found: dict[str, int] = {}
    cores = _counts(files, files.found(CORE_COUNTS))
    packages = _counts(files, files.found(PACKAGE_COUNTS))
    if cores:
        found["cores"] = sum(cores)
    if packages:
        found["package"] = max(packages)
    for name in files.found(HWMON_NAMES):
        if files.text(name) == OVER_CURRENT:
            found |= _over_current(files, name.parent)
    return found


def _named(files: SystemFiles, zones: list[Path]) -> list[tuple[Path, str]]:
    """Zones with unique names."""
    seen: dict[str, Path] = {}
    for zone in zones:
        kind = files.text(zone / "type") or zone.name
        seen[kind if kind not in seen else f"{kind} {zone.name}"] = zone
    return [(zone, name) for name, zone in seen.items()]


def _passive_trips(files: SystemFiles, zone: Path) -> list[Path]:
    return [kind for kind in sorted(zone.glob("trip_point_*_type")) if files.text(kind) == "passive"]


def _temperature_of(kind: Path) -> Path:
    return kind.with_name(kind.name.replace("_type", "_temp"))


def _counts(files: SystemFiles, paths: list[Path]) -> list[int]:
    told = (files.number(path, f"throttling of {path.parent.parent.name}") for path in paths)
    return [int(count) for count in told if count is not None]


def _over_current(files: SystemFiles, device: Path) -> dict[str, int]:
    alarms = sorted(device.glob("oc*_event_cnt"))
    told = {path.name.split("_")[0]: files.number(path, f"throttling of {path.name}") for path in alarms}
    return {name: int(count) for name, count in told.items() if count is not None}
