"""Boards by what the system shows of them: part numbers, the release of Jetson Linux, and what is unreadable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.devices.board import read_board
from edge.devices.catalog import shipped_devices
from edge.runtime.machine_state.system_files import read_text

if TYPE_CHECKING:
    from pathlib import Path

MODULES = [(module, p.name) for p in shipped_devices() for module in p.modules if module.startswith("p3")]


def _tree(root: Path, **files: str) -> Path:
    names = {
        "model": "proc/device-tree/model",
        "compatible": "proc/device-tree/compatible",
        "release": "etc/nv_tegra_release",
        "product": "sys/class/dmi/id/product_name",
    }
    for key, content in files.items():
        path = root / names[key]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
    return root


@pytest.mark.parametrize(("module", "name"), MODULES)
def test_every_part_number_tells_its_device_on_any_carrier(module: str, name: str, tmp_path: Path) -> None:
    compatible = f"nvidia,p3509-0000+{module}\0nvidia,{module}\0nvidia,tegra234\0"
    board = read_board(_tree(tmp_path, model="A Jetson\0", compatible=compatible))
    assert board is not None
    assert board.device is not None
    assert (board.model, board.device.name, board.is_jetson) == ("A Jetson", name, True)


def test_dgx_spark_is_told_by_its_firmware(tmp_path: Path) -> None:
    board = read_board(_tree(tmp_path, product="NVIDIA_DGX_Spark\n"))
    assert board is not None
    assert board.device is not None
    assert (board.device.name, board.is_jetson, board.jetpack) == ("dgx-spark", False, None)


def test_a_plain_host_is_no_board(tmp_path: Path) -> None:
    assert read_board(_tree(tmp_path, product="Standard PC (Q35 + ICH9, 2009)\n")) is None
    assert read_board(tmp_path / "nothing") is None


def test_an_arm_board_of_others_has_a_model_and_no_profile(tmp_path: Path) -> None:
    board = read_board(_tree(tmp_path, model="Raspberry Pi 5 Model B Rev 1.0\0", compatible="raspberrypi,5-model-b\0"))
    assert board is not None
    assert (board.model, board.device, board.is_jetson) == ("Raspberry Pi 5 Model B Rev 1.0", None, False)


def test_in_a_container_only_the_release_may_be_there(tmp_path: Path) -> None:
    board = read_board(_tree(tmp_path, release="# R36 (release), REVISION: 5.0, GCID: 1, BOARD: generic\n"))
    assert board is not None
    assert board.is_jetson
    assert (board.l4t, board.jetpack and board.jetpack.version) == ("36.5.0", "6.2.2")


@pytest.mark.parametrize("release", ["", "garbage", "# R (release), REVISION: x", "R36"])
def test_a_release_that_says_nothing(release: str, tmp_path: Path) -> None:
    board = read_board(_tree(tmp_path, model="A Jetson\0", release=release))
    assert board is not None
    assert (board.l4t, board.jetpack) == (None, None)


def test_a_jetson_linux_that_edge_does_not_know(tmp_path: Path) -> None:
    board = read_board(_tree(tmp_path, release="# R32 (release), REVISION: 7.1, GCID: 1\n"))
    assert board is not None
    assert (board.l4t, board.jetpack) == ("32.7.1", None)


def test_a_folder_in_the_place_of_a_file_is_unreadable(tmp_path: Path) -> None:
    assert read_text(tmp_path) is None
    (tmp_path / "empty").write_bytes(b"\x00\n")
    assert read_text(tmp_path / "empty") is None
