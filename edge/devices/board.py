"""Which board this machine is: read from the device tree, the firmware's tables and the release of Jetson Linux."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.devices.catalog import shipped_devices
from edge.devices.jetpack import jetpack_of_l4t
from edge.runtime.machine_state.identity import MODEL, PRODUCT, TEGRA_RELEASE, l4t_release
from edge.runtime.machine_state.system_files import read_text

if TYPE_CHECKING:
    from edge.devices.jetpack import JetPack
    from edge.devices.profile import DeviceProfile

COMPATIBLE = "proc/device-tree/compatible"
_MODULE = re.compile(r"p\d{4}-\d{4}")


@dataclass(frozen=True)
class Board:
    """A board or machine that names itself.

    Attributes:
        model: What it calls itself.
        device: The shipped profile that it most likely is.
        l4t: Its release of Jetson Linux, such as `36.4.3`; None where it has none.
        jetpack: The JetPack that carries it, where it is known.
    """

    model: str
    device: DeviceProfile | None = None
    l4t: str | None = None
    jetpack: JetPack | None = None

    @property
    def is_jetson(self) -> bool:
        """Whether it runs Jetson Linux, or is a module that does."""
        return self.l4t is not None or (self.device is not None and self.device.kind == "jetson")


def read_board(root: Path = Path("/")) -> Board | None:
    """The board below `root`; None for a machine that is no board which edge could know."""
    model, product = read_text(root / MODEL), read_text(root / PRODUCT)
    l4t = l4t_release(read_text(root / TEGRA_RELEASE))
    device = _device_of(read_text(root / COMPATIBLE), product)
    if model is None and l4t is None and device is None:
        return None
    name = model or product or "a Jetson whose device tree cannot be read"
    return Board(name.splitlines()[0], device, l4t, jetpack_of_l4t(l4t) if l4t else None)


def _device_of(compatible: str | None, product: str | None) -> DeviceProfile | None:
    """By the module's part number; those of carrier boards beside it belong to no profile."""
    told = {*_MODULE.findall(compatible or ""), product or ""}
    return next((profile for profile in shipped_devices() if told.intersection(profile.modules)), None)
