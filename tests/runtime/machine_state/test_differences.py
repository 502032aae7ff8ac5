"""What makes two figures incomparable, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.runtime.machine_state.differences import changes_during, differences_of
from edge.runtime.machine_state.reading import read_machine_state
from edge.runtime.machine_state.state import ClockState, MachineState
from tests.runtime.machine_state.boards import AGX_ORIN, ORIN_NANO, THOR, write_tree

GPU = ClockState(name="gpu", now_mhz=1000, least_mhz=1000, most_mhz=1000, governor="performance")
STATE = MachineState(
    model="a board",
    jetpack="Jetson Linux 36.4.3",
    power_mode="0 MAXN",
    clocks=(GPU,),
    temperatures_c={"cpu": 60.0},
    limits_c={"cpu": 99.0},
    cores=(0, 1, 2, 3),
    threads={"engine": 1, "allow_spinning": 0},
    load=1.0,
)


def _changed(**changes: Any) -> MachineState:
    return STATE.model_copy(update=changes)


def _gpu(**changes: Any) -> MachineState:
    return _changed(clocks=(GPU.model_copy(update=changes),))


@pytest.mark.parametrize("board", [ORIN_NANO, AGX_ORIN, THOR])
def test_a_state_does_not_differ_from_itself(tmp_path: Path, board: dict[str, str]) -> None:
    state = read_machine_state(write_tree(tmp_path, board), {"engine": 1})
    assert differences_of(state, state) == []
    assert changes_during(state, state) == []


@pytest.mark.parametrize(
    ("other", "field", "sentence"),
    [
        (_changed(model="another"), "model", "the machine differs: a board against another"),
        (_changed(jetpack=None), "jetpack", "the release differs: Jetson Linux 36.4.3 against unknown"),
        (_changed(power_mode="2 15W"), "power_mode", "the power mode differs: 0 MAXN against 2 15W"),
        (_changed(cores=(0, 1)), "cores", "the usable set of cores differs: 0-3 against 0-1"),
        (
            _gpu(governor="powersave"),
            "clocks.gpu.governor",
            "the governor of gpu differs: performance against powersave",
        ),
        (_gpu(least_mhz=300), "clocks.gpu.least_mhz", "the lower limit of gpu differs: 1000 MHz against 300 MHz"),
        (_gpu(now_mhz=940), "clocks.gpu.now_mhz", "gpu is pinned and ran at 1000 MHz against 940 MHz"),
        (_changed(threads={"engine": 2, "allow_spinning": 0}), "threads.engine", "engine differs: 1 against 2"),
        (_changed(threads={"engine": 1}), "threads.allow_spinning", "allow_spinning differs: 0 against not set"),
        (_changed(throttling=("cpufreq 3 of 9",)), "throttling", "throttled: none against cpufreq 3 of 9"),
        (
            _changed(temperatures_c={"cpu": 96.0}),
            "temperatures_c",
            "within 5 degrees of the limit: none against cpu 96 of 99 C",
        ),
        (_changed(load=7.5), "load", "other work on the cores: a load of 1.0 against 7.5"),
    ],
)
def test_each_difference_is_told_once_in_one_line(other: MachineState, field: str, sentence: str) -> None:
    found = differences_of(STATE, other)
    assert [(one.field, one.sentence) for one in found] == [(field, sentence)]
    mirrored = differences_of(other, STATE)
    assert [(one.field, one.a, one.b) for one in mirrored] == [(field, found[0].b, found[0].a)]


@pytest.mark.parametrize(
    "other",
    [
        _gpu(now_mhz=960),  # within the tolerance
        _gpu(now_mhz=None),
        _gpu(governor=None),
        _changed(clocks=()),  # reading some clocks takes root
        _changed(temperatures_c={"cpu": 80.0}),
        _changed(load=None),
        _changed(throttled={"cores": 9}),  # of another boot
        _changed(missing=("a line",)),
    ],
)
def test_readings_of_a_moment_and_what_only_one_side_could_read_are_none(other: MachineState) -> None:
    assert differences_of(STATE, other) == []


def test_a_clock_that_a_governor_picks_may_differ() -> None:
    free = GPU.model_copy(update={"least_mhz": 300})
    a = _changed(clocks=(free,))
    b = _changed(clocks=(free.model_copy(update={"now_mhz": 300}),))
    assert differences_of(a, b) == []


def test_both_throttled_alike_is_told_all_the_same() -> None:
    state = _changed(throttling=("cpufreq 3 of 9",))
    assert [one.field for one in differences_of(state, state)] == ["throttling"]


def test_throttling_that_was_counted_during_a_run() -> None:
    before, after = _changed(throttled={"oc1": 0, "oc3": 7}), _changed(throttled={"oc1": 2, "oc3": 7}, load=9.0)
    found = changes_during(before, after)
    assert [(one.field, one.sentence) for one in found] == [
        ("throttled.oc1", "the hardware throttled 2 times during the run (oc1)")
    ]
