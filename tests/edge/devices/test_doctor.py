"""The probes on made-up machines: an Orin Nano, an AGX Thor, plain x86 boxes; and each topic in each status."""

from __future__ import annotations

import re
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

from edge.devices.doctor.examination import PROBES, demand, examine
from edge.devices.doctor.finding import Finding
from edge.devices.doctor.machine import NOT_INSTALLED, Machine, import_problem
from edge.devices.doctor.package_probes import training_requirements
from edge.runtime.errors import ConfigError, GateError
from tests.runtime.machine_state.boards import ina3221

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SENSORS = ina3221("1-0040", 1, ("VDD_IN", 5072, 976), ("VDD_CPU_GPU_CV", 5072, 160), ("VDD_SOC", 5064, 296))
CURRENTS = [name for name in SENSORS if "curr" in name]
TOPICS = (
    *("python", "edge", "core", "cache", "training", "onnxruntime", "signing", "board", "gpu", "jetpack"),
    *("jetpack-packages", "power-mode", "power-rails", "tensorrt", "cuda-python", "tensorrt-rtx", "torch-tensorrt"),
    *("cross-compiler", "emulator"),
)


def _findings(machine: Machine) -> dict[str, Finding]:
    return {finding.topic: finding for finding in examine(machine)}


def _statuses(machine: Machine, *topics: str) -> dict[str, str]:
    return {topic: finding.status for topic, finding in _findings(machine).items() if topic in topics}


def test_each_probe_has_its_topic_and_says_what_it_is_for(make_machine: Callable[..., Machine]) -> None:
    findings = examine(make_machine())
    assert tuple(finding.topic for finding in findings) == TOPICS
    assert len(PROBES) == len(TOPICS)
    assert all(finding.found and finding.enables for finding in findings)
    assert all(finding.remedy is None for finding in findings if finding.status == "ok")


def test_an_orin_nano(orin_nano: Machine) -> None:
    found = _findings(orin_nano)
    assert found["board"].found.endswith("Developer Kit Super; most likely orin-nano-8gb")
    assert found["jetpack"].found == "JetPack 6.2 (Jetson Linux 36.4.3): CUDA 12.6, TensorRT 10.3.0"
    assert found["gpu"].found == "driver 540.4.0, device nodes /dev/nvhost-gpu, /dev/nvmap"
    assert found["tensorrt"].found == "TensorRT 10.3.0 imports, weak typing"
    assert found["power-mode"].found == "mode 2, MAXN_SUPER; the figures of orin-nano-8gb are for this mode"
    assert found["core"].found == "loads, built for aarch64"
    ok = ("board", "jetpack", "jetpack-packages", "gpu", "tensorrt", "power-mode", "python", "core", "emulator")
    assert set(_statuses(orin_nano, *ok).values()) == {"ok"}
    assert found["torch-tensorrt"].status == "limited"
    assert "2.8.0, weak typing" in found["torch-tensorrt"].found
    assert found["cuda-python"].remedy == "pip install 'cuda-python~=12.6'"


@pytest.mark.parametrize(
    ("files", "programs", "expected"),
    [
        (SENSORS, (), "ok: VDD_IN, VDD_CPU_GPU_CV, VDD_SOC"),
        ({**SENSORS, **dict.fromkeys(CURRENTS, "-")}, (), "missing: rail VDD_IN: curr1_input is no number ('-'); rail"),
        ({}, (), "missing: no power sensor under hwmon"),
        ({}, ("tegrastats",), "limited: no power sensor under hwmon; tegrastats tells them"),
    ],
)
def test_rails_that_can_be_read_are_named(
    make_machine: Callable[..., Machine], files: dict[str, str], programs: tuple[str, ...], expected: str
) -> None:
    machine = make_machine(files, program=lambda name: f"/usr/bin/{name}" if name in programs else None)
    found = _findings(machine)["power-rails"]
    assert f"{found.status}: {found.found}".startswith(expected)


def test_an_orin_nano_is_never_told_to_overwrite_its_torch(orin_nano: Machine) -> None:
    training = _findings(orin_nano)["training"]
    assert training.status == "limited"
    assert "torch 2.8.0 (needs 2.13)" in training.found
    assert training.remedy is None


def test_an_agx_thor_in_an_environment_that_hides_jetpack(agx_thor: Machine) -> None:
    found = _findings(agx_thor)
    assert found["board"].found == "NVIDIA Jetson AGX Thor Developer Kit; most likely agx-thor-t5000"
    assert found["jetpack"].found == "JetPack 7.0 (Jetson Linux 38.2.0): CUDA 13.0, TensorRT 10.13.3"
    assert found["power-mode"].found == "mode 1, 120W; the figures of agx-thor-t5000 are for MAXN"
    assert found["gpu"].found == "driver 580.00, device nodes /dev/nvidia0"
    for topic in ("tensorrt", "jetpack-packages"):
        assert found[topic].status == "limited"
        assert "--system-site-packages" in (found[topic].remedy or "")


