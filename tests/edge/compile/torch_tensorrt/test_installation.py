"""Which Torch-TensorRT is installed, and what is said of one that is absent, too old, or does not import."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from edge.compile import driverless
from edge.compile.torch_tensorrt import installation
from edge.compile.torch_tensorrt.installation import find_installation, open_torch_tensorrt, require_installation
from edge.runtime.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the metadata of these packages findable, and of no others."""

    def made(**packages: str) -> None:
        named = {name.replace("_", "-"): number for name, number in packages.items()}

        def version(name: str) -> str:
            if name not in named:
                raise PackageNotFoundError(name)
            return named[name]

        monkeypatch.setattr(installation, "version", version)

    return made


def test_none_names_both_ways_on(install: Callable[..., None]) -> None:
    install()
    assert find_installation() is None
    with pytest.raises(MissingDependencyError) as refused:
        require_installation()
    for words in ("Torch-TensorRT is not installed", "make preflight", "ONNX road", "edge build BUNDLE"):
        assert words in str(refused.value)


@pytest.mark.parametrize("version", ["2.8.0", "2.9.0", "2.10.0", "2.11.0", "2.12.0+cu130"])
def test_the_older_regimes_are_refused_with_the_onnx_road(install: Callable[..., None], version: str) -> None:
    """Weak up to 2.9, explicit up to 2.12: in both, precisions are flags that later versions ignore."""
    install(torch_tensorrt=version)
    with pytest.raises(MissingDependencyError) as refused:
        require_installation()
    assert refused.value.problem.startswith(f"Torch-TensorRT {version} sets precisions by flags")
    assert "ONNX road" in refused.value.remedy


@pytest.mark.parametrize("version", ["2.13.0", "2.13.0+cpu", "2.14.0", "3.0.0.dev20260101"])
def test_the_regime_that_is_known_is_taken(install: Callable[..., None], version: str) -> None:
    install(torch_tensorrt=version)
    assert require_installation().title == f"Torch-TensorRT {version}"


def test_the_package_for_rtx_is_one_too(install: Callable[..., None]) -> None:
    install(torch_tensorrt_rtx="2.13.0")
    assert require_installation().title == "Torch-TensorRT-RTX 2.13.0"
    install(torch_tensorrt="2.14.0", torch_tensorrt_rtx="2.13.0")
    assert require_installation().title == "Torch-TensorRT 2.14.0"


def test_an_old_one_is_not_even_imported(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    install(torch_tensorrt="2.12.0")
    monkeypatch.setattr(driverless, "import_torch_tensorrt", lambda: pytest.fail("it was imported"))
    with pytest.raises(MissingDependencyError, match="sets precisions by flags"):
        open_torch_tensorrt()


def test_a_good_one_is_imported(install: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    install(torch_tensorrt="2.13.0")
    module = SimpleNamespace()
    monkeypatch.setattr(driverless, "import_torch_tensorrt", lambda: module)
    assert open_torch_tensorrt() is module


@pytest.mark.parametrize(
    "error",
    [
        ImportError("cannot import name 'x'"),
        OSError("libtorchtrt.so: undefined symbol"),
        RuntimeError("Found no NVIDIA driver"),
        AttributeError("no attribute"),
        AssertionError("Torch not compiled with CUDA enabled"),
        TypeError("pins"),
    ],
)
def test_one_that_does_not_import_is_told_with_its_words(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    install(torch_tensorrt_rtx="2.13.0")

    def fail() -> Any:
        raise error

    monkeypatch.setattr(driverless, "import_torch_tensorrt", fail)
    with pytest.raises(MissingDependencyError) as refused:
        open_torch_tensorrt()
    assert refused.value.problem == f"Torch-TensorRT-RTX 2.13.0 does not import ({error})"
    assert "make preflight" in refused.value.remedy
