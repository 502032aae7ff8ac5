"""Python packages that edge can use; only TensorRT's bindings are imported, the others are read from their metadata."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING

from edge.devices.doctor.finding import Finding
from edge.devices.doctor.machine import NOT_INSTALLED
from edge.devices.typing_regime import tensorrt_typing, torch_tensorrt_typing
from edge.devices.version_order import at_least, version_numbers
from edge.runtime.engines.onnxruntime import must_emulate
from edge.runtime.environment import HostDescription

if TYPE_CHECKING:
    from edge.devices.doctor.machine import Machine

PREFLIGHT = "python3 -m venv .venv-preflight && .venv-preflight/bin/pip install --no-deps -r requirements/preflight.txt"
WITH_SYSTEM_PACKAGES = "python3 -m venv --system-site-packages .venv && .venv/bin/pip install edge-fusion"
ENGINES = "building engines for this machine's own GPU, and running them"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+).*extra\s*==\s*['\"]train['\"]")


def training_requirements() -> dict[str, str]:
    """What the extra `train` asks for: distribution to oldest version."""
    try:
        lines = metadata.requires("edge-fusion") or []
    except metadata.PackageNotFoundError:
        return {}
    found = (_REQUIREMENT.match(line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def training(machine: Machine) -> Finding:
    """All of the extra `train`, and whether it is new enough."""
    required = training_requirements()
    versions = {name: machine.version_of(name) for name in required}
    absent = [name for name, version in versions.items() if version is None]
    old = [f"{n} {v} (needs {required[n]})" for n, v in versions.items() if v and not at_least(v, required[n])]
    there = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    problems = [f"absent: {', '.join(absent)}"] * bool(absent) + [f"too old: {', '.join(old)}"] * bool(old)
    whole = bool(required) and not problems
    return Finding(
        topic="training",
        status="ok" if whole else "limited" if there else "missing",
        found="; ".join([*problems, there] if there else problems) or "edge-fusion is not installed",
        # Not on a Jetson: pip would put a torch without CUDA in the place of the board's own.
        remedy=None if whole or machine.is_jetson else "pip install 'edge-fusion[train]'",
        enables="edge train, edge compress, exporting and checking graphs",
    )


def onnxruntime(machine: Machine) -> Finding:
    """ONNX Runtime, and whether this CPU has integer kernels for the quantized graphs."""
    version = machine.version_of_any("onnxruntime", "onnxruntime-gpu")
    enables = "running bundles on the CPU; the check that comes before every compiler's"
    if version is None:
        return Finding(
            topic="onnxruntime",
            status="missing",
            found=f"ONNX Runtime {NOT_INSTALLED}",
            remedy="pip install 'edge-fusion[cpu]'",
            enables=enables,
        )
    emulated = must_emulate("u8", _host(machine))
    kernels = "INT8 is emulated in float, for the CPU has no VNNI" if emulated else "with integer kernels for INT8"
    return Finding(
        topic="onnxruntime",
        status="limited" if emulated else "ok",
        found=f"ONNX Runtime {version}, {kernels}",
        enables=enables,
    )


def _host(machine: Machine) -> HostDescription:
    return HostDescription(
        system="",
        machine=machine.architecture,
        cpu="",
        cpu_flags=tuple(machine.cpu_flags),
        cores=1,
        usable_cores=1,
        python=machine.python,
    )


def tensorrt(machine: Machine) -> Finding:
    """TensorRT: of a JetPack, or from PyPI."""
    version = machine.version_of_any("tensorrt", "tensorrt-cu13", "tensorrt-cu12")
    problem = machine.import_problem("tensorrt")
    if problem:
        return _tensorrt_that_fails(machine, version, problem)
    jetpack = machine.board.jetpack if machine.board else None
    told = f"TensorRT {version} imports, {tensorrt_typing(version)} typing" if version else "TensorRT imports"
    if jetpack and version and version_numbers(version)[:2] != version_numbers(jetpack.tensorrt)[:2]:
        told += f"; JetPack {jetpack.version} brings {jetpack.tensorrt}"
        return Finding(topic="tensorrt", status="limited", found=told, enables=ENGINES)
    return Finding(topic="tensorrt", status="ok", found=told, enables=ENGINES)


def _tensorrt_that_fails(machine: Machine, version: str | None, problem: str) -> Finding:
    hidden = machine.is_jetson and bool(jetpack_bindings(machine))
    remedy = "sudo apt install nvidia-jetpack" if machine.is_jetson else "pip install tensorrt"
    why = "of JetPack is installed, but this environment does not see it" if hidden else _why(problem)
    return Finding(
        topic="tensorrt",
        status="limited" if version or hidden else "missing",
        found=f"TensorRT {version} {why}" if version else f"TensorRT {why}",
        remedy=WITH_SYSTEM_PACKAGES if hidden else remedy if machine.gpu_nodes or machine.is_jetson else None,
        enables=ENGINES,
    )


def _why(problem: str) -> str:
    return problem if problem == NOT_INSTALLED else f"does not import: {problem}"


def jetpack_bindings(machine: Machine) -> tuple[str, ...]:
    """Where JetPack's packages have put TensorRT's Python bindings."""
    return machine.found("usr/lib/python3*/dist-packages/tensorrt", "usr/lib/python3*/site-packages/tensorrt")


def tensorrt_rtx(machine: Machine) -> Finding:
    """TensorRT-RTX, the stand-in that builds engines without a GPU."""
    version = machine.version_of_any("tensorrt-rtx", "tensorrt-rtx-cu13", "tensorrt-rtx-cu12")
    problem = machine.import_problem("tensorrt_rtx")
    there = f"TensorRT-RTX {version} imports" if version else "TensorRT-RTX imports"
    name = f"TensorRT-RTX {version}" if version else "TensorRT-RTX"
    return Finding(
        topic="tensorrt-rtx",
        status="ok" if problem is None else "limited" if version else "missing",
        found=there if problem is None else f"{name} {_why(problem)}",
        remedy=None if problem is None else PREFLIGHT,
        enables="edge check: a real engine build without a GPU, as a stand-in for the board's",
    )


def torch_tensorrt(machine: Machine) -> Finding:
    """Torch-TensorRT by its metadata: importing it would change the process, and fails where there is no driver."""
    version = machine.version_of_any("torch-tensorrt", "torch-tensorrt-rtx")
    regime = torch_tensorrt_typing(version) if version else None
    usable = regime == "strong"
    found = f"Torch-TensorRT {version}, {regime} typing" if version else f"Torch-TensorRT {NOT_INSTALLED}"
    refused = "; edge compiles through 2.13 or newer and leaves older ones to the ONNX road"
    return Finding(
        topic="torch-tensorrt",
        status="ok" if usable else "limited" if version else "missing",
        found=found + (refused if version and not usable else ""),
        remedy=None if version else PREFLIGHT,
        enables="compiling through Torch-TensorRT; without it the ONNX road does all",
    )


def cuda_python(machine: Machine) -> Finding:
    """The CUDA bindings that the engine runner allocates with."""
    version = machine.version_of_any("cuda-python", "cuda-bindings")
    return Finding(
        topic="cuda-python",
        status="ok" if version else "missing",
        found=f"cuda-python {version}" if version else f"cuda-python {NOT_INSTALLED}",
        remedy=None if version else _how_to_get_cuda_python(machine),
        enables="running TensorRT engines: pinned buffers, CUDA graphs",
    )


def _how_to_get_cuda_python(machine: Machine) -> str:
    """On a board of the JetPack's CUDA, for newer bindings refuse the driver that is part of it."""
    jetpack = machine.board.jetpack if machine.board else None
    return f"pip install 'cuda-python~={jetpack.cuda}'" if jetpack else "pip install 'edge-fusion[board]'"


def signing(machine: Machine) -> Finding:
    """What signatures are made and checked with."""
    version = machine.version_of("cryptography")
    return Finding(
        topic="signing",
        status="ok" if version else "missing",
        found=f"cryptography {version}" if version else f"cryptography {NOT_INSTALLED}",
        remedy=None if version else "pip install 'edge-fusion[signing]'",
        enables="signing bundles, and checking whose they are",
    )
