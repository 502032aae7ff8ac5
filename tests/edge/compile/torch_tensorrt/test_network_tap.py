"""A look at what Torch-TensorRT hands to TensorRT: every network and configuration, and nothing once it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.compile.torch_tensorrt.network_tap import tapped
from tests.edge.compile.torch_tensorrt.fake_package import importable, write_package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Torch-TensorRT's, or what stands for it."""
    write_package(tmp_path)
    for _ in importable(tmp_path, monkeypatch):
        from torch_tensorrt.dynamo.conversion import _TRTInterpreter

        yield _TRTInterpreter.TRTInterpreter


def test_networks_are_shown_when_complete_and_configurations_before_a_build(interpreter: Any) -> None:
    shown: list[Any] = []
    made = interpreter()
    with tapped(lambda i: shown.append(list(i.steps)), lambda i, config: shown.append((i is made, config))):
        assert made.run() == "a config"
    assert shown == [["network"], (True, "a config")]
    assert made.steps == ["network", ("config", (1,), {"strict": True})]


def test_several_networks_are_shown_one_after_the_other(interpreter: Any) -> None:
    shown: list[Any] = []
    with tapped(shown.append, lambda _i, _config: None):
        for made in (first := interpreter(), second := interpreter()):
            made.run()
    assert shown == [first, second]


@pytest.mark.parametrize("fails", [False, True])
def test_afterwards_all_is_as_before(interpreter: Any, fails: bool) -> None:
    before = (interpreter._construct_trt_network_def, interpreter._populate_trt_builder_config)
    shown: list[Any] = []
    try:
        with tapped(shown.append, lambda _i, _config: None):
            if fails:
                raise RuntimeError("the body broke")
    except RuntimeError:
        assert fails
    assert (interpreter._construct_trt_network_def, interpreter._populate_trt_builder_config) == before
    interpreter().run()
    assert shown == []


def test_what_a_look_refuses_ends_the_build(interpreter: Any) -> None:
    def refuse(_interpreter: Any) -> None:
        raise ValueError("not as planned")

    with pytest.raises(ValueError, match="not as planned"), tapped(refuse, lambda _i, _config: None):
        interpreter().run()
