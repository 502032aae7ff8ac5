"""JetPack releases as data: what each brings, for which boards, and which one a device is compiled for."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.devices.profile import Source
from edge.devices.typing_regime import TypingRegime, tensorrt_typing
from edge.devices.version_order import at_least
from edge.runtime.config_file import read_yaml, validated
from edge.runtime.errors import DeviceError

if TYPE_CHECKING:
    from edge.devices.profile import DeviceProfile

OLDEST_PYTHON = "3.10"  # that edge runs on
_VERSION = r"^\d+(\.\d+)+$"


class JetPack(BaseModel):
    """One release.

    Attributes:
        version: Such as `6.2`.
        l4t: Releases of Jetson Linux that carry it.
        ubuntu: Release of its root file system.
        python: Of that system, which its TensorRT bindings are built for.
        cuda: Its CUDA.
        tensorrt: Its TensorRT.
        torch: A torch that is documented for it; None where none is.
        torch_tensorrt: The Torch-TensorRT that goes with that torch; None where there is no wheel.
        torch_tensorrt_boards: Boards that this wheel is for, where it is not for all.
        wheels: Where the two come from.
        dla: Whether its TensorRT builds for the DLA of boards that have one.
        dla_int8_qdq: Whether the DLA takes INT8 from Q/DQ nodes; TensorRT up to 10 does not do that.
        boards: Device profiles that it supports.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str = Field(pattern=_VERSION)
    l4t: tuple[str, ...] = Field(min_length=1)
    ubuntu: str
    python: str = Field(pattern=_VERSION)
    cuda: str = Field(pattern=_VERSION)
    tensorrt: str = Field(pattern=_VERSION)
    torch: str | None = None
    torch_tensorrt: str | None = None
    torch_tensorrt_boards: tuple[str, ...] | None = None
    wheels: str | None = None
    dla: bool
    dla_int8_qdq: bool = False
    boards: tuple[str, ...] = Field(min_length=1)
    notes: str = ""
    sources: tuple[Source, ...] = Field(min_length=1)

    @property
    def runs_edge(self) -> bool:
        """Whether edge itself runs on a board with it; engines and graphs for it can be made elsewhere all the same."""
        return at_least(self.python, OLDEST_PYTHON)

    @property
    def typing(self) -> TypingRegime:
        """How its TensorRT learns the precision of layers."""
        return tensorrt_typing(self.tensorrt)

    def torch_tensorrt_for(self, device: DeviceProfile) -> str | None:
        """The Torch-TensorRT of a board with this JetPack; None where no wheel is published for the two."""
        fits = self.torch_tensorrt_boards is None or device.name in self.torch_tensorrt_boards
        return self.torch_tensorrt if fits else None


class _Matrix(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(alias="schema")
    jetpacks: tuple[JetPack, ...] = Field(min_length=1)


@cache
def known_jetpacks() -> tuple[JetPack, ...]:
    """All releases that edge knows, oldest first."""
    path = Path(str(files("edge.devices") / "jetpacks.yaml"))
    return validated(_Matrix, read_yaml(path, DeviceError), path, DeviceError).jetpacks


def jetpack_for(device: DeviceProfile, wanted: str | None = None) -> JetPack:
    """The JetPack that a device is compiled for.

    Args:
        device: A device of kind `jetson`.
        wanted: A version, such as `6.2`; the device's default where it is not given.

    Raises:
        DeviceError: The device has no JetPack, there is no such version, or the device never had it.
    """
    if not device.jetpacks:
        raise DeviceError(f"{device.title} ({device.name}) has no JetPack", "leave --jetpack out for this device")
    version = wanted or device.default_jetpack
    found = {jetpack.version: jetpack for jetpack in known_jetpacks()}
    if version not in found:
        raise DeviceError(f"there is no JetPack '{version}' that edge knows", f"choose one of {', '.join(found)}")
    if version not in device.jetpacks:
        raise DeviceError(
            f"{device.title} ({device.name}) never had JetPack {version}", f"choose one of {', '.join(device.jetpacks)}"
        )
    return found[version]


def jetpack_of_l4t(release: str) -> JetPack | None:
    """The JetPack that a release of Jetson Linux carries, such as `36.4.3`; None where it is unknown.

    A release that is not listed counts as the newest listed one with the same first two numbers.
    """
    same_line = None
    for jetpack in known_jetpacks():
        if release in jetpack.l4t:
            return jetpack
        if any(listed.split(".")[:2] == release.split(".")[:2] for listed in jetpack.l4t):
            same_line = jetpack
    return same_line
