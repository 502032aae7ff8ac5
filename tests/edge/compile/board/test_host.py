"""The machine as the key of its engines has it, and what is said where a piece of it is missing."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from edge.compile.board import host as hosts
from edge.compile.board.graph_choice import choose_graph
from edge.compile.board.host import BoardHost, is_tensorrt_expected, open_host
from edge.compile.tensorrt import library
from edge.compile.tensorrt.library import TensorRTLibrary
from edge.devices.board import read_board
from edge.runtime import capabilities
from edge.runtime.capabilities import require_module
from edge.runtime.engine_key import graph_digest
from edge.runtime.engines import cuda_runtime
from edge.runtime.errors import BundleError, ConfigError, MissingDependencyError
from tests.edge.simulated_host import ORIN_NANO, SimulatedHost, packed
from tests.runtime.engines.cuda_names import Status
from tests.runtime.engines.simulated_board import SimulatedBoard

if TYPE_CHECKING:
    from pathlib import Path

    from edge.packing.pack import BundleContents
    from edge.runtime.engine_key import Flag

RELEASE = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: ...\n"


def a_machine(
    monkeypatch: pytest.MonkeyPatch, board: SimulatedBoard, root: Path, absent: tuple[str, ...] = ()
) -> SimulatedBoard:
    """Lets the real `open_host` find a simulated TensorRT and CUDA, and the files of a machine below `root`."""
    found = {"tensorrt": board.trt, "cuda.bindings.runtime": board.cuda}
    modules = {name: module for name, module in found.items() if name not in absent}
    monkeypatch.setattr(capabilities, "has_module", modules.__contains__)
    for user in (library, cuda_runtime, hosts):
        monkeypatch.setattr(user, "has_module", modules.__contains__)
    for user in (library, cuda_runtime):
        monkeypatch.setattr(user, "require_module", lambda name: modules.get(name) or require_module(name))
    monkeypatch.setattr(hosts, "read_board", lambda: read_board(root))
    return board


def jetson_files(root: Path) -> None:
    (root / "proc" / "device-tree").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "proc" / "device-tree" / "model").write_bytes(ORIN_NANO.encode() + b"\0")
    (root / "proc" / "device-tree" / "compatible").write_bytes(
        b"nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0"
    )
    (root / "etc" / "nv_tegra_release").write_text(RELEASE)


def test_a_key_holds_all_that_an_engine_depends_on(
    small_contents: BundleContents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jetson_files(tmp_path)
    a_machine(monkeypatch, SimulatedBoard(integrated=True), tmp_path)
    graph = small_contents.graphs["fp32"]
    flags: dict[str, Flag] = {"workspace_mib": 896, "regime": "auto"}
    host = open_host()
    key = host.key(graph, small_contents.model_io, flags)
    assert key.graph_sha256 == graph_digest(graph)
    assert {name: str(shape) for name, shape in key.inputs.items()} == {
        "camera": "1x3x64x208",
        "lidar": "1x4x64x208",
        "audio": "1x1x40x96",
        "present": "1x3",
    }
    assert (key.compute_capability, key.device) == ("8.7", ORIN_NANO)
    assert (key.library, key.library_version) == ("tensorrt", "10.3.0")
    assert (key.jetpack, key.l4t, key.flags) == ("6.2", "36.4.3", flags)
    assert host.title == f"TensorRT 10.3.0 on {ORIN_NANO}"


def test_elsewhere_the_device_has_the_drivers_name(
    small_contents: BundleContents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sys/class/dmi/id").mkdir(parents=True)
    (tmp_path / "sys/class/dmi/id/product_name").write_text("Standard PC (Q35 + ICH9, 2009)\n")
    a_machine(monkeypatch, SimulatedBoard(), tmp_path)
    key = open_host().key(small_contents.graphs["fp32"], small_contents.model_io, {})
    assert (key.device, key.jetpack, key.l4t) == ("Simulated", None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "10.7.0"},
        {"l4t": "36.4.0"},
        {"l4t": None},
        {"model": "NVIDIA Jetson AGX Orin Developer Kit"},
    ],
)
def test_another_machine_has_another_key(small_contents: BundleContents, change: dict[str, Any]) -> None:
    graph, model_io = small_contents.graphs["fp32"], small_contents.model_io
    here, there = (SimulatedHost(**facts).open().key(graph, model_io, {}) for facts in ({}, change))
    assert here.digest != there.digest
    assert here.differences(there)


@pytest.mark.parametrize(
    ("absent", "problem", "remedy"),
    [
        (("tensorrt",), "neither TensorRT nor TensorRT-RTX imports here", "comes with JetPack"),
        (("cuda.bindings.runtime",), "needs the Python package cuda", r"edge-fusion\[board\].*cuda-python<13"),
    ],
)
def test_what_is_not_installed_names_how_it_comes(
    absent: tuple[str, ...], problem: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_machine(monkeypatch, SimulatedBoard(), tmp_path, absent)
    with pytest.raises(MissingDependencyError, match=f"{problem}.*{remedy}"):
        open_host()


def test_a_driver_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = a_machine(monkeypatch, SimulatedBoard(), tmp_path)
    board.cuda.driver_version = 0
    board.cuda.fail("cudaGetDeviceCount", status=Status.cudaErrorInsufficientDriver)
    with pytest.raises(
        MissingDependencyError, match=r"there is no NVIDIA driver here.*on a Jetson it is part of JetPack"
    ):
        open_host()


def test_an_old_tensorrt_is_refused_with_the_jetpack_that_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_machine(monkeypatch, SimulatedBoard("8.6.2"), tmp_path)
    with pytest.raises(MissingDependencyError, match=r"TensorRT 8\.6\.2 is older than 10\.3.*JetPack 6\.1"):
        open_host()


def test_another_device_is_opened_by_its_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_machine(monkeypatch, SimulatedBoard(devices=2), tmp_path)
    assert open_host(1).device.index == 1
    with pytest.raises(ConfigError, match="there is no CUDA device 2; choose one of 0 to 1"):
        open_host(2)


@pytest.mark.parametrize(
    ("absent", "jetson", "expected"),
    [((), False, True), (("tensorrt",), True, True), (("tensorrt",), False, False)],
)
def test_whether_anybody_would_miss_tensorrt(
    absent: tuple[str, ...], jetson: bool, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if jetson:
        jetson_files(tmp_path)
    a_machine(monkeypatch, SimulatedBoard(), tmp_path, absent)
    assert is_tensorrt_expected() is expected


def of_version(version: str) -> BoardHost:
    return SimulatedHost(version, None).open()


@pytest.mark.parametrize(
    ("dialects", "version", "typed", "chosen"),
    [
        (("s8", "s8f16", "u8", "fp32"), "10.3.0", False, "s8"),
        (("s8", "s8f16", "u8", "fp32"), "10.3.0", True, "s8f16"),
        (("s8", "s8f16", "u8", "fp32"), "11.1.0", False, "s8f16"),
        (("s8", "s8f16", "u8", "fp32"), "rtx-1.7.1", False, "s8f16"),
        (("s8", "fp32"), "11.1.0", False, "s8"),
        (("s8f16", "fp32"), "10.3.0", False, "fp32"),
        (("u8", "fp32"), "10.3.0", False, "fp32"),
    ],
)
def test_the_graph_suits_the_tensorrt(
    small_contents: BundleContents,
    tmp_path: Path,
    dialects: tuple[str, ...],
    version: str,
    typed: bool,
    chosen: str,
) -> None:
    graphs: dict[str, Any] = dict.fromkeys(dialects, small_contents.graphs["fp32"])
    bundle = packed(tmp_path / "bundle", small_contents, **graphs)
    host = of_version(version)
    if version.startswith("rtx"):
        assert TensorRTLibrary(host.libraries.trt, "tensorrt_rtx").typed_only
    assert choose_graph(bundle, host, typed=typed) == chosen
    assert choose_graph(bundle, host, dialects[-1], typed=typed) == dialects[-1]


def test_a_graph_that_tensorrt_does_not_take_is_refused(small_contents: BundleContents, tmp_path: Path) -> None:
    graph = small_contents.graphs["fp32"]
    host = of_version("10.3.0")
    only = packed(tmp_path / "only", small_contents, u8=graph)
    for dialect, message in ((None, "no graph for TensorRT, only u8"), ("u8", "pack the bundle with s8 or fp32")):
        with pytest.raises(BundleError, match=message):
            choose_graph(only, host, dialect)
    both = packed(tmp_path / "both", small_contents, u8=graph, s8=graph)
    with pytest.raises(BundleError, match=r"the u8 graph is for ONNX Runtime on x86.*choose one of s8"):
        choose_graph(both, host, "u8")
    with pytest.raises(BundleError, match="has no 's9' graph; choose one of s8, u8"):
        choose_graph(both, host, "s9")


def test_a_long_name_fits_into_the_key(small_contents: BundleContents) -> None:
    host = SimulatedHost(model="Jetson " * 40).open()
    assert len(host.key(small_contents.graphs["fp32"], small_contents.model_io, {}).device) == 100
    assert dataclasses.replace(host, board=None).device_name == "Simulated"
