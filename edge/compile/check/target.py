"""What a model is checked for: a device, the JetPack on it, and the TensorRT that this brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.compile.dialect_order import TYPED_DIALECTS, UNTYPED_DIALECTS, X86_DIALECTS
from edge.compile.operators.table import known_versions
from edge.devices.catalog import load_device
from edge.devices.jetpack import jetpack_for
from edge.devices.typing_regime import tensorrt_typing
from edge.devices.version_order import version_numbers
from edge.runtime.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.devices.jetpack import JetPack
    from edge.devices.profile import DeviceProfile


@dataclass(frozen=True)
class Target:
    """A device with its software.

    Attributes:
        device: Its profile.
        jetpack: The release on it; None for a device without.
        tensorrt: Version of its TensorRT; None for a CPU, which runs ONNX Runtime.
    """

    device: DeviceProfile
    jetpack: JetPack | None
    tensorrt: str | None

    @property
    def title(self) -> str:
        """For people."""
        parts = [self.device.title]
        if self.jetpack is not None:
            parts.append(f"JetPack {self.jetpack.version}")
        parts.append(f"TensorRT {self.tensorrt}" if self.tensorrt else "ONNX Runtime")
        return ", ".join(parts)

    @property
    def dialects(self) -> tuple[str, ...]:
        """Dialects in the order in which they suit its engine."""
        if self.tensorrt is None:
            return X86_DIALECTS if self.device.architecture == "x86_64" else UNTYPED_DIALECTS
        return TYPED_DIALECTS if tensorrt_typing(self.tensorrt) == "strong" else UNTYPED_DIALECTS


def open_target(name: str, jetpack: str | None = None) -> Target:
    """Resolves what the command line says.

    Raises:
        DeviceError: The device or the JetPack is unknown, or the two never met.
    """
    device = load_device(name)
    if device.kind == "jetson":
        release = jetpack_for(device, jetpack)
        return Target(device, release, release.tensorrt)
    if jetpack is not None:
        raise DeviceError(f"{device.name} has no JetPack", "leave --jetpack out")
    return Target(device, None, known_versions()[-1] if device.gpu is not None else None)


def stand_in(capability: str, available: Sequence[str]) -> str | None:
    """The compute capability to build for in the place of one that the compiler here cannot build for.

    The device's own where it can; else the nearest below of the same generation, else the nearest above.
    """
    wanted = version_numbers(capability)
    ordered = sorted(available, key=version_numbers)
    same = [c for c in ordered if version_numbers(c)[0] == wanted[0] and version_numbers(c) <= wanted]
    above = [c for c in ordered if version_numbers(c) > wanted]
    return next(iter((*reversed(same), *above)), None)
