"""The state of the machine as pairs of a name and what was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.runtime.machine_state.core_lists import format_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.runtime.machine_state.state import ClockState, MachineState


def machine_rows(state: MachineState) -> list[tuple[str, str]]:
    """Everything that was read, and last what was not."""
    return [(name, value) for name, value in _rows(state) if value]


def _rows(state: MachineState) -> Iterator[tuple[str, str]]:
    yield "Model", " ".join(part for part in (state.model, state.jetpack) if part)
    yield "Power mode", state.power_mode or ""
    yield "Clocks", "; ".join(_clock(clock) for clock in state.clocks)
    yield "Temperatures", ", ".join(f"{zone} {value:.1f} °C" for zone, value in state.temperatures_c.items())
    yield "Throttled now", ", ".join(state.throttling)
    yield "Throttled since boot", ", ".join(f"{source} {count:,}" for source, count in state.throttled.items())
    yield "Rails", ", ".join(f"{rail.name} {rail.milliwatts:,.0f} mW" for rail in state.rails)
    yield "Usable cores", format_cores(state.cores)
    yield "Load", "" if state.load is None else f"{state.load:.2f}"
    yield "Not readable", "; ".join(state.missing)


def _clock(clock: ClockState) -> str:
    limits = [None if value is None else f"{value:.0f}" for value in (clock.least_mhz, clock.most_mhz)]
    if clock.is_pinned:
        shown = f"pinned at {limits[0]} MHz"
    elif all(limits):
        shown = f"{limits[0]} to {limits[1]} MHz"
    else:
        shown = "" if clock.now_mhz is None else f"{clock.now_mhz:.0f} MHz"
    return " ".join(part for part in (clock.name, shown, clock.governor) if part)
