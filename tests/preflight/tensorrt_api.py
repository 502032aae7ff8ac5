"""The Python API of several TensorRT versions, read from their bindings on a machine that has no TensorRT.

The bindings are small wheels; the libraries that they load are gigabytes. All that the bindings ask of those to be
imported is nine C functions, so stubs that return null stand in, and classes, methods, enumerations and signatures
can be read. Nothing can be called. Wheels and stubs lie in `build/`, and none of it is committed or shipped.

Run as a script, it imports the bindings in a folder and writes their API as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements" / "tensorrt_bindings.txt"
FOLDER = ROOT / "build" / "tensorrt-bindings"
FORMAT = 1  # of the file that the API is kept in; count it up with `describe`
_FUNCTIONS = (
    *("createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL"),
    *("createNvOnnxParser_INTERNAL", "createNvOnnxParserRefitter_INTERNAL", "getNvOnnxParserVersion"),
    *("getBuilderPluginRegistry", "getPluginRegistry", "initLibNvInferPlugins"),
)
_LIBRARY = re.compile(rb"lib(?:nvinfer|nvonnxparser|tensorrt)[a-z_]*\.so\.\d+")


@dataclass(frozen=True)
class TensorRTApi:
    """What one version's module offers.

    Attributes:
        requirement: Such as `tensorrt-cu12-bindings==10.3.0`.
        members: Names of each class, with their signatures where the bindings tell them; the module's own under "".
    """

    requirement: str
    members: dict[str, dict[str, str]]

    @property
    def version(self) -> str:
        """Such as `10.3.0`; of TensorRT-RTX with `rtx-` before it."""
        name, _, number = self.requirement.partition("==")
        return f"rtx-{number}" if "rtx" in name else number

    def has(self, path: str) -> bool:
        """Whether there is a class, function or member, such as `Builder` or `BuilderFlag.INT8`."""
        owner, _, name = path.rpartition(".")
        return name in self.members.get(owner, {})


def requirements() -> tuple[str, ...]:
    """The bindings that are compared."""
    lines = (line.partition("#")[0].strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line)


def read_api(requirement: str) -> TensorRTApi:
    """The API of one version; downloaded and read once, afterwards from `build/`.

    Raises:
        subprocess.CalledProcessError: pip, the compiler or the import failed; its output went to the terminal.
    """
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    folder = FOLDER / f"{requirement.replace('==', '-')}-{tag}"
    known = folder / f"api.{FORMAT}.json"
    if not known.is_file():
        _unpack(requirement, folder)
        _compile_stubs(folder)
        partial = known.with_suffix(".partial")
        partial.write_text(_dump(folder), encoding="utf-8")
        partial.replace(known)
    return TensorRTApi(requirement, json.loads(known.read_text(encoding="utf-8")))


def _unpack(requirement: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--only-binary", ":all:", "--dest", str(folder), requirement], check=True)
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)


def _compile_stubs(folder: Path) -> None:
    stubs = folder / "stubs"
    stubs.mkdir(exist_ok=True)
    source = stubs / "stub.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in _FUNCTIONS), encoding="ascii")
    extension = next(folder.glob("*_bindings/*.so"))
    for library in sorted({found.decode() for found in _LIBRARY.findall(extension.read_bytes())}):
        target = [f"-Wl,-soname,{library}", "-o", str(stubs / library)]
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", str(source), *target], check=True)


def _dump(folder: Path) -> str:
    package = next(folder.glob("*_bindings")).name
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder / "stubs")}
    command = [sys.executable, "-I", __file__, str(folder), package]
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout


def describe(module: Any) -> dict[str, dict[str, str]]:
    """The members of a module's classes, and its own names under ""."""
    names = {name: value for name, value in vars(module).items() if not name.startswith("_") or name == "__version__"}
    members = {"": {name: _signature(value) for name, value in names.items()}}
    for owner, value in names.items():
        if isinstance(value, type):
            own = (name for name in dir(value) if not name.startswith("__"))
            members[owner] = {name: _signature(getattr(value, name, None)) for name in own}
    return members


def _signature(value: Any) -> str:
    lines = (getattr(value, "__doc__", None) or "").strip().splitlines()
    return lines[0] if lines and "(" in lines[0] else ""


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    json.dump(describe(importlib.import_module(sys.argv[2])), sys.stdout)
