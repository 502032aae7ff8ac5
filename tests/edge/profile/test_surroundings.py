"""What a machine did while something was timed: energy of its rails by result, what changed, and no made-up zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.profile.surroundings import Surroundings
from edge.runtime.machine_state.rail_reader import RailReader
from edge.runtime.machine_state.sampling import RailSampler
from edge.runtime.machine_state.state import MachineState, RailState


class ConstantRails(RailReader):
    """Draws the same at every reading, or says nothing."""

    source = "hwmon"

    def __init__(self, milliwatts: float | None) -> None:
        self._milliwatts, self.is_closed = milliwatts, False

    def read(self) -> tuple[RailState, ...]:
        """One rail."""
        return () if self._milliwatts is None else (RailState(name="VDD_IN", milliwatts=self._milliwatts),)

    def close(self) -> None:
        """Notes it."""
        self.is_closed = True


@pytest.fixture
def timed_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is a second later, and nobody waits."""
    seconds = iter(range(10**6))

    def sampler(rails: RailReader) -> RailSampler:
        return RailSampler(rails, clock=lambda: float(next(seconds)), wait=lambda period: True)

    monkeypatch.setattr("edge.profile.surroundings.RailSampler", sampler)


def around(monkeypatch: pytest.MonkeyPatch, rails: RailReader | None) -> Surroundings:
    monkeypatch.setattr("edge.profile.surroundings.open_rails", lambda root: rails)
    with Surroundings({"engine": 2}) as found:
        pass
    return found


@pytest.mark.usefixtures("timed_in_seconds")
def test_energy_is_power_times_time_over_results(monkeypatch: pytest.MonkeyPatch) -> None:
    rails = ConstantRails(5000.0)
    found = around(monkeypatch, rails)
    energy = found.energy(10)
    assert energy is not None and rails.is_closed
    assert (energy.source, energy.total, energy.readings) == ("hwmon", "VDD_IN", 2)
    assert energy.rails_mw == {"VDD_IN": 5000.0}
    assert energy.millijoules == pytest.approx(5000.0 * 2 / 10)  # two seconds between the middles of two readings
    assert found.energy(0) is None
    assert not any("energy" in note for note in found.notes)


@pytest.mark.usefixtures("timed_in_seconds")
@pytest.mark.parametrize(
    ("rails", "why"), [(None, "this machine shows no supply rails"), (ConstantRails(None), "could not be read twice")]
)
def test_without_rails_there_is_none_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, rails: RailReader | None, why: str
) -> None:
    found = around(monkeypatch, rails)
    assert found.energy(10) is None
    assert any(why in note for note in found.notes)


def test_what_changed_under_way_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter([MachineState(throttled={"cpu0": 1}), MachineState(throttled={"cpu0": 4})])
    monkeypatch.setattr("edge.profile.surroundings.read_machine_state", lambda root, threads: next(states))
    found = around(monkeypatch, None)
    assert any("hardware throttled 3 times during the run" in note for note in found.notes)


def test_a_system_without_files_is_described_as_unknown(tmp_path: Path) -> None:
    with Surroundings({"engine": 1}, tmp_path) as found:
        before: Any = found.before
    assert (before.model, before.rails, before.source) == (None, (), None)
    assert found.energy(5) is None and found.memory_peak_mib > 1
