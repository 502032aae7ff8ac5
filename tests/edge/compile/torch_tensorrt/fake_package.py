"""A package `torch_tensorrt` on the path that says what it saw while it was imported, and has what is substituted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

INIT = """
import logging, os, torch
library = os.path.join(os.path.dirname(__file__), "lib", "libtorchtrt.so")
saw = {
    "library": os.path.isfile(library),
    "itself": os.path.isfile(__file__),
    "capability": torch.cuda.get_device_capability.__module__,
    "muted": not logging.getLogger("torch_tensorrt").isEnabledFor(logging.ERROR),
}
"""
INTERPRETER = """
from types import SimpleNamespace

trt = SimpleNamespace(Runtime=lambda logger: "the real one")


class TRTInterpreter:
    def __init__(self):
        self.steps = []

    def _construct_trt_network_def(self):
        self.steps.append("network")

    def _populate_trt_builder_config(self, *args, **kwargs):
        self.steps.append(("config", args, kwargs))
        return "a config"

    def run(self):
        self._construct_trt_network_def()
        return self._populate_trt_builder_config(1, strict=True)
"""


def write_package(folder: Path, init: str = INIT) -> None:
    """Writes it."""
    conversion = folder / "torch_tensorrt" / "dynamo" / "conversion"
    conversion.mkdir(parents=True)
    (folder / "torch_tensorrt" / "lib").mkdir()
    (folder / "torch_tensorrt" / "lib" / "libtorchtrt.so").write_bytes(b"")
    (folder / "torch_tensorrt" / "__init__.py").write_text(init)
    (conversion.parent / "__init__.py").write_text("")
    (conversion / "__init__.py").write_text("")
    (conversion / "_TRTInterpreter.py").write_text(INTERPRETER)


def importable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """While it runs, packages of a folder are found first, and none of them stays imported."""
    known = {name for name in sys.modules if name.startswith("torch_tensorrt")}
    for name in known:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(folder))
    yield
    for name in [name for name in sys.modules if name.startswith("torch_tensorrt")]:
        del sys.modules[name]
