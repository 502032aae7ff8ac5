"""GPU and driver, the board, its JetPack and its power mode."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge.devices.doctor.finding import Finding
from edge.devices.doctor.package_probes import WITH_SYSTEM_PACKAGES, jetpack_bindings
from edge.devices.jetpack import OLDEST_PYTHON
from edge.runtime.machine_state.hwmon_rails import HwmonRails
from edge.runtime.machine_state.identity import POWER_MODES, POWER_STATUS, power_mode_name, power_mode_number

if TYPE_CHECKING:
    from edge.devices.doctor.machine import Machine

DRIVER = "proc/driver/nvidia/version"
NVIDIA_ON_PCI = "0x10de"
_VERSION = re.compile(r"(?:Module|x86_64|aarch64)\s+(\d+\.\d+(?:\.\d+)?)")
_NO_JETSON = "this is no Jetson"


def gpu(machine: Machine) -> Finding:
    """A CUDA device and its driver, by what the kernel shows; nothing is started and nothing allocated."""
    driver = machine.text(DRIVER)
    version = _VERSION.search(driver or "")
    told = f"driver {version[1]}" if version else "a driver" if driver else "no driver that tells its version"
    if machine.gpu_nodes:
        found = f"{told}, device nodes {', '.join(machine.gpu_nodes)}"
        return Finding(topic="gpu", status="ok", found=found, enables="running TensorRT engines")
    return Finding(
        topic="gpu",
        status="limited" if driver else "missing",
        found=f"{told}, but no device node" if driver else "no NVIDIA driver and no device node",
        remedy=_how_to_get_a_node(machine, bool(driver)),
        enables="running TensorRT engines; building them for other machines needs no GPU",
    )


def _how_to_get_a_node(machine: Machine, has_driver: bool) -> str | None:
    if machine.is_jetson:
        return "docker run --runtime nvidia (in a container; elsewhere the board's kernel modules did not load)"
    if has_driver:
        return "sudo nvidia-modprobe -u -c=0"
    vendors = (machine.text(path.lstrip("/")) for path in machine.found("sys/bus/pci/devices/*/vendor"))
    return "sudo ubuntu-drivers install" if NVIDIA_ON_PCI in vendors else None


def board(machine: Machine) -> Finding:
    """Which shipped device profile this most likely is."""
    found = machine.board
    enables = "--target and figures for this very device"
    if found is None:
        return Finding(topic="board", status="missing", found="no board that edge knows", enables=enables)
    likely = f"most likely {found.device.name}" if found.device else "no shipped profile has its part number"
    return Finding(
        topic="board",
        status="ok" if found.device else "limited",
        found=f"{found.model}; {likely}",
        remedy=None if found.device else "describe it in a YAML file, see docs/devices.md",
        enables=enables,
    )


def jetpack(machine: Machine) -> Finding:
    """The JetPack, by the release of Jetson Linux."""
    enables = "TensorRT, CUDA and the drivers of a board"
    found = machine.board
    if found is None or not found.is_jetson:
        return Finding(topic="jetpack", status="missing", found=_NO_JETSON, enables=enables)
    known = found.jetpack
    if known is None:
        told = (
            f"Jetson Linux {found.l4t} belongs to no JetPack that edge knows"
            if found.l4t
            else "no Jetson Linux release"
        )
        return Finding(topic="jetpack", status="limited", found=told, enables=enables)
    told = f"JetPack {known.version} (Jetson Linux {found.l4t}): CUDA {known.cuda}, TensorRT {known.tensorrt}"
    if known.runs_edge:
        return Finding(topic="jetpack", status="ok", found=told, enables=enables)
    return Finding(
        topic="jetpack",
        status="limited",
        found=f"{told}; its Python {known.python} is older than {OLDEST_PYTHON}",
        remedy="flash JetPack 6.2 or newer with NVIDIA's SDK Manager",
        enables=enables,
    )


def jetpack_packages(machine: Machine) -> Finding:
    """Whether this environment sees the Python packages that JetPack installs for the system's interpreter."""
    enables = "TensorRT's bindings inside a virtual environment"
    if not machine.is_jetson:
        return Finding(topic="jetpack-packages", status="missing", found=_NO_JETSON, enables=enables)
    paths = jetpack_bindings(machine)
    if not paths:
        return Finding(
            topic="jetpack-packages",
            status="missing",
            found="JetPack's TensorRT bindings are not installed",
            remedy="sudo apt install nvidia-jetpack",
            enables=enables,
        )
    seen = machine.import_problem("tensorrt") is None
    return Finding(
        topic="jetpack-packages",
        status="ok" if seen else "limited",
        found=f"{paths[0]} " + ("is seen from here" if seen else "is there, but not seen from here"),
        remedy=None if seen else WITH_SYSTEM_PACKAGES,
        enables=enables,
    )


def power_mode(machine: Machine) -> Finding:
    """Whether the power mode can be read; a figure without it says little."""
    enables = "figures that say at which clocks they were obtained"
    if not machine.is_jetson:
        return Finding(topic="power-mode", status="missing", found=_NO_JETSON, enables=enables)
    number = power_mode_number(machine.text(POWER_STATUS))
    if number is None:
        return Finding(
            topic="power-mode",
            status="missing",
            found=f"/{POWER_STATUS} cannot be read",
            remedy="sudo nvpmodel -q",
            enables=enables,
        )
    name = power_mode_name(number, machine.text(POWER_MODES))
    return Finding(
        topic="power-mode",
        status="ok" if name else "limited",
        found=f"mode {number}, " + (name or f"a name that /{POWER_MODES} does not tell") + _against_peak(machine, name),
        enables=enables,
    )


def _against_peak(machine: Machine, name: str | None) -> str:
    device = machine.board.device if machine.board else None
    if device is None or name is None:
        return ""
    same = name == device.power_mode
    return f"; the figures of {device.name} are for " + ("this mode" if same else f"{device.power_mode}")


def power_rails(machine: Machine) -> Finding:
    """Whether the power of supply rails can be read."""
    enables = "energy per result in edge profile"
    sensors = HwmonRails(machine.root)
    rails = ", ".join(rail.name for rail in sensors.read())
    if rails:
        return Finding(topic="power-rails", status="ok", found=rails, enables=enables)
    why = "; ".join(sensors.missing) or "no power sensor under hwmon"
    if machine.program("tegrastats"):
        return Finding(topic="power-rails", status="limited", found=f"{why}; tegrastats tells them", enables=enables)
    return Finding(topic="power-rails", status="missing", found=why, enables=enables)
