"""Where rails are found, what their total is, and the energy between two times."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.runtime.machine_state.hwmon_rails import HwmonRails
from edge.runtime.machine_state.rail_reader import RailReader
from edge.runtime.machine_state.rails import open_rails
from edge.runtime.machine_state.sampling import RailSampler
from edge.runtime.machine_state.state import RailState
from edge.runtime.machine_state.tegrastats import TegrastatsRails, parse_tegrastats
from tests.runtime.machine_state.boards import AGX_ORIN, INA3221, ORIN_NANO, THOR, write_tree

# Of users' logs: AGX Orin, and Thor while its GPU idles below its sensor's offset.
AGX_LINE = (
    "11-21-2025 08:49:48 RAM 13983/62780MB (lfb 424x4MB) SWAP 126/31390MB (cached 0MB) CPU [90%@2201,100%@2201] "
    "EMC_FREQ 1%@2133 GR3D_FREQ 14%@[407,407] VIC_FREQ 115 NVDLA0_FREQ @1600 APE 174 CPU@77.281C tj@77.281C "
    "VDD_GPU_SOC 3150mW/2971mW VDD_CPU_CV 14312mW/12415mW VIN_SYS_5V0 4968mW/5048mW VDDQ_VDD2_1V8AO 1091mW/1091mW"
)
THOR_LINE = (
    "RAM 4017/125772MB (lfb 6x4MB) CPU [0%@972,1%@972] GR3D_FREQ @[0,0] cpu@49.2C tj@49.2C "
    "VDD_GPU -392mW/-392mW VDD_CPU_SOC_MSS 3924mW/3924mW VIN_SYS_5V0 5015mW/5015mW VIN 21300mW/21500mW"
)


def _rails(**powers: float) -> tuple[RailState, ...]:
    return tuple(RailState(name=name, milliwatts=power) for name, power in powers.items())


@pytest.mark.parametrize(
    ("rails", "total"),
    [
        (_rails(VDD_IN=4950, VDD_CPU_GPU_CV=811, VDD_SOC=1498), ("VDD_IN", 4950)),
        # What is fed from another rail is no part of the sum.
        (_rails(VDD_GPU_SOC=5000, VDD_CPU_CV=2500, VIN_SYS_5V0=4700, VDDQ_VDD2_1V8AO=614), ("sum", 12200)),
        (_rails(VDDQ_VDD2_1V8AO=614), ("sum", 614)),
        (_rails(VDD_CPU_SOC_MSS=6500, VIN_SYS_5V0=6520, VIN=23014), ("VIN", 23014)),
        ((), None),
    ],
)
def test_the_total_is_the_input_or_the_sum_of_what_is_independent(
    rails: tuple[RailState, ...], total: tuple[str, float] | None
) -> None:
    assert RailReader.total(rails) == total


@pytest.mark.parametrize(("board", "total"), [(ORIN_NANO, 4950.272), (AGX_ORIN, 12616.674), (THOR, 23014.4)])
def test_totals_of_boards(tmp_path: Path, board: dict[str, str], total: float) -> None:
    reader = open_rails(write_tree(tmp_path, board))
    assert reader is not None
    found = reader.total(reader.read())
    assert found is not None
    assert found[1] == pytest.approx(total)


def test_a_sensor_that_is_listed_twice_is_read_once(tmp_path: Path) -> None:
    write_tree(tmp_path, ORIN_NANO)
    (tmp_path / "sys/class/hwmon").mkdir(parents=True, exist_ok=True)
    (tmp_path / "sys/class/hwmon/hwmon1").symlink_to(tmp_path / INA3221 / "1-0040/hwmon/hwmon1")
    assert [rail.name for rail in HwmonRails(tmp_path).read()] == ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]


def test_another_root_is_never_asked_of_tegrastats(tmp_path: Path) -> None:
    assert open_rails(tmp_path, program=lambda _: pytest.fail("looked for a program")) is None


def test_a_line_of_agx_orin() -> None:
    rails, missing = parse_tegrastats(AGX_LINE)
    assert rails == _rails(VDD_GPU_SOC=3150, VDD_CPU_CV=14312, VIN_SYS_5V0=4968, VDDQ_VDD2_1V8AO=1091)
    assert missing == ()


def test_a_line_of_thor_with_less_than_nothing_on_a_rail() -> None:
    rails, missing = parse_tegrastats(THOR_LINE)
    assert rails == _rails(VDD_CPU_SOC_MSS=3924, VIN_SYS_5V0=5015, VIN=21300)
    assert missing == ("rail VDD_GPU: tegrastats says -392 mW, which cannot be",)


def test_a_line_of_an_old_release_has_no_unit() -> None:
    assert parse_tegrastats("RAM 1/2MB IRAM 0/252kB GR3D_FREQ 0% VDD_IN 2532/2698")[0] == _rails(VDD_IN=2532)


@given(st.text())
def test_no_line_raises(line: str) -> None:
    rails, _ = parse_tegrastats(line)
    assert all(rail.milliwatts >= 0 for rail in rails)


def _program(tmp_path: Path, script: str) -> TegrastatsRails:
    path = tmp_path / "tegrastats.py"
    path.write_text(script)
    return TegrastatsRails([sys.executable, str(path)])


def test_tegrastats_runs_once_and_is_ended(tmp_path: Path) -> None:
    speaking = "import sys, time\nassert sys.argv[1:] == ['--interval', '100']\nn = 0\nwhile True:\n    n += 1\n"
    speaking += "    print(f'VDD_IN {n}mW/1mW', flush=True)\n    time.sleep(0.01)\n"
    with _program(tmp_path, speaking) as rails:
        first, second = rails.read(), rails.read()
        process = rails._process
    assert [rail.name for rail in first] == ["VDD_IN"]
    assert second[0].milliwatts > first[0].milliwatts  # never the same line twice
    assert process is not None
    assert process.poll() is not None


def test_tegrastats_that_ends_or_does_not_start_gives_no_rail(tmp_path: Path) -> None:
    with _program(tmp_path, "print('needs root')") as rails:
        rails.read()  # its only line
        assert rails.read() == ()
        assert rails.missing == ["rails: tegrastats prints nothing"]
    with TegrastatsRails([str(tmp_path / "absent")]) as absent:
        assert absent.read() == ()
    assert absent.missing == ["rails: tegrastats does not start (No such file or directory)"]


class _Scripted(RailReader):
    """Gives prepared readings."""

    source = "hwmon"

    def __init__(self, *readings: tuple[RailState, ...]) -> None:
        self.missing = []
        self._readings: Iterator[tuple[RailState, ...]] = iter(readings)

    def read(self) -> tuple[RailState, ...]:
        return next(self._readings)

    def close(self) -> None:
        pass


def _sampled(readings: list[tuple[float, tuple[RailState, ...]]]) -> RailSampler:
    """A sampler that has seen these readings at these seconds; nothing sleeps."""
    times = iter([at for at, _ in readings for _ in range(2)])
    pauses = iter([False] * (len(readings) - 2) + [True])
    reader = _Scripted(*(rails for _, rails in readings))
    sampler = RailSampler(reader, clock=lambda: next(times), wait=lambda _: next(pauses))
    with sampler:
        pass
    return sampler


def test_energy_is_the_area_below_the_power() -> None:
    curve = [(0.0, 1000.0), (1.0, 3000.0), (1.5, 3000.0), (3.5, 0.0)]
    energy = _sampled([(at, _rails(VDD_IN=power, VDD_SOC=500)) for at, power in curve]).energy()
    assert energy is not None
    assert energy.millijoules == pytest.approx(2000 + 1500 + 3000)
    assert energy.rails_mw == pytest.approx({"VDD_IN": 6500 / 3.5, "VDD_SOC": 500})
    assert (energy.total, energy.seconds, energy.readings, energy.lost) == ("VDD_IN", 3.5, 4, 0)


def test_a_rail_that_says_nothing_for_once_draws_no_zero() -> None:
    both, one = _rails(VDD_GPU_SOC=4000, VDD_CPU_CV=2000), _rails(VDD_GPU_SOC=4000)
    energy = _sampled([(0.0, both), (1.0, one), (2.0, both), (3.0, ())]).energy()
    assert energy is not None
    assert energy.millijoules == pytest.approx(12000)
    assert (energy.readings, energy.lost) == (2, 2)
    assert energy.rails_mw == pytest.approx({"VDD_GPU_SOC": 4000, "VDD_CPU_CV": 2000})


def test_an_idle_rail_below_its_sensor_does_not_cost_the_inputs_readings() -> None:
    idle, busy = _rails(VIN=20000), _rails(VIN=30000, VDD_GPU=9000)
    energy = _sampled([(0.0, idle), (1.0, busy), (2.0, busy), (3.0, idle)]).energy()
    assert energy is not None
    assert (energy.total, energy.lost) == ("VIN", 0)
    assert energy.millijoules == pytest.approx(80000)
    assert energy.rails_mw["VDD_GPU"] == pytest.approx(9000)


@pytest.mark.parametrize("readings", [[(0.0, ()), (1.0, ())], [(0.0, _rails(VDD_IN=5)), (1.0, ())]])
def test_fewer_than_two_readings_are_no_energy(readings: list[tuple[float, tuple[RailState, ...]]]) -> None:
    assert _sampled(readings).energy() is None


@settings(max_examples=40, deadline=None)  # a thread each
@given(st.lists(st.floats(0, 1e5), min_size=2, max_size=20), st.floats(0.01, 10))
def test_mean_power_times_time_is_the_energy(powers: list[float], step_s: float) -> None:
    energy = _sampled([(n * step_s, _rails(VDD_IN=power)) for n, power in enumerate(powers)]).energy()
    assert energy is not None
    assert energy.rails_mw["VDD_IN"] * energy.seconds == pytest.approx(energy.millijoules)


def test_the_thread_ends_with_the_context(tmp_path: Path, no_leak: None) -> None:
    reader = open_rails(write_tree(tmp_path, ORIN_NANO))
    assert reader is not None
    with RailSampler(reader, period_s=0.001) as sampler:
        until = time.monotonic() + 60
        while len(sampler._readings) < 5 and time.monotonic() < until:
            time.sleep(0)
    energy = sampler.energy()
    assert energy is not None
    assert energy.readings >= 5
    assert energy.rails_mw["VDD_IN"] == pytest.approx(4950.272)
