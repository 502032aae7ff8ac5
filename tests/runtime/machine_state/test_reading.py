"""The state of boards and hosts, read from made-up trees: whole ones, damaged ones and an empty one."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.runtime.environment import THREAD_VARIABLES
from edge.runtime.machine_state.reading import read_machine_state
from edge.runtime.machine_state.state import ClockState, MachineState
from tests.runtime.machine_state.boards import (
    AGX_ORIN,
    INA3221,
    ORIN_NANO,
    THOR,
    X86_LAPTOP,
    cooling,
    process,
    write_tree,
)

BOARDS = {"orin_nano": ORIN_NANO, "agx_orin": AGX_ORIN, "thor": THOR, "x86": X86_LAPTOP}


@pytest.fixture(autouse=True)
def _no_thread_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def _clocks(state: MachineState) -> dict[str, ClockState]:
    return {clock.name: clock for clock in state.clocks}


def test_orin_nano(tmp_path: Path) -> None:
    state = read_machine_state(write_tree(tmp_path, ORIN_NANO))
    assert state.model == "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    assert (state.jetpack, state.power_mode) == ("Jetson Linux 36.4.3", "2 MAXN_SUPER")
    clocks = _clocks(state)
    assert list(clocks) == ["cpu0-3", "cpu4-5", "gpu", "emc"]
    expected = ClockState(name="cpu4-5", now_mhz=729.6, least_mhz=115.2, most_mhz=1728, governor="schedutil")
    assert clocks["cpu4-5"] == expected
    assert (clocks["gpu"].now_mhz, clocks["gpu"].most_mhz) == (306, 1020)
    assert (clocks["emc"].now_mhz, clocks["emc"].most_mhz) == (2133, None)
    assert state.temperatures_c == {"cpu-thermal": 49.187, "gpu-thermal": 50.125, "tj-thermal": 50.125}
    assert state.limits_c == {"cpu-thermal": 99, "gpu-thermal": 99}
    assert state.throttling == ()  # a turning fan is none
    assert state.throttled == {"oc1": 0, "oc3": 7}
    powers = {rail.name: rail.milliwatts for rail in state.rails}
    assert powers == pytest.approx({"VDD_IN": 4950.272, "VDD_CPU_GPU_CV": 811.52, "VDD_SOC": 1498.944})
    assert (state.source, state.cores, state.load) == ("hwmon", (0, 1, 2, 3, 4, 5), 0.52)
    assert state.missing == ("temperature of cv0-thermal: temp says -256000, which cannot be",)


def test_agx_orin_with_pinned_clocks(tmp_path: Path) -> None:
    state = read_machine_state(write_tree(tmp_path, AGX_ORIN))
    assert all(clock.is_pinned for clock in state.clocks)
    assert [rail.name for rail in state.rails] == ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"]
    # The memory's clock is told to root only.
    assert [line for line in state.missing if line.startswith("emc")] == [
        "emc: rate cannot be read (No such file or directory)"
    ]


def test_thor(tmp_path: Path) -> None:
    state = read_machine_state(write_tree(tmp_path, THOR))
    assert (state.jetpack, state.power_mode) == ("Jetson Linux 38.2.0", "1 120W")
    assert list(_clocks(state)) == ["cpu0-13", "emc", "gpu-gpc-0", "gpu-nvd-0"]
    powers = {rail.name: rail.milliwatts for rail in state.rails}
    assert powers == pytest.approx({"VDD_CPU_SOC_MSS": 6509.6, "VIN_SYS_5V0": 6520.8, "VIN": 23014.4})
    assert state.missing == ("rail VDD_GPU: curr1_input says -40, which cannot be",)


def test_x86_counts_throttling_of_its_cores_and_owes_nothing_of_a_board(tmp_path: Path) -> None:
    state = read_machine_state(write_tree(tmp_path, X86_LAPTOP))
    assert (state.model, state.jetpack, state.power_mode) == ("20XW0026GE", None, None)
    assert state.throttled == {"cores": 9, "package": 9}
    assert state.throttling == ()  # an offset is a setting
    assert state.cores == (0, 1)  # the kernel's list names cores that are not there
    assert state.missing == ("rails: there is no power sensor under hwmon, and no tegrastats",)


def test_what_is_throttled_is_named_with_its_step(tmp_path: Path) -> None:
    tree = write_tree(tmp_path, ORIN_NANO, cooling(0, "cpufreq-cpu0", 3, 9), cooling(1, "cpu-throttle-alert", 1, 1))
    assert read_machine_state(tree).throttling == ("cpufreq-cpu0 3 of 9", "cpu-throttle-alert 1 of 1")


def test_a_cooling_device_that_says_nothing_is_not_taken_for_idle(tmp_path: Path) -> None:
    folder = "sys/class/thermal/cooling_device0"
    state = read_machine_state(write_tree(tmp_path, ORIN_NANO, {f"{folder}/cur_state": "?"}))
    assert state.throttling == ()
    assert "throttling by cpufreq-cpu0: cur_state does not tell it" in state.missing


def test_a_governor_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    state = read_machine_state(write_tree(tmp_path, ORIN_NANO, {"sys/class/devfreq/17000000.gpu/governor": ""}))
    assert _clocks(state)["gpu"].governor is None
    assert "gpu: governor does not tell who picks the speed" in state.missing


def test_an_empty_tree_is_unknown_in_every_part(tmp_path: Path) -> None:
    state = read_machine_state(tmp_path)
    told = state.model_dump(exclude={"missing"}, exclude_defaults=True)
    assert told == {}
    assert [line.split(":")[0] for line in state.missing] == [
        *("model", "clocks", "rails", "temperatures", "cores", "load")
    ]


def test_threads_are_the_environments_and_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    state = read_machine_state(tmp_path, {"engine": 2, "allow_spinning": 0})
    assert state.threads == {"OMP_NUM_THREADS": 4, "engine": 2, "allow_spinning": 0}


def test_a_load_below_nothing_is_none(tmp_path: Path) -> None:
    state = read_machine_state(write_tree(tmp_path, process("0", "0", load="-1.0")))
    assert state.load is None
    assert "load: /proc/loadavg does not tell it" in state.missing


@pytest.mark.parametrize("board", BOARDS)
def test_a_state_survives_its_json(tmp_path: Path, board: str) -> None:
    state = read_machine_state(write_tree(tmp_path, BOARDS[board]))
    assert MachineState.model_validate_json(state.model_dump_json()) == state


RAIL = f"{INA3221}/1-0040/hwmon/hwmon1"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("in1_input", "", "rail VDD_IN: in1_input is no number ('')"),
        ("in1_input", "abc", "rail VDD_IN: in1_input is no number ('abc')"),
        ("in1_input", "nan", "rail VDD_IN: in1_input is no number ('nan')"),
        ("in1_input", "1e999", "rail VDD_IN: in1_input is no number ('1e999')"),
        ("curr1_input", "-976", "rail VDD_IN: curr1_input says -976, which cannot be"),
        ("curr1_input", "12 13\n14", "rail VDD_IN: curr1_input is no number ('12 13')"),
        ("curr1_input", None, "rail VDD_IN: curr1_input cannot be read (No such file or directory)"),
        # A folder in its place fails to be read, as a file without permission does.
        ("curr1_input", "folder", "rail VDD_IN: curr1_input cannot be read (Is a directory)"),
    ],
)
def test_a_garbage_rail_is_absent_and_said_in_one_line(
    tmp_path: Path, file: str, content: str | None, said: str
) -> None:
    write_tree(tmp_path, ORIN_NANO)
    path = tmp_path / RAIL / file
    path.unlink()
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    state = read_machine_state(tmp_path)
    assert [rail.name for rail in state.rails] == ["VDD_CPU_GPU_CV", "VDD_SOC"]
    assert [line for line in state.missing if "VDD_IN" in line] == [said]


def test_a_channel_that_is_switched_off_is_no_rail(tmp_path: Path) -> None:
    write_tree(tmp_path, ORIN_NANO, {f"{RAIL}/in2_enable": "0"})
    assert [rail.name for rail in read_machine_state(tmp_path).rails] == ["VDD_IN", "VDD_SOC"]


def test_rails_that_all_fail_are_said_and_none_is_made_up(tmp_path: Path) -> None:
    damaged = {f"{RAIL}/curr{channel}_input": "-" for channel in (1, 2, 3)}
    state = read_machine_state(write_tree(tmp_path, ORIN_NANO, damaged))
    assert (state.rails, state.source) == ((), None)
    assert sum(line.startswith("rail ") for line in state.missing) == 3


def test_power_that_the_chip_computed_is_preferred(tmp_path: Path) -> None:
    state = read_machine_state(write_tree(tmp_path, ORIN_NANO, {f"{RAIL}/power1_input": "5100000"}))
    assert state.rails[0].milliwatts == 5100


JUNK = st.one_of(
    st.none(), st.sampled_from(["", "abc", "-1", "nan", "inf", "0x10", "99999999999999999999", "\0\0", "7"])
)


@settings(max_examples=40, deadline=None)  # a tree of files each
@given(st.data())
def test_no_junk_raises_and_nothing_unknown_becomes_a_number(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([ORIN_NANO, THOR]))
    names = data.draw(st.lists(st.sampled_from(sorted(whole)), max_size=8, unique=True))
    junk = {name: data.draw(JUNK) for name in names}
    tree = {name: content for name, content in {**whole, **junk}.items() if content is not None}
    with TemporaryDirectory() as folder:
        state = read_machine_state(write_tree(Path(folder), tree))
    assert all("\n" not in line for line in state.missing)
    # No connected rail and no clock of these trees stands at zero.
    assert all(rail.milliwatts > 0 for rail in state.rails)
    assert all(clock.now_mhz != 0 and clock.most_mhz != 0 for clock in state.clocks)


def test_a_negative_rail_is_no_state() -> None:
    with pytest.raises(ValidationError):
        MachineState.model_validate({"rails": [{"name": "VDD_IN", "milliwatts": -1}]})
