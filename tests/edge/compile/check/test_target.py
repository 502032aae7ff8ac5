"""What a model is checked for: device, JetPack and TensorRT resolved, and the stand-in of a device's GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edge.compile.check.target import open_target, stand_in
from edge.devices.catalog import load_device
from edge.runtime.errors import DeviceError

if TYPE_CHECKING:
    from pathlib import Path

SIX = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ("8.7", "8.6"),  # Orin
        ("11.0", "12.0"),  # Thor
        ("12.1", "12.1"),  # DGX Spark
        ("12.0", "12.0"),
        ("9.0", "12.0"),
        ("10.3", "12.0"),
        ("7.2", "7.5"),  # Xavier
        ("5.3", "7.5"),
        ("8.0", "8.0"),
        ("8.8", "8.6"),
        ("8.9", "8.9"),
        ("12.9", "12.1"),
        ("13.0", None),
    ],
)
def test_a_stand_in_is_of_the_same_generation_or_the_next(own: str, found: str | None) -> None:
    assert stand_in(own, SIX) == found
    assert stand_in(own, SIX[::-1]) == found  # in whatever order they are listed


def test_nothing_stands_in_where_nothing_is_built() -> None:
    assert stand_in("8.7", ()) is None


@given(st.sampled_from(SIX), st.sets(st.sampled_from(SIX)))
def test_what_can_be_built_stands_for_itself(own: str, others: set[str]) -> None:
    assert stand_in(own, sorted(others | {own})) == own


@pytest.mark.parametrize(
    ("name", "jetpack", "title", "tensorrt"),
    [
        ("orin-nano-8gb", None, "Jetson Orin Nano 8 GB, JetPack 6.2, TensorRT 10.3.0", "10.3.0"),
        ("orin-nano-8gb", "7.2", "Jetson Orin Nano 8 GB, JetPack 7.2, TensorRT 10.16.2", "10.16.2"),
        ("agx-thor-t5000", "7.0", "Jetson AGX Thor T5000, JetPack 7.0, TensorRT 10.13.3", "10.13.3"),
        ("dgx-spark", None, "DGX Spark, TensorRT 11.1", "11.1"),
        ("x86-cpu", None, "x86-64 host with AVX-512 VNNI, ONNX Runtime", None),
    ],
)
def test_a_target_is_a_device_with_its_software(
    name: str, jetpack: str | None, title: str, tensorrt: str | None
) -> None:
    target = open_target(name, jetpack)
    assert (target.title, target.tensorrt) == (title, tensorrt)
    assert target.device.name == name
    assert (target.jetpack is None) == (target.device.kind != "jetson")


@pytest.mark.parametrize(
    ("name", "first"), [("orin-nano-8gb", "s8"), ("dgx-spark", "s8f16"), ("x86-cpu", "u8"), ("arm-cpu", "s8")]
)
def test_the_dialect_that_suits_its_engine_comes_first(name: str, first: str) -> None:
    dialects = open_target(name).dialects
    assert dialects[0] == first
    assert len(set(dialects)) == len(dialects) == 3


def test_a_device_may_be_a_file_of_ones_own(tmp_path: Path) -> None:
    profile = load_device("orin-nx-8gb").model_dump(mode="json", by_alias=True)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**profile, "name": "mine", "title": "Mine"}))
    assert open_target(str(path)).title.startswith("Mine, JetPack ")


@pytest.mark.parametrize(
    ("name", "jetpack", "told"),
    [
        ("orin-nano-8", None, r"there is no device 'orin-nano-8'; did you mean orin-nano-8gb"),
        ("orin-nano-8gb", "7.0", r"never had JetPack 7\.0; choose one of 5\.1\.1"),
        ("agx-thor-t5000", "6.2", r"never had JetPack 6\.2; choose one of 7\.0"),
        ("orin-nano-8gb", "9.9", "there is no JetPack '9.9' that edge knows; choose one of"),
        ("dgx-spark", "7.2", "dgx-spark has no JetPack; leave --jetpack out"),
        ("x86-cpu", "6.2", "x86-cpu has no JetPack; leave --jetpack out"),
    ],
)
def test_what_never_was_is_refused(name: str, jetpack: str | None, told: str) -> None:
    with pytest.raises(DeviceError, match=told) as refused:
        open_target(name, jetpack)
    assert refused.value.exit_code == 2
