"""Made-up machines: the files that a board or host shows, and the packages that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.devices.doctor.machine import NOT_INSTALLED, Machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


ORIN_NANO = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
    "proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: ...\n"
    "# KERNEL_VARIANT: oot\n",
    "dev/nvhost-gpu": "",
    "dev/nvmap": "",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build\n",
    "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd aes fphp asimdhp asimddp\nCPU part\t: 0xd42\n",
    "var/lib/nvpmodel/status": "pmode:0002 fmode:cool",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
    "usr/lib/python3.10/dist-packages/tensorrt/__init__.py": "",
}
AGX_THOR = {
    "proc/device-tree/model": "NVIDIA Jetson AGX Thor Developer Kit\0",
    "proc/device-tree/compatible": "nvidia,p4071-0000+p3834-0008\0nvidia,p3834-0008\0nvidia,tegra264\0",
    "etc/nv_tegra_release": "# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic, EABI: aarch64\n",
    "dev/nvidia0": "",
    "dev/nvidiactl": "",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.00  Release Build\n",
    "var/lib/nvpmodel/status": "pmode:0001",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=120W >\n",
    "usr/lib/python3.12/dist-packages/tensorrt/__init__.py": "",
}
X86_HOST = {
    "sys/class/dmi/id/product_name": "Standard PC (Q35 + ICH9, 2009)\n",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: A processor\nflags\t\t: fpu sse4_2 avx avx2 avx512_vnni\n",
}


@pytest.fixture
def make_machine(tmp_path: Path) -> Callable[..., Machine]:
    """By default a bare x86 box on which nothing but edge's own core imports."""

    def make(
        files: Mapping[str, str] = X86_HOST,
        packages: Mapping[str, str] = {},
        problems: Mapping[str, str | None] = {},
        **changes: Any,
    ) -> Machine:
        for name, content in files.items():
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode())
        known = {"edge.runtime._core": None, **problems}
        settings: dict[str, Any] = {
            "root": tmp_path / "root",
            "architecture": "x86_64",
            "python": "3.10.12",
            "environ": {"HOME": str(tmp_path)},
            "version_of": dict(packages).get,
            "import_problem": lambda module: known.get(module, NOT_INSTALLED),
            "program": lambda name: None,
            **changes,
        }
        return Machine(**settings)

    return make


@pytest.fixture
def orin_nano(make_machine: Callable[..., Machine]) -> Machine:
    """On JetPack 6.2, in a virtual environment that sees the system's packages."""
    packages = {"edge-fusion": "0.1.0", "tensorrt": "10.3.0", "torch": "2.8.0", "torch-tensorrt": "2.8.0"}
    return make_machine(ORIN_NANO, packages, {"tensorrt": None}, architecture="aarch64")


@pytest.fixture
def agx_thor(make_machine: Callable[..., Machine]) -> Machine:
    """On JetPack 7.0, in a virtual environment that does not see the system's packages."""
    return make_machine(AGX_THOR, {"edge-fusion": "0.1.0"}, architecture="aarch64", python="3.12.3")
