"""Without a driver Torch-TensorRT is let import and convert; with a device nothing is substituted."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from edge.compile import driverless
from tests.edge.compile.torch_tensorrt.fake_package import importable, write_package

if TYPE_CHECKING:
    from collections.abc import Iterator

SUBSTITUTED = (
    *("get_device_capability", "current_device", "get_device_properties", "get_device_name"),
    *("synchronize", "set_device", "mem_get_info"),
)


@pytest.fixture(autouse=True)
def torch_as_it_was() -> Iterator[None]:
    """Takes back what an import leaves behind on purpose."""
    originals = {name: getattr(torch.cuda, name) for name in SUBSTITUTED}
    had = hasattr(torch._C, "_CudaDeviceProperties")
    yield
    for name, original in originals.items():
        setattr(torch.cuda, name, original)
    if not had and hasattr(torch._C, "_CudaDeviceProperties"):
        del torch._C._CudaDeviceProperties


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Finds the package that tests write into this folder."""
    yield from ((tmp_path) for _ in importable(tmp_path, monkeypatch))


@pytest.fixture
def no_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(driverless, "_DRIVER_PATHS", (str(tmp_path / "no" / "driver"),))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture(params=["driver", "torch"])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One that its driver shows, or one that torch finds."""
    (tmp_path / "nvidiactl").touch()
    paths = (str(tmp_path / "missing"), str(tmp_path / ("nvidiactl" if request.param == "driver" else "none")))
    monkeypatch.setattr(driverless, "_DRIVER_PATHS", paths)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param == "torch")


def cuda_functions() -> dict[str, Any]:
    return {name: getattr(torch.cuda, name) for name in SUBSTITUTED}


def test_a_driver_or_torch_tells_of_a_device(device: None) -> None:
    assert driverless.has_device()


def test_neither_means_none(no_device: None) -> None:
    assert not driverless.has_device()


def test_without_a_device_the_import_sees_the_stand_in(no_device: None, package: Path) -> None:
    write_package(package)
    isfile, level = os.path.isfile, logging.getLogger("torch_tensorrt").level
    module = driverless.import_torch_tensorrt()
    assert module.saw == {
        "library": False,
        "itself": True,
        "capability": "edge.compile.driverless",
        "muted": True,
    }
    assert os.path.isfile is isfile
    assert Path(module.library).is_file()
    assert logging.getLogger("torch_tensorrt").level == level
    assert torch.cuda.get_device_capability() == driverless.STAND_IN_CAPABILITY
    assert torch.cuda.get_device_properties(0).name == "no device"
    assert not torch.cuda.is_available()  # nobody is told that there is one
    assert driverless.import_torch_tensorrt() is module


def test_with_a_device_nothing_is_substituted(device: None, package: Path) -> None:
    write_package(package)
    before = cuda_functions()
    module = driverless.import_torch_tensorrt()
    assert module.saw["library"] and module.saw["capability"].startswith("torch.")
    assert cuda_functions() == before


@pytest.mark.parametrize("error", ["ImportError('of another torch')", "KeyboardInterrupt()"])
def test_all_is_taken_back_where_the_import_fails(no_device: None, package: Path, error: str) -> None:
    write_package(package, f"raise {error}\n")
    before, isfile = cuda_functions(), os.path.isfile
    level = logging.getLogger("torch_tensorrt").level
    with pytest.raises((ImportError, KeyboardInterrupt)):
        driverless.import_torch_tensorrt()
    assert cuda_functions() == before
    assert os.path.isfile is isfile
    assert logging.getLogger("torch_tensorrt").level == level


def test_an_absent_package_leaves_no_trace(no_device: None, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    before = cuda_functions()
    with pytest.raises(ImportError):
        driverless.import_torch_tensorrt()
    assert cuda_functions() == before


def interpreter() -> Any:
    from torch_tensorrt.dynamo.conversion import _TRTInterpreter

    return _TRTInterpreter


@pytest.mark.parametrize("fails", [False, True])
def test_without_a_device_engines_are_handed_on_as_bytes(no_device: None, package: Path, fails: bool) -> None:
    write_package(package)
    original = interpreter().trt.Runtime
    try:
        with driverless.serialized_only():
            engine = interpreter().trt.Runtime(None).deserialize_cuda_engine(b"plan")
            assert (engine.serialize(), engine.serialize_with_config(engine.create_serialization_config())) == (
                b"plan",
                b"plan",
            )
            assert engine.get_aliased_input_tensor("x") is None
            if fails:
                raise RuntimeError("the body broke")
    except RuntimeError:
        assert fails
    assert interpreter().trt.Runtime is original


def test_with_a_device_engines_are_deserialized(device: None, package: Path) -> None:
    write_package(package)
    with driverless.serialized_only():
        assert interpreter().trt.Runtime(None) == "the real one"


def test_importing_the_module_substitutes_nothing() -> None:
    code = (
        "import os, torch\nbefore = (os.path.isfile, torch.cuda.get_device_capability)\n"
        "import edge.compile.driverless\n"
        "assert before == (os.path.isfile, torch.cuda.get_device_capability)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
