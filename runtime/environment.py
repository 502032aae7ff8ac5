"""The machine that measured: what a reader needs to judge or repeat a figure; no paths, no names of people."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

_CPU_INFO = Path("/proc/cpuinfo")
_BOARD_MODEL = Path("/proc/device-tree/model")
_TEGRA_RELEASE = Path("/etc/nv_tegra_release")

# What decides the speed of integer and vector kernels, on x86 and ARM.
FLAGS_OF_INTEREST = (
    "sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8",
    "asimd", "asimddp", "fphp", "asimdhp", "i8mm", "bf16", "sve",
)  # fmt: skip
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ORT_NUM_THREADS")
PACKAGES = (
    "edge-fusion", "numpy", "pydantic", "onnxruntime", "onnxruntime-gpu", "onnx", "onnxscript", "torch", "torchao",
    "transformers", "tensorrt", "opencv-python-headless", "soundfile", "matplotlib",
)  # fmt: skip


class HostDescription(BaseModel):
    """A machine and its software.

    Attributes:
        system: Kernel name and release.
        machine: Architecture, e.g. `x86_64` or `aarch64`.
        board: Name of the board, where the device tree tells (Jetson and other ARM boards).
        jetson_linux: First line of the L4T release, on a Jetson.
        cpu: Model name of the processor.
        cpu_flags: Vector and integer extensions that it has, of `FLAGS_OF_INTEREST`.
        cores: Logical cores of the machine.
        usable_cores: Those this process may run on.
        memory_gib: Physical memory.
        threads: Thread settings in force: environment variables, and what the caller set.
        python: Version of the interpreter.
        packages: Installed versions of the packages that matter here.
        seed: Of the run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    machine: str
    board: str | None = None
    jetson_linux: str | None = None
    cpu: str
    cpu_flags: tuple[str, ...] = ()
    cores: int
    usable_cores: int
    memory_gib: float | None = None
    threads: dict[str, int | str] = {}
    python: str
    packages: dict[str, str] = {}
    seed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As reports and bundles hold it."""
        return self.model_dump(mode="json")


def describe_host(seed: int | None = None, threads: dict[str, int] | None = None) -> HostDescription:
    """Describes this machine; reads package versions from their metadata and imports none of them.

    Args:
        seed: Of the run that is described.
        threads: Thread counts that the caller set itself, e.g. `{"engine": 1}`.
    """
    info = _cpu_info(_CPU_INFO)
    return HostDescription(
        system=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        board=_first_line(_BOARD_MODEL),
        jetson_linux=_first_line(_TEGRA_RELEASE),
        cpu=_cpu_model(info),
        cpu_flags=_cpu_flags(info),
        cores=os.cpu_count() or 1,
        usable_cores=_usable_cores(),
        memory_gib=_memory_gib(),
        threads={**thread_variables(), **(threads or {})},
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages=_package_versions(),
        seed=seed,
    )


def _cpu_info(path: Path) -> dict[str, str]:
    """First value of each key of `/proc/cpuinfo`; empty where there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        key, separator, value = line.partition(":")
        if separator:
            found.setdefault(key.strip(), value.strip())
    return found


def _cpu_model(info: dict[str, str]) -> str:
    arm = f"ARM part {info['CPU part']}" if "CPU part" in info else ""
    return info.get("model name") or arm or platform.processor() or platform.machine()


def _cpu_flags(info: dict[str, str]) -> tuple[str, ...]:
    has = set((info.get("flags") or info.get("Features") or "").split())
    return tuple(flag for flag in FLAGS_OF_INTEREST if flag in has)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def thread_variables() -> dict[str, int | str]:
    """Those of `THREAD_VARIABLES` that are set, by their name."""
    set_here = {name: os.environ[name] for name in THREAD_VARIABLES if os.environ.get(name)}
    return {name: int(value) if value.isdigit() else value for name, value in set_here.items()}


def _package_versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _first_line(path: Path) -> str | None:
    try:
        lines = path.read_bytes().decode("utf-8", "replace").strip("\x00 \n").splitlines()
    except OSError:
        return None
    return lines[0] if lines else None
