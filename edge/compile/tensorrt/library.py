"""Which TensorRT is here: the board's own, or TensorRT-RTX, which builds engines on machines without a GPU."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.runtime.capabilities import has_module, require_module
from edge.runtime.engines.tensorrt_plan import title_of
from edge.runtime.errors import MissingDependencyError

if TYPE_CHECKING:
    from edge.runtime.engines.tensorrt_plan import LibraryName

# Since this version networks are strongly typed only: precision flags are gone, a graph says its types itself.
TYPED_ONLY_SINCE = 11
OLDEST = (10, 3)
_CAPABILITY = re.compile(r"SM(\d+)(\d)")


@dataclass(frozen=True, slots=True)
class TensorRTLibrary:
    """An imported TensorRT.

    Attributes:
        trt: The Python module.
        name: Its package.
    """

    trt: Any
    name: LibraryName

    @property
    def version(self) -> str:
        """Such as `10.3.0`."""
        return str(self.trt.__version__)

    @property
    def title(self) -> str:
        """For messages and reports, such as `TensorRT 10.3.0`."""
        return title_of(self.name, self.version)

    @property
    def is_rtx(self) -> bool:
        """Whether this is TensorRT-RTX: always strongly typed, and able to build for devices that are not here."""
        return self.name == "tensorrt_rtx"

    @property
    def typed_only(self) -> bool:
        """Whether a network's types come from its graph alone."""
        return self.is_rtx or _numbers(self.version)[0] >= TYPED_ONLY_SINCE

    def compute_capabilities(self) -> tuple[str, ...]:
        """Compute capabilities that engines can be built for without a device, such as `8.6`; none but for RTX."""
        if not hasattr(self.trt, "ComputeCapability"):
            return ()
        found = (_CAPABILITY.fullmatch(name) for name in self.trt.ComputeCapability.__members__)
        return tuple(sorted((f"{match[1]}.{match[2]}" for match in found if match), key=_numbers))


def open_library(wanted: LibraryName | None = None) -> TensorRTLibrary:
    """Imports the TensorRT that is asked for; without a wish the board's own, else TensorRT-RTX.

    Raises:
        MissingDependencyError: There is none, or it is older than what this code knows.
    """
    names: tuple[LibraryName, ...] = ("tensorrt", "tensorrt_rtx")
    name = wanted or next((n for n in names if has_module(n)), None)
    if name is None:
        raise MissingDependencyError(
            "neither TensorRT nor TensorRT-RTX imports here",
            "on a Jetson it comes with JetPack (make the venv with --system-site-packages); elsewhere run this in the "
            "environment of requirements/preflight.txt (make preflight)",
        )
    library = library_of(require_module(name), name)
    if not library.is_rtx and _numbers(library.version)[:2] < OLDEST:
        raise MissingDependencyError(
            f"TensorRT {library.version} is older than {'.'.join(map(str, OLDEST))}",
            "install JetPack 6.1 or newer, or run the bundle with ONNX Runtime",
        )
    return library


def library_of(module: Any, name: LibraryName = "tensorrt") -> TensorRTLibrary:
    """An imported module under its true name: Torch-TensorRT lets TensorRT-RTX pose as `tensorrt` in its process."""
    posing = getattr(module, "_package_name", "") == "tensorrt_rtx"
    return TensorRTLibrary(module, "tensorrt_rtx" if posing else name)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
