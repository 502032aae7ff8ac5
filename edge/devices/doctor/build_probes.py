"""What building the native core for a board needs: a cross compiler, and an emulator for its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.devices.doctor.finding import Finding

if TYPE_CHECKING:
    from edge.devices.doctor.machine import Machine

CROSS_COMPILER = "aarch64-linux-gnu-g++"
NATIVE_COMPILERS = ("c++", "g++", "clang++")
EMULATORS = ("qemu-aarch64", "qemu-aarch64-static")


def cross_compiler(machine: Machine) -> Finding:
    """For 64-bit Arm; on such a machine its own compiler does."""
    is_arm = machine.architecture == "aarch64"
    names = NATIVE_COMPILERS if is_arm else (CROSS_COMPILER,)
    path = next((path for name in names if (path := machine.program(name))), None)
    package = "g++" if is_arm else "g++-aarch64-linux-gnu"
    return Finding(
        topic="cross-compiler",
        status="ok" if path else "missing",
        found=path or f"none of {', '.join(names)} is on the path",
        remedy=None if path else f"sudo apt install {package}",
        enables="the C++ core as a library for a board (docs/cross_building.md)",
    )


def emulator(machine: Machine) -> Finding:
    """Runs the core's tests for 64-bit Arm here."""
    path = next((path for name in EMULATORS if (path := machine.program(name))), None)
    is_arm = machine.architecture == "aarch64"
    return Finding(
        topic="emulator",
        status="ok" if path or is_arm else "missing",
        found=path
        or ("not needed, this is 64-bit Arm" if is_arm else f"none of {', '.join(EMULATORS)} is on the path"),
        remedy=None if path or is_arm else "sudo apt install qemu-user",
        enables="the core's tests for 64-bit Arm (make ctest-aarch64)",
    )
