"""Machines to check on: one without any compiler, as CI is, and one with a TensorRT-RTX that builds without a GPU."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

import pytest

from edge.compile.check import compiler_steps
from edge.compile.torch_tensorrt import installation
from edge.runtime.errors import MissingDependencyError
from tests.edge.compile.tensorrt.fake_tensorrt import fake_library

if TYPE_CHECKING:
    from edge.compile.tensorrt.library import TensorRTLibrary


def _absent(name: str) -> str:
    raise PackageNotFoundError(name)


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither TensorRT nor Torch-TensorRT, whatever this machine has."""

    def absent() -> TensorRTLibrary:
        raise MissingDependencyError("there is no TensorRT", "install it")

    monkeypatch.setattr(compiler_steps, "open_library", absent)
    monkeypatch.setattr(installation, "version", _absent)


@pytest.fixture
def rtx(monkeypatch: pytest.MonkeyPatch) -> TensorRTLibrary:
    """A stand-in for TensorRT-RTX, which takes every graph as one layer and builds at once; no Torch-TensorRT."""
    library = fake_library("1.7.1.116")
    monkeypatch.setattr(compiler_steps, "open_library", lambda: library)
    monkeypatch.setattr(installation, "version", _absent)
    return library
