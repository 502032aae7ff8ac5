"""All that the probes look at, in one place, so that a test can put a made-up machine there."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

from edge.devices.board import read_board
from edge.runtime.errors import first_line
from edge.runtime.machine_state.system_files import read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.devices.board import Board

NOT_INSTALLED = "is not installed"
GPU_NODES = ("dev/nvidia[0-9]*", "dev/nvhost-gpu", "dev/nvhost-ctrl-gpu", "dev/nvgpu/igpu0", "dev/nvmap")


def installed_version(distribution: str) -> str | None:
    """Of a distribution, from its metadata; nothing is imported."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def import_problem(module: str) -> str | None:
    """Why a module does not import; None where it does."""
    try:
        if util.find_spec(module) is None:
            return NOT_INSTALLED
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        return NOT_INSTALLED if module.startswith(error.name or "-") else first_line(error)
    except Exception as error:  # a compiled package raises what it likes when a library of its own is missing
        return first_line(error)
    return None


@dataclass(frozen=True)
class Machine:
    """A machine, as far as the probes look.

    Attributes:
        root: Below which its files are.
        architecture: Such as `x86_64`.
        python: Version of the interpreter.
        environ: Environment variables.
        version_of: Version of an installed distribution, or None.
        import_problem: Why a module does not import, or None.
        program: Path of a program, or None.
    """

    root: Path = Path("/")
    architecture: str = field(default_factory=platform.machine)
    python: str = field(default_factory=platform.python_version)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    version_of: Callable[[str], str | None] = installed_version
    import_problem: Callable[[str], str | None] = import_problem
    program: Callable[[str], str | None] = shutil.which

    @cached_property
    def board(self) -> Board | None:
        """What board it is, if any."""
        return read_board(self.root)

    @property
    def is_jetson(self) -> bool:
        """Whether it runs Jetson Linux, or is a module that does."""
        return self.board is not None and self.board.is_jetson

    @cached_property
    def cpu_flags(self) -> frozenset[str]:
        """Instruction sets, as the kernel names them."""
        for line in (read_text(self.root / "proc/cpuinfo") or "").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("flags", "Features"):
                return frozenset(value.split())
        return frozenset()

    @cached_property
    def gpu_nodes(self) -> tuple[str, ...]:
        """Device nodes of an NVIDIA GPU."""
        return self.found(*GPU_NODES)

    def version_of_any(self, *distributions: str) -> str | None:
        """Version of the first of these distributions that is installed."""
        return next((version for name in distributions if (version := self.version_of(name))), None)

    def text(self, path: str) -> str | None:
        """A file below the root, or None."""
        return read_text(self.root / path)

    def found(self, *patterns: str) -> tuple[str, ...]:
        """Paths below the root that match one of the patterns, as the machine itself would name them."""
        paths = (path for pattern in patterns for path in sorted(self.root.glob(pattern)))
        return tuple(f"/{path.relative_to(self.root)}" for path in paths)
