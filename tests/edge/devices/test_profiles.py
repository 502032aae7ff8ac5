"""Every profile that ships: complete, sourced, and in agreement with the figures on the makers' own pages."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from edge.devices.catalog import known_devices, load_device, shipped_devices
from edge.devices.profile import DeviceProfile
from edge.devices.version_order import at_least

PROFILES = {profile.name: profile for profile in shipped_devices()}
JETSONS = sorted(name for name, profile in PROFILES.items() if profile.kind == "jetson")
ASKED_FOR = {
    *("orin-nano-4gb", "orin-nano-8gb", "orin-nx-8gb", "orin-nx-16gb", "agx-orin-32gb", "agx-orin-64gb"),
    *("agx-thor-t4000", "agx-thor-t5000", "dgx-spark", "x86-cpu", "arm-cpu"),
}
# From NVIDIA's data sheets: sparse INT8 TOPS of GPU and DLA together, in the profile's power mode.
SPARSE_TOPS = {
    **{"orin-nano-4gb": 34, "orin-nano-8gb": 67, "orin-nx-8gb": 117, "orin-nx-16gb": 157},
    **{"agx-orin-32gb": 200, "agx-orin-64gb": 275, "agx-thor-t4000": 600, "agx-thor-t5000": 1035},
}
# From the same: CUDA cores (128 an SM), CPU cores, GB of memory, GB/s, DLA cores.
DATA_SHEET = {
    "orin-nano-4gb": (512, 6, 4, 51, 0),
    "orin-nano-8gb": (1024, 6, 8, 102, 0),
    "orin-nx-8gb": (1024, 6, 8, 102.4, 1),
    "orin-nx-16gb": (1024, 8, 16, 102.4, 2),
    "agx-orin-32gb": (1792, 8, 32, 204.8, 2),
    "agx-orin-64gb": (2048, 12, 64, 204.8, 2),
    "agx-thor-t4000": (1536, 12, 64, 273, 0),
    "agx-thor-t5000": (2560, 14, 128, 273, 0),
}
# Dense operations of one SM in one clock: INT8, FP16 (tensor cores), FP32 (CUDA cores).
OPERATIONS = {"8.7": (4096, 2048, 256), "11.0": (16384, 8192, 256), "12.1": (2048, 1024, 256)}
CLOSE = 0.03  # data sheets round


def test_all_that_were_promised_ship() -> None:
    assert set(PROFILES) == ASKED_FOR == set(known_devices({}))


@pytest.mark.parametrize("name", sorted(ASKED_FOR))
def test_it_loads_by_name_and_survives_a_round_trip(name: str) -> None:
    profile = load_device(name, {})
    assert profile == PROFILES[name]
    assert DeviceProfile.model_validate(profile.model_dump(mode="json", by_alias=True)) == profile


@pytest.mark.parametrize("name", sorted(ASKED_FOR))
def test_every_figure_has_a_page(name: str) -> None:
    profile = PROFILES[name]
    told = " ".join(source.what for source in profile.sources).lower()
    assert all(word in told for word in ("memory" if profile.kind == "cpu" else "bandwidth", "clock", "cores"))
    assert len({source.url for source in profile.sources}) == len(profile.sources)
    assert profile.notes


@pytest.mark.parametrize("name", JETSONS)
def test_dense_peaks_agree_with_the_sparse_ones_on_the_data_sheet(name: str) -> None:
    profile = PROFILES[name]
    assert profile.peak.int8_tops is not None
    dla = profile.dla.cores * profile.dla.int8_tops if profile.dla else 0.0
    assert 2 * (profile.peak.int8_tops + dla) == pytest.approx(SPARSE_TOPS[name], rel=CLOSE)


@pytest.mark.parametrize(("mode", "sparse_tops"), [("MAXN", 171), ("MODE_50W", 109), ("MODE_30W", 41)])
def test_power_modes_of_agx_orin_agree_with_nvidias_table(mode: str, sparse_tops: float) -> None:
    """Sparse INT8 TOPS of the GPU alone, from the README of NVIDIA's Deep-Learning-Accelerator-SW."""
    found = PROFILES["agx-orin-64gb"].power_mode_named(mode)
    assert found.multiprocessors is not None
    assert found.gpu_mhz is not None
    rate = 2 * OPERATIONS["8.7"][0]
    assert found.multiprocessors * rate * found.gpu_mhz / 1e6 == pytest.approx(sparse_tops, rel=CLOSE)