def test_a_plain_x86_box(make_machine: Callable[..., Machine]) -> None:
    found = _findings(make_machine(packages={"edge-fusion": "0.1.0", "onnxruntime": "1.32.0"}))
    missing = ("board", "gpu", "jetpack", "jetpack-packages", "power-mode", "tensorrt", "tensorrt-rtx")
    assert {found[topic].status for topic in missing} == {"missing"}
    assert found["onnxruntime"].found == "ONNX Runtime 1.32.0, with integer kernels for INT8"
    assert found["core"].found == "loads, its loops for AVX2"
    assert "preflight" in (found["tensorrt-rtx"].remedy or "")
    assert found["tensorrt"].remedy is None  # without a GPU it could build nothing
    assert found["cross-compiler"].remedy == "sudo apt install g++-aarch64-linux-gnu"


def test_x86_without_vnni_emulates_int8(make_machine: Callable[..., Machine]) -> None:
    files = {"proc/cpuinfo": "flags : fpu sse4_2\n"}
    found = _findings(make_machine(files, {"onnxruntime": "1.18.0"}))
    assert found["onnxruntime"].status == "limited"
    assert "emulated" in found["onnxruntime"].found
    assert found["core"].found.endswith("no AVX2")


def test_a_gpu_that_lacks_its_driver(make_machine: Callable[..., Machine]) -> None:
    card = {"sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n"}
    assert _findings(make_machine(card))["gpu"].remedy == "sudo ubuntu-drivers install"
    driver = {**card, "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  595.78  Mon\n"}
    found = _findings(make_machine(driver))["gpu"]
    assert (found.status, found.found) == ("limited", "driver 595.78, but no device node")
    with_node = _findings(make_machine({**driver, "dev/nvidia0": ""}))
    assert with_node["gpu"].status == "ok"
    assert with_node["tensorrt"].remedy == "pip install tensorrt"


BOARD_FAULTS: dict[str, tuple[dict[str, str], str, str]] = {
    "unknown release": (
        {"etc/nv_tegra_release": "# R32 (release), REVISION: 7.1, G"},
        "jetpack",
        "limited: .*32.7.1 belongs",
    ),
    "no release": ({"proc/device-tree/compatible": "nvidia,p3767-0003"}, "jetpack", "limited: no Jetson Linux"),
    "JetPack 5": (
        {"etc/nv_tegra_release": "# R35 (release), REVISION: 4.1, G"},
        "jetpack",
        r"limited: .*5\.1\.2.*3\.8",
    ),
    "unknown module": ({"proc/device-tree/model": "NVIDIA New Board\0"}, "board", "limited: .*no shipped profile"),
    "no power mode": ({"etc/nv_tegra_release": "# R36 (release), REVISION: 3.0, G"}, "power-mode", "missing: .*status"),
    "a mode without a name": (
        {"proc/device-tree/compatible": "nvidia,p3767-0003", "var/lib/nvpmodel/status": "pmode:0007"},
        "power-mode",
        "limited: mode 7, a name that",
    ),
    "no bindings": (
        {"etc/nv_tegra_release": "# R36 (release), REVISION: 3.0, G"},
        "jetpack-packages",
        "missing: .*bindings",
    ),
    "no device node": (
        {"etc/nv_tegra_release": "# R36 (release), REVISION: 3.0, G"},
        "gpu",
        "missing: no NVIDIA driver",
    ),
}


@pytest.mark.parametrize("fault", BOARD_FAULTS)
def test_a_board_that_is_not_whole(fault: str, make_machine: Callable[..., Machine]) -> None:
    files, topic, expected = BOARD_FAULTS[fault]
    found = _findings(make_machine(files, architecture="aarch64"))[topic]
    assert re.match(expected, f"{found.status}: {found.found}")


def test_a_tensorrt_of_another_version_than_the_jetpacks(make_machine: Callable[..., Machine]) -> None:
    files = {"etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, G"}
    found = _findings(make_machine(files, {"tensorrt": "11.4.0"}, {"tensorrt": None}))["tensorrt"]
    assert found.status == "limited"
    assert found.found == "TensorRT 11.4.0 imports, strong typing; JetPack 6.2 brings 10.3.0"


def test_a_tensorrt_whose_libraries_are_missing(make_machine: Callable[..., Machine]) -> None:
    problems = {"tensorrt": "libnvinfer.so.10: cannot open", "tensorrt_rtx": "libcuda.so.1: cannot open"}
    found = _findings(make_machine(packages={"tensorrt-cu13": "10.16.1", "tensorrt-rtx": "1.7.1"}, problems=problems))
    assert found["tensorrt"].status == found["tensorrt-rtx"].status == "limited"
    assert found["tensorrt"].found == "TensorRT 10.16.1 does not import: libnvinfer.so.10: cannot open"
    assert found["tensorrt-rtx"].found == "TensorRT-RTX 1.7.1 does not import: libcuda.so.1: cannot open"


