"""Which Torch-TensorRT is installed, and whether it is one that this road knows."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from edge.compile import driverless
from edge.devices.typing_regime import torch_tensorrt_typing
from edge.runtime.errors import MissingDependencyError, first_line

PACKAGES = ("torch-tensorrt", "torch-tensorrt-rtx")
ONNX_ROAD = "take the ONNX road: `edge build BUNDLE` on the board, `edge check BUNDLE` before"


@dataclass(frozen=True, slots=True)
class Installation:
    """A Torch-TensorRT.

    Attributes:
        package: Name of the distribution.
        version: Of it.
    """

    package: str
    version: str

    @property
    def title(self) -> str:
        """For messages and reports."""
        return f"{'Torch-TensorRT-RTX' if self.package.endswith('rtx') else 'Torch-TensorRT'} {self.version}"


def find_installation() -> Installation | None:
    """What is installed, by its metadata; nothing is imported."""
    for package in PACKAGES:
        try:
            return Installation(package, version(package))
        except PackageNotFoundError:
            continue
    return None


def require_installation() -> Installation:
    """The installed Torch-TensorRT, where it is of the regime that this road is written for.

    Before 2.13 precisions are flags that later versions ignore without a word, so that one code for both would build
    engines of another precision than it says.

    Raises:
        MissingDependencyError: There is none, or an older one; the message names the other road.
    """
    found = find_installation()
    if found is None:
        raise MissingDependencyError(
            "Torch-TensorRT is not installed",
            f"install requirements/preflight.txt into a venv of its own (make preflight), or {ONNX_ROAD}",
        )
    if torch_tensorrt_typing(found.version) != "strong":
        raise MissingDependencyError(
            f"{found.title} sets precisions by flags that versions from 2.13 on ignore, and is not used", ONNX_ROAD
        )
    return found


def open_torch_tensorrt() -> Any:
    """Imports it, with or without a driver.

    Raises:
        MissingDependencyError: It is absent, older than 2.13, or does not import.
    """
    found = require_installation()
    try:
        return driverless.import_torch_tensorrt()
    except Exception as error:  # pins that contradict each other end here, and torch's CPU build beside a driver
        raise MissingDependencyError(
            f"{found.title} does not import ({first_line(error)})",
            f"install requirements/preflight.txt into a venv of its own (make preflight), or {ONNX_ROAD}",
        ) from error
