"""Which TensorRT is taken, what it can do by its version, and what is said where there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from edge.compile.tensorrt import library as libraries
from edge.compile.tensorrt.library import library_of, open_library
from edge.runtime.errors import MissingDependencyError
from tests.edge.compile.tensorrt.fake_tensorrt import fake_library

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, Any]], None]:
    """Makes modules importable, and no others."""

    def made(modules: Mapping[str, Any]) -> None:
        def require(name: str) -> Any:
            if name not in modules:
                raise MissingDependencyError(f"{name} does not import here", "install it")
            return modules[name]

        monkeypatch.setattr(libraries, "has_module", lambda name: name in modules)
        monkeypatch.setattr(libraries, "require_module", require)

    return made


def module(version: str, **more: Any) -> Any:
    return SimpleNamespace(__version__=version, **more)


def test_the_boards_own_is_preferred(install: Callable[[Mapping[str, Any]], None]) -> None:
    install({"tensorrt": module("10.3.0"), "tensorrt_rtx": module("1.7.1.116")})
    assert (open_library().name, open_library().title) == ("tensorrt", "TensorRT 10.3.0")
    assert open_library("tensorrt_rtx").title == "TensorRT-RTX 1.7.1.116"


def test_rtx_is_taken_where_it_is_alone(install: Callable[[Mapping[str, Any]], None]) -> None:
    install({"tensorrt_rtx": module("1.7.1.116")})
    assert open_library().is_rtx
    with pytest.raises(MissingDependencyError, match="tensorrt does not import"):
        open_library("tensorrt")


def test_none_is_told_with_where_each_comes_from(install: Callable[[Mapping[str, Any]], None]) -> None:
    install({})
    with pytest.raises(MissingDependencyError) as refused:
        open_library()
    for words in ("neither TensorRT nor TensorRT-RTX", "--system-site-packages", "make preflight"):
        assert words in str(refused.value)


@pytest.mark.parametrize("version", ["8.5.2", "8.6.2", "10.0.1", "10.2.9"])
def test_older_ones_are_refused(install: Callable[[Mapping[str, Any]], None], version: str) -> None:
    install({"tensorrt": module(version)})
    with pytest.raises(MissingDependencyError, match=rf"TensorRT {version} is older than 10\.3; install JetPack 6\.1"):
        open_library()


@pytest.mark.parametrize("version", ["10.3.0", "10.16.2.10", "11.0.0", "11.4.1"])
def test_known_ones_are_taken(install: Callable[[Mapping[str, Any]], None], version: str) -> None:
    install({"tensorrt": module(version)})
    assert open_library().version == version


def test_rtx_that_poses_as_tensorrt_is_found_out(install: Callable[[Mapping[str, Any]], None]) -> None:
    """Torch-TensorRT puts TensorRT-RTX under the name `tensorrt`, whose versions begin anew at 1."""
    posing = module("1.7.1.116", _package_name="tensorrt_rtx")
    install({"tensorrt": posing})
    for found in (open_library(), library_of(posing)):
        assert (found.name, found.is_rtx, found.typed_only) == ("tensorrt_rtx", True, True)
    plain = library_of(module("10.3.0", _package_name="tensorrt"))
    assert (plain.name, plain.is_rtx) == ("tensorrt", False)


@pytest.mark.parametrize(
    ("version", "typed_only"), [("10.3.0", False), ("10.16.2", False), ("11.0.0", True), ("1.7.1", True)]
)
def test_types_bind_from_11_on_and_in_rtx(version: str, typed_only: bool) -> None:
    assert fake_library(version).typed_only is typed_only


def test_only_rtx_builds_for_devices_that_are_not_here() -> None:
    assert fake_library("10.3.0").compute_capabilities() == ()
    assert fake_library("11.4.0").compute_capabilities() == ()
    assert fake_library("1.7.1").compute_capabilities() == ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
