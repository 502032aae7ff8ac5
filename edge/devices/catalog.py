"""Which devices there are: those that ship, those in the folders of EDGE_DEVICES, and any YAML file by its path."""

from __future__ import annotations

import logging
import os
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from edge.devices.profile import DeviceProfile
from edge.runtime.config_file import read_yaml, validated
from edge.runtime.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

FOLDERS_VARIABLE = "EDGE_DEVICES"
SUFFIXES = (".yaml", ".yml")
_NEAREST = 3
_CUTOFF = 0.4  # a name that is half right is still worth a hint


def load_device(name_or_path: str | Path, environ: Mapping[str, str] = os.environ) -> DeviceProfile:
    """A device by its name, or from a file.

    A profile in a folder of `EDGE_DEVICES` (several are separated as in PATH) takes the place of a shipped one of the
    same name, with a warning in the log.

    Args:
        name_or_path: A name such as `orin-nano-8gb`; what ends in `.yaml` or has a folder is taken as a path.
        environ: Where `EDGE_DEVICES` is looked up.

    Raises:
        DeviceError: There is no such device (the nearest names are offered), a folder or file cannot be read, or a
            file is malformed (file and key are named).
    """
    given = str(name_or_path)
    if given.endswith(SUFFIXES) or len(Path(given).parts) > 1:
        return _read(Path(given))
    own, shipped = _own_files(environ), _shipped_files()
    path = own.get(given) or shipped.get(given)
    if path is None:
        raise _unknown(given, sorted({*own, *shipped}))
    if given in own and given in shipped:
        logger.warning("device %s is that of %s, not the one that ships with edge", given, path)
    return _named(path, given)


def known_devices(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names of all devices that `load_device` takes, in alphabetical order.

    Raises:
        DeviceError: A folder of `EDGE_DEVICES` cannot be read.
    """
    return tuple(sorted({*_shipped_files(), *_own_files(environ)}))


@cache
def shipped_devices() -> tuple[DeviceProfile, ...]:
    """The profiles that ship with edge, in the order of their names."""
    return tuple(_named(path, name) for name, path in sorted(_shipped_files().items()))


def _shipped_files() -> dict[str, Path]:
    return _profiles_in(Path(str(files("edge.devices") / "profiles")))


def _own_files(environ: Mapping[str, str]) -> dict[str, Path]:
    """By name; of several folders the first that has it counts."""
    found: dict[str, Path] = {}
    for folder in environ.get(FOLDERS_VARIABLE, "").split(os.pathsep):
        if folder:
            found = {**_profiles_in(Path(folder)), **found}
    return found


def _profiles_in(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DeviceError(f"{folder}, a folder of {FOLDERS_VARIABLE}, does not exist", f"mend {FOLDERS_VARIABLE}")
    return {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES and path.is_file()}


def _read(path: Path) -> DeviceProfile:
    content = read_yaml(path, DeviceError)
    if not isinstance(content, dict):
        raise DeviceError(f"{path} holds no device profile", "start from a shipped one, see docs/devices.md")
    return validated(DeviceProfile, content, path, DeviceError)


def _named(path: Path, name: str) -> DeviceProfile:
    profile = _read(path)
    if profile.name != name:
        raise DeviceError(f"{path}: name: it is '{profile.name}', the file's is '{name}'", "give both the same name")
    return profile


def _unknown(name: str, known: list[str]) -> DeviceError:
    nearest = get_close_matches(name.lower().replace("_", "-"), known, _NEAREST, _CUTOFF)
    choice = f"did you mean {' or '.join(nearest)}?" if nearest else f"choose one of {', '.join(known)}"
    return DeviceError(f"there is no device '{name}'", f"{choice} Your own: pass the path of its YAML file")