@pytest.mark.parametrize("name", [*JETSONS, "dgx-spark"])
def test_peaks_are_multiprocessors_times_rate_times_clock(name: str) -> None:
    profile = PROFILES[name]
    assert profile.gpu is not None
    clocks = profile.gpu.multiprocessors * profile.gpu.clock_mhz * 1e6
    peak = (profile.peak.int8_tops, profile.peak.fp16_tflops, profile.peak.fp32_tflops)
    derived = [operations * clocks / 1e12 for operations in OPERATIONS[profile.gpu.sm]]
    assert peak == pytest.approx(derived, rel=CLOSE)


def test_dgx_spark_is_within_a_twentieth_of_what_nvidia_states() -> None:
    peak = PROFILES["dgx-spark"].peak
    assert peak.int8_tops is not None
    assert peak.int8_tops * 4 == pytest.approx(1000, rel=0.05)  # sparse FP4: twice for FP4, twice for sparsity
    assert peak.fp32_tflops == pytest.approx(31, rel=0.05)


@pytest.mark.parametrize("name", JETSONS)
def test_hardware_is_that_of_the_data_sheet(name: str) -> None:
    profile = PROFILES[name]
    cuda_cores, cpu_cores, gigabytes, bandwidth, dla_cores = DATA_SHEET[name]
    assert profile.gpu is not None
    assert profile.gpu.multiprocessors * 128 == cuda_cores
    assert (profile.cpu.cores, profile.memory.gib) == (cpu_cores, gigabytes)
    assert profile.memory.bandwidth_gb_s == pytest.approx(bandwidth, rel=0.005)
    assert (profile.dla.cores if profile.dla else 0) == dla_cores


@pytest.mark.parametrize("name", sorted(ASKED_FOR))
def test_figures_are_those_of_the_power_mode(name: str) -> None:
    profile = PROFILES[name]
    mode = profile.mode
    assert mode.name == profile.power_mode
    assert mode.bandwidth_gb_s == profile.memory.bandwidth_gb_s
    assert mode.cpu_cores == profile.cpu.cores
    if profile.gpu:
        assert (mode.gpu_mhz, mode.multiprocessors) == (profile.gpu.clock_mhz, profile.gpu.multiprocessors)
    assert all((m.gpu_mhz or 0) <= (mode.gpu_mhz or 0) for m in profile.power_modes)


@pytest.mark.parametrize("name", JETSONS)
def test_super_mode_comes_with_a_jetpack_that_has_it(name: str) -> None:
    profile = PROFILES[name]
    assert profile.default_jetpack is not None
    if profile.power_mode == "MAXN_SUPER":
        assert at_least(profile.default_jetpack, "6.2")
    assert (profile.power_mode == "MAXN_SUPER") == name.startswith(("orin-nano", "orin-nx"))


@pytest.mark.parametrize(
    ("name", "sm_name"),
    [("orin-nano-8gb", "SM87"), ("agx-thor-t5000", "SM110"), ("dgx-spark", "SM121"), ("x86-cpu", None)],
)
def test_compute_capability_as_compilers_write_it(name: str, sm_name: str | None) -> None:
    assert PROFILES[name].sm_name == sm_name


def test_no_part_number_tells_two_devices() -> None:
    modules = [module for profile in PROFILES.values() for module in profile.modules]
    assert len(modules) == len(set(modules))
    assert all(PROFILES[name].modules for name in JETSONS)


def test_an_unknown_power_mode_is_a_key_error() -> None:
    assert PROFILES["orin-nano-8gb"].power_mode_named("7W").multiprocessors == 4
    with pytest.raises(KeyError):
        PROFILES["orin-nano-8gb"].power_mode_named("MAXN")


def test_profiles_are_package_data() -> None:
    import edge.devices

    folder = Path(edge.devices.__file__).parent
    assert {path.stem for path in (folder / "profiles").glob("*.yaml")} == ASKED_FOR
    assert yaml.safe_load((folder / "jetpacks.yaml").read_text())["schema"] == 1


@pytest.mark.parametrize("name", sorted(ASKED_FOR))
def test_the_documentation_states_the_same(name: str) -> None:
    page = (Path(__file__).parents[3] / "docs" / "devices.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
    profile = PROFILES[name]
    figures = (profile.memory.gib, profile.memory.bandwidth_gb_s, *profile.peak.model_dump().values())
    told = [cell.strip() for cell in row.strip("|").split("|")]
    assert told[2:7] == ["-" if figure is None else f"{figure:g}" for figure in figures]
    assert told[1] == (f"{profile.sm_name}, {profile.gpu.multiprocessors}" if profile.gpu else "-")
    assert told[7] == (f"{profile.dla.cores} x {profile.dla.int8_tops:g}" if profile.dla else "-")
    assert told[8:] == [profile.power_mode, profile.default_jetpack or "-"]
