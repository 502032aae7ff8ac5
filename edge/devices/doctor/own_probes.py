"""Python, edge itself, its core, and where it keeps engines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from edge.devices.doctor.finding import Finding
from edge.devices.jetpack import OLDEST_PYTHON
from edge.devices.version_order import at_least
from edge.runtime.engines.onnxruntime import X86

if TYPE_CHECKING:
    from edge.devices.doctor.machine import Machine

CACHE_VARIABLE = "EDGE_CACHE"


def python(machine: Machine) -> Finding:
    """The interpreter."""
    new_enough = at_least(machine.python, OLDEST_PYTHON)
    return Finding(
        topic="python",
        status="ok" if new_enough else "missing",
        found=f"Python {machine.python} on {machine.architecture}",
        remedy=None if new_enough else f"install Python {OLDEST_PYTHON} or newer and make the environment with it",
        enables="everything",
    )


def edge_itself(machine: Machine) -> Finding:
    """The distribution."""
    version = machine.version_of("edge-fusion")
    return Finding(
        topic="edge",
        status="ok" if version else "missing",
        found=f"edge-fusion {version}" if version else "edge-fusion is not installed, only its source is on the path",
        remedy=None if version else "pip install edge-fusion",
        enables="everything",
    )


def core(machine: Machine) -> Finding:
    """The compiled core, and which variants of its loops this processor gets."""
    problem = machine.import_problem("edge.runtime._core")
    if problem:
        return Finding(
            topic="core",
            status="missing",
            found=f"the compiled core does not load: {problem}",
            remedy="pip install --force-reinstall --no-deps edge-fusion; in a checkout: make install",
            enables="preprocessing, matching and decoding: training and running alike",
        )
    return Finding(
        topic="core", status="ok", found=f"loads, {_variant(machine)}", enables="preprocessing, matching and decoding"
    )


def _variant(machine: Machine) -> str:
    if machine.architecture not in X86:
        return f"built for {machine.architecture}"
    return "its loops for AVX2" if "avx2" in machine.cpu_flags else "its baseline loops, for the CPU has no AVX2"


def cache_folder(machine: Machine) -> Finding:
    """Where built engines are kept."""
    given = machine.environ.get(CACHE_VARIABLE)
    folder = Path(given) if given else Path(machine.environ.get("HOME", "~")).expanduser() / ".cache" / "edge"
    writable = _can_be_written(folder)
    return Finding(
        topic="cache",
        status="ok" if writable else "missing",
        found=f"{folder} " + ("can be written" if writable else "cannot be written"),
        remedy=None if writable else f"export {CACHE_VARIABLE}=<a folder of yours>",
        enables="keeping built engines, so that they are built once",
    )


def _can_be_written(folder: Path) -> bool:
    """Whether files can be made in a folder, or it in its nearest ancestor that exists; nothing is made."""
    nearest = next((path for path in (folder, *folder.parents) if path.exists()), None)
    return nearest is not None and nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
