"""Finding a device: shipped, the user's own, by path; and every way a file can be wrong, named by file and key."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from edge.devices.catalog import known_devices, load_device
from edge.runtime.errors import ConfigError, DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _write(path: Path, **changes: Any) -> Path:
    content = load_device("orin-nano-8gb", {}).model_dump(mode="json", by_alias=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({**content, "name": path.stem, **changes}))
    return path


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("orin-nano", "orin-nano-8gb"),
        ("orin_nano_8gb", "orin-nano-8gb"),
        ("Orin-NX-16", "orin-nx-16gb"),
        ("t5000", "agx-thor-t5000"),
        ("agx-orin", "agx-orin-64gb"),
        ("spark", "dgx-spark"),
    ],
)
def test_an_unknown_name_offers_the_nearest(given: str, nearest: str) -> None:
    with pytest.raises(DeviceError, match=f"there is no device '{given}'; did you mean .*{nearest}"):
        load_device(given, {})


def test_a_name_like_no_other_lists_all() -> None:
    with pytest.raises(DeviceError) as raised:
        load_device("zzzz", {})
    assert all(name in str(raised.value) for name in known_devices({}))
    assert isinstance(raised.value, ConfigError)
    assert raised.value.exit_code == 2


def test_a_file_of_ones_own_by_its_path(tmp_path: Path) -> None:
    path = _write(tmp_path / "rover.yaml", title="Our rover", default_jetpack="6.2.2")
    assert load_device(path, {}).title == "Our rover"
    assert load_device(str(path), {}).default_jetpack == "6.2.2"


def test_a_path_need_not_carry_the_name(tmp_path: Path) -> None:
    assert load_device(_write(tmp_path / "copy.yaml", name="rover"), {}).name == "rover"


def test_folders_of_the_environment_add_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "a" / "rover.yaml", title="first")
    _write(tmp_path / "b" / "rover.yaml", title="second")
    _write(tmp_path / "b" / "boat.yml")
    (tmp_path / "b" / "README.md").write_text("not a device")
    monkeypatch.setenv("EDGE_DEVICES", os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path / "b")]))
    assert {"rover", "boat", "orin-nano-8gb"} <= set(known_devices())
    assert "README" not in known_devices()
    assert load_device("rover").title == "first"
    with pytest.raises(DeviceError, match=r"did you mean .*rover"):
        load_device("rovr")


def test_ones_own_profile_wins_over_a_shipped_one_and_that_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = _write(tmp_path / "orin-nano-8gb.yaml", title="Mine")
    with caplog.at_level(logging.WARNING):
        assert load_device("orin-nano-8gb", {"EDGE_DEVICES": str(tmp_path)}).title == "Mine"
    assert str(path) in caplog.text
    caplog.clear()
    assert load_device("orin-nx-8gb", {"EDGE_DEVICES": str(tmp_path)}).title.startswith("Jetson")
    assert not caplog.text


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="nowhere, a folder of EDGE_DEVICES, does not exist"):
        known_devices({"EDGE_DEVICES": str(tmp_path / "nowhere")})


def test_file_and_profile_carry_the_same_name(tmp_path: Path) -> None:
    path = _write(tmp_path / "rover.yaml", name="boat")
    with pytest.raises(DeviceError, match=rf"{path.name}: name: it is 'boat'"):
        load_device("rover", {"EDGE_DEVICES": str(tmp_path)})


def _mode(**changes: Any) -> list[dict[str, Any]]:
    return [{"id": 2, "name": "MAXN_SUPER", **changes}]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "newer schema": ({"schema": 2}, "schema: "),
    "unknown key": ({"colour": "red"}, "colour: "),
    "unknown kind": ({"kind": "drone"}, "kind: "),
    "bad name": ({"name": "Rover 1"}, "name: "),
    "bad capability": ({"gpu": {"name": "x", "sm": "87", "multiprocessors": 8, "clock_mhz": 1}}, r"gpu\.sm: "),
    "no sources": ({"sources": []}, "sources: "),
    "a source that is no page": ({"sources": [{"what": "all", "url": "a friend"}]}, r"sources\.0\.url: "),
    "no memory": ({"memory": {"gib": 0, "shared": True, "bandwidth_gb_s": 1}}, r"memory\.gib: "),
    "infinite": ({"memory": {"gib": 8, "shared": True, "bandwidth_gb_s": float("inf")}}, r"memory\.bandwidth_gb_s: "),
    "slower INT8": ({"peak": {"int8_tops": 1, "fp16_tflops": 2}}, "peak: .*int8_tops must be at least"),
    "slower FP16": ({"peak": {"fp16_tflops": 1, "fp32_tflops": 2}}, "peak: .*int8_tops must be at least"),
    "unknown power mode": ({"power_mode": "TURBO"}, "power_mode: 'TURBO' is none of 15W"),
    "no power modes": ({"power_modes": []}, "power_modes: "),
    "two modes of one number": ({"power_modes": [*_mode(), *_mode(name="b")]}, "power_modes: two have the same id"),
    "two modes of one name": ({"power_modes": [*_mode(), *_mode(id=3)]}, "power_modes: two have the same id"),
    "more cores than there are": ({"power_modes": _mode(cpu_cores=7)}, "MAXN_SUPER has more CPU cores"),
    "more SMs than there are": ({"power_modes": _mode(multiprocessors=9)}, "MAXN_SUPER has more multiprocessors"),
    "default it never had": ({"default_jetpack": "7.0"}, "default_jetpack: '7.0' is none of jetpacks"),
    "no default": ({"default_jetpack": None}, "default_jetpack: 'None' is none of jetpacks"),
    "a JetPack twice": ({"jetpacks": ["6.2", "6.2"]}, "jetpacks: one is listed twice"),
    "a Jetson without JetPack": (
        {"jetpacks": [], "default_jetpack": None},
        "jetpacks: a device of kind jetson has some",
    ),
    "a Jetson without GPU": ({"gpu": None}, "gpu: a device of kind jetson has one"),
    "an x86 Jetson": ({"architecture": "x86_64"}, "architecture: a device of kind jetson is aarch64"),
    "a CPU with GPU": ({"kind": "cpu"}, "gpu: a device of kind cpu has none"),
    "a DGX with JetPack": ({"kind": "dgx"}, "jetpacks: a device of kind dgx has none"),
    "a DGX with DLA": (
        {"kind": "dgx", "jetpacks": [], "default_jetpack": None, "dla": {"cores": 1, "int8_tops": 1}},
        "dla: only devices of kind jetson",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_malformed_profile_names_file_and_key(fault: str, tmp_path: Path) -> None:
    changes, message = WRONG[fault]
    path = _write(tmp_path / "rover.yaml", **changes)
    with pytest.raises(DeviceError, match=message) as raised:
        load_device(path, {})
    assert str(path) in raised.value.problem


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "cannot read"),
    "not YAML": (lambda path: path.write_text("a: [1"), "is not YAML"),
    "not text": (lambda path: path.write_bytes(b"\xff\xfe\x00"), "is not YAML"),
    "empty": (lambda path: path.write_text(""), "holds no device profile"),
    "a list": (lambda path: path.write_text("- 1"), "holds no device profile"),
    "an object": (lambda path: path.write_text("!!python/object:os.system {}"), "is not YAML"),
}


@pytest.mark.parametrize("fault", UNREADABLE)
def test_a_file_that_is_no_profile_is_named(fault: str, tmp_path: Path) -> None:
    prepare, message = UNREADABLE[fault]
    path = tmp_path / "rover.yaml"
    prepare(path)
    with pytest.raises(DeviceError, match=message) as raised:
        load_device(path, {})
    assert str(path) in raised.value.problem


def test_a_broken_file_beside_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("{")
    environ = {"EDGE_DEVICES": str(tmp_path)}
    assert "broken" in known_devices(environ)
    assert load_device("orin-nano-8gb", environ).sm_name == "SM87"
    with pytest.raises(DeviceError, match=r"broken\.yaml is not YAML"):
        load_device("broken", environ)