def test_what_preflight_brings(make_machine: Callable[..., Machine]) -> None:
    packages = {"tensorrt-rtx": "1.7.1.116", "torch-tensorrt-rtx": "2.13.0"}
    found = _findings(make_machine(packages=packages, problems={"tensorrt_rtx": None}))
    assert (found["tensorrt-rtx"].status, found["tensorrt-rtx"].found) == ("ok", "TensorRT-RTX 1.7.1.116 imports")
    assert (found["torch-tensorrt"].status, found["torch-tensorrt"].found) == (
        "ok",
        "Torch-TensorRT 2.13.0, strong typing",
    )


def test_training_needs_all_of_its_extra_and_new_enough(make_machine: Callable[..., Machine]) -> None:
    required = training_requirements()
    assert {"torch", "torchao", "transformers", "onnx", "onnxscript"} <= set(required)
    assert _findings(make_machine(packages=required))["training"].status == "ok"
    without = {name: version for name, version in required.items() if name != "onnx"}
    found = _findings(make_machine(packages={**without, "torchao": "0.1"}))["training"]
    assert found.status == "limited"
    assert found.found.startswith(f"absent: onnx; too old: torchao 0.1 (needs {required['torchao']})")
    assert found.remedy == "pip install 'edge-fusion[train]'"
    assert _findings(make_machine())["training"].status == "missing"


@pytest.mark.parametrize(
    ("changes", "topic", "status"),
    [
        ({"python": "3.9.2"}, "python", "missing"),
        ({"problems": {"edge.runtime._core": "undefined symbol"}}, "core", "missing"),
        ({"packages": {"cryptography": "46.0"}}, "signing", "ok"),
        ({"packages": {"cuda-bindings": "13.0.1"}}, "cuda-python", "ok"),
        ({"packages": {"onnxruntime-gpu": "1.24.0"}}, "onnxruntime", "ok"),
        ({"program": lambda name: f"/usr/bin/{name}"}, "cross-compiler", "ok"),
        ({"program": {"qemu-aarch64-static": "/usr/bin/qemu-aarch64-static"}.get}, "emulator", "ok"),
        ({"program": {"g++": "/usr/bin/g++"}.get}, "cross-compiler", "missing"),
        ({"program": {"g++": "/usr/bin/g++"}.get, "architecture": "aarch64"}, "cross-compiler", "ok"),
    ],
)
def test_one_thing_alone(
    changes: dict[str, Any], topic: str, status: str, make_machine: Callable[..., Machine]
) -> None:
    assert _findings(make_machine(**changes))[topic].status == status


def test_the_cache_may_be_made_but_not_where_a_file_stands(
    make_machine: Callable[..., Machine], tmp_path: Path
) -> None:
    assert _findings(make_machine())["cache"].found == f"{tmp_path}/.cache/edge can be written"
    assert not (tmp_path / ".cache").exists()
    (tmp_path / "file").write_text("")
    found = _findings(make_machine(environ={"EDGE_CACHE": str(tmp_path / "file" / "below")}))["cache"]
    assert (found.status, found.remedy) == ("missing", "export EDGE_CACHE=<a folder of yours>")


def test_what_is_needed_and_there_or_limited_passes(orin_nano: Machine) -> None:
    demand(examine(orin_nano), ["tensorrt", "torch-tensorrt", "gpu"])


def test_what_is_needed_and_missing_is_named_with_its_command(orin_nano: Machine) -> None:
    with pytest.raises(
        GateError, match=r"lacks signing \(cryptography is not installed\), .*; run: pip install "
    ) as raised:
        demand(examine(orin_nano), ["signing", "cuda-python", "signing"])
    assert raised.value.exit_code == 3
    assert raised.value.problem.count("signing") == 1


def test_what_no_command_adds_says_so(make_machine: Callable[..., Machine]) -> None:
    with pytest.raises(GateError, match="use another machine"):
        demand(examine(make_machine()), ["jetpack"])


def test_an_unknown_topic_offers_the_nearest(orin_nano: Machine) -> None:
    with pytest.raises(ConfigError, match="no such topic; did you mean tensorrt"):
        demand(examine(orin_nano), ["tensort"])
    with pytest.raises(ConfigError, match="choose one of python, edge"):
        demand(examine(orin_nano), ["zzzz"])


def test_import_problems_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "broken_bindings.py").write_text("raise OSError('libnvinfer.so: cannot open\\nmore')")
    (tmp_path / "needs_another.py").write_text("import a_module_that_is_nowhere")
    assert import_problem("json") is None
    assert import_problem("no_such_module_at_all") == NOT_INSTALLED
    assert import_problem("no_such_parent.child") == NOT_INSTALLED
    assert import_problem("broken_bindings") == "libnvinfer.so: cannot open"
    assert import_problem("needs_another") == "No module named 'a_module_that_is_nowhere'"


def test_this_machine_is_examined_quickly_and_loads_nothing_heavy() -> None:
    before = set(sys.modules)
    start = perf_counter()
    findings = examine(Machine())
    assert perf_counter() - start < 5  # two seconds where the machine is not shared
    assert {finding.topic: finding.status for finding in findings}["core"] == "ok"
    assert {"torch", "torch_tensorrt", "onnx", "transformers"}.isdisjoint(set(sys.modules) - before)
