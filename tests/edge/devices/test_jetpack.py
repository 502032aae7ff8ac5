"""JetPacks: the matrix agrees with the profiles, defaults and refusals, and how precision is declared by version."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.catalog import load_device, shipped_devices
from edge.devices.jetpack import JetPack, jetpack_for, jetpack_of_l4t, known_jetpacks
from edge.devices.typing_regime import tensorrt_typing, torch_tensorrt_typing
from edge.devices.version_order import at_least, version_numbers
from edge.runtime.errors import DeviceError

JETSONS = [profile for profile in shipped_devices() if profile.kind == "jetson"]
VERSIONS = [jetpack.version for jetpack in known_jetpacks()]


def _jetpack(version: str) -> JetPack:
    return next(jetpack for jetpack in known_jetpacks() if jetpack.version == version)


def test_profiles_and_matrix_say_the_same() -> None:
    by_profile = {(profile.name, version) for profile in JETSONS for version in profile.jetpacks}
    by_matrix = {(board, jetpack.version) for jetpack in known_jetpacks() for board in jetpack.boards}
    assert by_profile == by_matrix


def test_versions_are_in_order_and_none_comes_twice() -> None:
    assert len(set(VERSIONS)) == len(VERSIONS)
    assert sorted(VERSIONS, key=version_numbers) == VERSIONS
    assert {"5.1.1", "6.0", "6.1", "6.2", "6.2.1", "7.0", "7.1", "7.2"} <= set(VERSIONS)
    for profile in JETSONS:
        assert list(profile.jetpacks) == [version for version in VERSIONS if version in profile.jetpacks]


def test_packages_never_get_older() -> None:
    for older, newer in zip(known_jetpacks(), known_jetpacks()[1:], strict=False):
        assert all(
            at_least(getattr(newer, key), getattr(older, key)) for key in ("cuda", "tensorrt", "python", "ubuntu")
        )


def test_what_is_known_of_orins_jetpack_6_2() -> None:
    jetpack = _jetpack("6.2")
    assert (jetpack.cuda, jetpack.tensorrt, jetpack.python) == ("12.6", "10.3.0", "3.10")
    assert (jetpack.torch, jetpack.torch_tensorrt, jetpack.wheels) == ("2.8.0", "2.8.0", "Jetson AI Lab jp6/cu126")
    assert jetpack.dla
    assert not jetpack.dla_int8_qdq
    assert jetpack.typing == "weak"
    assert jetpack.runs_edge


def test_jetpack_5_is_too_old_to_run_edge() -> None:
    assert not _jetpack("5.1.3").runs_edge
    assert all(jetpack.runs_edge for jetpack in known_jetpacks() if at_least(jetpack.version, "6.0"))


def test_dla_never_takes_qdq_int8_on_tensorrt_10_and_is_gone_after_10_7() -> None:
    for jetpack in known_jetpacks():
        assert not (jetpack.dla_int8_qdq and not at_least(jetpack.tensorrt, "11"))
        assert jetpack.dla == (not at_least(jetpack.tensorrt, "10.8"))


def test_torch_and_its_tensorrt_are_of_one_minor_version() -> None:
    for jetpack in known_jetpacks():
        if jetpack.torch_tensorrt:
            assert jetpack.torch is not None
            assert version_numbers(jetpack.torch)[:2] == version_numbers(jetpack.torch_tensorrt)[:2]
        assert bool(jetpack.torch) == bool(jetpack.wheels)


def test_jetpack_7_2_has_no_torch_tensorrt_for_orin() -> None:
    jetpack = _jetpack("7.2")
    assert jetpack.torch_tensorrt_for(load_device("orin-nano-8gb", {})) is None
    assert jetpack.torch_tensorrt_for(load_device("agx-thor-t5000", {})) == "2.12"
    assert _jetpack("6.2").torch_tensorrt_for(load_device("orin-nano-8gb", {})) == "2.8.0"


@pytest.mark.parametrize("name", [profile.name for profile in JETSONS])
def test_each_device_has_a_default(name: str) -> None:
    device = load_device(name, {})
    assert jetpack_for(device).version == device.default_jetpack
    assert jetpack_for(device).runs_edge
    for version in device.jetpacks:
        assert jetpack_for(device, version).version == version


def test_an_unknown_version_lists_the_known() -> None:
    with pytest.raises(DeviceError, match=r"no JetPack '6\.3' that edge knows; choose one of 5\.1, .*, 7\.2"):
        jetpack_for(load_device("orin-nano-8gb", {}), "6.3")


@pytest.mark.parametrize(
    ("name", "version", "had"),
    [
        ("orin-nano-8gb", "7.0", r"5\.1\.1, .*7\.2"),
        ("orin-nano-4gb", "5.1", r"5\.1\.1"),
        ("agx-thor-t5000", "6.2", r"7\.0, 7\.1, 7\.2"),
        ("agx-thor-t4000", "7.0", r"7\.1, 7\.2"),
    ],
)
def test_a_jetpack_that_a_device_never_had(name: str, version: str, had: str) -> None:
    with pytest.raises(DeviceError, match=rf"never had JetPack {version}; choose one of {had}"):
        jetpack_for(load_device(name, {}), version)


@pytest.mark.parametrize("name", ["dgx-spark", "x86-cpu"])
@pytest.mark.parametrize("version", [None, "6.2"])
def test_a_device_without_jetpack(name: str, version: str | None) -> None:
    with pytest.raises(DeviceError, match="has no JetPack"):
        jetpack_for(load_device(name, {}), version)


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("36.4.3", "6.2"),
        ("36.4.7", "6.2.1"),
        ("38.2.1", "7.0"),
        ("39.2.1", "7.2.1"),
        ("35.6.2", "5.1.5"),
        ("36.4.9", "6.2.1"),
    ],
)
def test_jetson_linux_tells_the_jetpack(release: str, version: str) -> None:
    jetpack = jetpack_of_l4t(release)
    assert jetpack is not None
    assert jetpack.version == version


@pytest.mark.parametrize("release", ["32.7.1", "40.0.0", "", "R36"])
def test_jetson_linux_that_is_unknown(release: str) -> None:
    assert jetpack_of_l4t(release) is None


@pytest.mark.parametrize(
    ("version", "regime"),
    [("8.5.2", "weak"), ("10.3.0.30", "weak"), ("10.16.2", "weak"), ("11.0", "strong"), ("11.4.1", "strong")],
)
def test_typing_of_tensorrt(version: str, regime: str) -> None:
    assert tensorrt_typing(version) == regime


@pytest.mark.parametrize(
    ("version", "regime"),
    [
        *(("1.4.0", "weak"), ("2.8.0", "weak"), ("2.9.1", "weak"), ("2.10.0.dev0", "explicit"), ("2.12.1", "explicit")),
        *(("2.13.0+cu130", "strong"), ("2.14", "strong"), ("3.0.0", "strong")),
    ],
)
def test_typing_of_torch_tensorrt(version: str, regime: str) -> None:
    assert torch_tensorrt_typing(version) == regime


@pytest.mark.parametrize("version", ["", "unknown", "-1", "v"])
def test_what_is_no_version(version: str) -> None:
    with pytest.raises(DeviceError, match="is no version number"):
        tensorrt_typing(version)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_versions_compare_as_their_numbers(left: list[int], right: list[int]) -> None:
    padded = [numbers + [0] * (4 - len(numbers)) for numbers in (left, right)]
    assert at_least(".".join(map(str, left)), ".".join(map(str, right))) == (padded[0] >= padded[1])
