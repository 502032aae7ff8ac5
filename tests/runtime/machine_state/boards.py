"""Made-up system trees: what the kernels of boards and hosts show, by public listings of their files.

Names and units are those of the kernel's and Jetson Linux's documentation and of listings that users published;
values are ordinary readings. None of them was taken from a board by us.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

GHZ = 1_000_000_000
INA3221 = "sys/bus/i2c/drivers/ina3221"


def write_tree(root: Path, *parts: Mapping[str, str]) -> Path:
    """Writes the files of all parts below a root; later parts win."""
    for part in parts:
        for name, content in part.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content + "\n", encoding="utf-8")
    return root


def policy(first: int, last: int, now_khz: int, least: int, most: int, governor: str = "schedutil") -> dict[str, str]:
    """A frequency policy of the cores `first` to `last`."""
    folder = f"sys/devices/system/cpu/cpufreq/policy{first}"
    cores = " ".join(str(core) for core in range(first, last + 1))
    told = {"scaling_cur_freq": now_khz, "scaling_min_freq": least, "scaling_max_freq": most}
    return {
        **{f"{folder}/{name}": str(value) for name, value in told.items()},
        f"{folder}/related_cpus": cores,
        f"{folder}/affected_cpus": cores,
        f"{folder}/scaling_governor": governor,
    }


def devfreq(name: str, now_hz: int, least: int, most: int, governor: str) -> dict[str, str]:
    """A device that devfreq scales."""
    folder = f"sys/class/devfreq/{name}"
    told = {"cur_freq": now_hz, "min_freq": least, "max_freq": most, "governor": governor}
    return {f"{folder}/{key}": str(value) for key, value in told.items()}


def zone(number: int, kind: str, millidegrees: str, limit: int | None = None) -> dict[str, str]:
    """A thermal zone, with a critical trip and, where given, a passive one."""
    folder = f"sys/class/thermal/thermal_zone{number}"
    found = {f"{folder}/type": kind, f"{folder}/temp": millidegrees}
    found |= {f"{folder}/trip_point_0_type": "critical", f"{folder}/trip_point_0_temp": "104500"}
    if limit is not None:
        found |= {f"{folder}/trip_point_1_type": "passive", f"{folder}/trip_point_1_temp": str(limit)}
    return found


def cooling(number: int, kind: str, state: int, most: int) -> dict[str, str]:
    """A cooling device."""
    folder = f"sys/class/thermal/cooling_device{number}"
    return {f"{folder}/type": kind, f"{folder}/cur_state": str(state), f"{folder}/max_state": str(most)}


def ina3221(address: str, hwmon: int, *channels: tuple[str, int, int]) -> dict[str, str]:
    """A sensor with a label, millivolts and milliamperes a channel, and the voltages over its shunts."""
    folder = f"{INA3221}/{address}/hwmon/hwmon{hwmon}"
    found = {f"{folder}/name": "ina3221", f"{folder}/in7_label": "sum of shunt voltages", f"{folder}/in7_input": "0"}
    for number, (label, millivolts, milliamperes) in enumerate(channels, 1):
        found |= {f"{folder}/in{number}_label": label, f"{folder}/in{number}_enable": "1"}
        found |= {f"{folder}/in{number}_input": str(millivolts), f"{folder}/curr{number}_input": str(milliamperes)}
        found[f"{folder}/in{number + 3}_input"] = "11"  # over the shunt
    return found


def process(allowed: str, online: str, load: str = "0.52") -> dict[str, str]:
    """What concerns this process."""
    return {
        "proc/self/status": f"Name:\tpython\nCpus_allowed:\tff\nCpus_allowed_list:\t{allowed}\nMems_allowed:\t1",
        "sys/devices/system/cpu/online": online,
        "proc/loadavg": f"{load} 0.58 0.59 1/467 3812",
    }


ORIN_NANO: dict[str, str] = {
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed",
    "var/lib/nvpmodel/status": "pmode:0002 fmode:quiet",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >",
    **policy(0, 3, 1_728_000, 115_200, 1_728_000),
    **policy(4, 5, 729_600, 115_200, 1_728_000),
    **devfreq("17000000.gpu", 306_000_000, 306_000_000, 1_020_000_000, "nvhost_podgov"),
    "sys/kernel/debug/bpmp/debug/clk/emc/rate": "2133000000",
    **zone(0, "cpu-thermal", "49187", 99_000),
    **zone(1, "gpu-thermal", "50125", 99_000),
    **zone(2, "cv0-thermal", "-256000"),  # the unit is off
    **zone(8, "tj-thermal", "50125"),
    **cooling(0, "cpufreq-cpu0", 0, 19),
    **cooling(6, "pwm-fan", 2, 4),
    "sys/class/hwmon/hwmon0/name": "soctherm_oc",
    "sys/class/hwmon/hwmon0/oc1_event_cnt": "0",
    "sys/class/hwmon/hwmon0/oc3_event_cnt": "7",
    **ina3221("1-0040", 1, ("VDD_IN", 5072, 976), ("VDD_CPU_GPU_CV", 5072, 160), ("VDD_SOC", 5064, 296)),
    **process("0-5", "0-5"),
}

AGX_ORIN: dict[str, str] = {
    "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 3.0, GCID: 36923193, BOARD: generic, EABI: aarch64, DATE: Fri",
    "var/lib/nvpmodel/status": "pmode:0000",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=2 NAME=MODE_30W >",
    **policy(0, 3, 2_201_600, 2_201_600, 2_201_600),
    **policy(4, 7, 2_201_600, 2_201_600, 2_201_600),
    **policy(8, 11, 2_201_600, 2_201_600, 2_201_600),
    **devfreq("17000000.ga10b", 1_300_500_000, 1_300_500_000, 1_300_500_000, "nvhost_podgov"),
    **zone(0, "cpu-thermal", "55000", 99_000),
    **ina3221("1-0040", 3, ("VDD_GPU_SOC", 843, 6170), ("VDD_CPU_CV", 780, 3437), ("VIN_SYS_5V0", 4968, 953)),
    **ina3221("1-0041", 4, ("NC", 0, 0), ("VDDQ_VDD2_1V8AO", 1800, 341), ("NC", 0, 0)),
    **process("0-11", "0-11"),
}

THOR: dict[str, str] = {
    "proc/device-tree/model": "NVIDIA Jetson AGX Thor Developer Kit\0",
    "etc/nv_tegra_release": "# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic, EABI: aarch64, DATE: Fri",
    "var/lib/nvpmodel/status": "pmode:0001",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=120W >",
    **policy(0, 13, 1_998_000, 648_000, 2_601_000),
    **devfreq("gpu-gpc-0", 1_575_000_000, 315_000_000, 1_575_000_000, "nvhost_podgov"),
    **devfreq("gpu-nvd-0", 1_692_000_000, 315_000_000, 1_692_000_000, "nvhost_podgov"),
    **devfreq("bwmgr", 4_266_000_000, 665_600_000, 4_266_000_000, "bpmp-bwmgr"),
    **zone(0, "cpu-thermal", "53700"),
    **zone(4, "tj-thermal", "55100"),
    # Power of the GPU's rail is below what its sensor resolves while it idles.
    **ina3221("2-0040", 2, ("VDD_GPU", 856, -40), ("VDD_CPU_SOC_MSS", 824, 7900), ("VIN_SYS_5V0", 5016, 1300)),
    "sys/class/hwmon/hwmon5/name": "ina238",
    "sys/class/hwmon/hwmon5/label": "VIN",
    "sys/class/hwmon/hwmon5/in0_input": "3",
    "sys/class/hwmon/hwmon5/in1_input": "19840",
    "sys/class/hwmon/hwmon5/curr1_input": "1160",
    "sys/class/hwmon/hwmon5/power1_input": "23014400",
    **process("0-13", "0-13"),
}

X86_LAPTOP: dict[str, str] = {
    "sys/class/dmi/id/product_name": "20XW0026GE",
    "proc/cpuinfo": "processor\t: 0\nmodel name\t: A processor",
    **policy(0, 0, 2_800_000, 400_000, 4_700_000, "powersave"),
    **policy(1, 1, 1_100_000, 400_000, 4_700_000, "powersave"),
    **zone(0, "x86_pkg_temp", "61000"),
    **cooling(0, "Processor", 0, 10),
    **cooling(4, "TCC Offset", 3, 63),
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "4",
    "sys/devices/system/cpu/cpu1/thermal_throttle/core_throttle_count": "5",
    "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "9",
    "sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count": "9",
    **process("0-127", "0-1"),
}
