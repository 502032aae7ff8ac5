"""A machine's state before and after as rows, with what should have stayed and did not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edge.profile.views.wording import shortened
from edge.report.page_templates import DASH
from edge.runtime.machine_state.core_lists import format_cores
from edge.runtime.manifest import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.runtime.machine_state.state import ClockState, MachineState

_LONGEST = 100


class StateRow(NamedTuple):
    """One thing about a machine, read twice.

    Attributes:
        what: Its name.
        before: As it was; a dash where it could not be read.
        after: And then.
        is_alarming: Whether it differs although nothing but a hand or a limit changes it: a mode, a governor, a limit,
            throttling. Temperatures, power, load and clocks that are not pinned move by themselves.
    """

    what: str
    before: str
    after: str
    is_alarming: bool = False


def compared_states(before: MachineState, after: MachineState) -> list[StateRow]:
    """Everything that could be read at one of both times; cores whose clocks are alike share rows."""
    rows = [_row(what, told(before), told(after), fixed) for what, fixed, told in _FACTS]
    rows += _clock_rows(before, after)
    rows += _paired("temperature of ", _temperatures(before), _temperatures(after))
    rows += _paired("power of ", _powers(before), _powers(after))
    return [row for row in rows if (row.before, row.after) != (DASH, DASH)]


def state_lines(state: MachineState) -> tuple[str, str]:
    """Two lines for a terminal: what the machine is set to, and what it was doing."""
    governors = sorted({clock.governor for clock in state.clocks if clock.governor})
    pinned = sum(clock.is_pinned for clock in state.clocks)
    clocks = f"{pinned} of {len(state.clocks)} clocks pinned" if state.clocks else "clocks not readable"
    settings = [
        state.model or "unnamed machine",
        state.jetpack,
        f"mode {state.power_mode}" if state.power_mode else None,
        clocks,
        f"governor {', '.join(governors)}" if governors else None,
        f"cores {format_cores(state.cores)}" if state.cores else None,
    ]
    hottest = max(state.temperatures_c.values(), default=None)
    moving = [
        "temperatures not readable" if hottest is None else f"hottest {hottest:.0f} \N{DEGREE SIGN}C",
        f"throttling: {', '.join(state.throttling)}" if state.throttling else _held_back(state),
        None if state.load is None else f"load {state.load:.2f}",
        f"rails by {state.source}: {len(state.rails)}" if state.rails else None,
        *(f"{name} {value}" for name, value in state.threads.items()),
    ]
    line, other = ([shortened(part, _LONGEST) for part in parts if part] for parts in (settings, moving))
    return "; ".join(line), "; ".join(other)


def _is_cooled(state: MachineState) -> bool:
    """Whether an empty list of what holds back means nothing: the kernel shows cooling devices beside the zones."""
    return bool(state.temperatures_c or state.throttling)


def _held_back(state: MachineState) -> str | None:
    return "nothing held back" if _is_cooled(state) else None


def _text(value: str | None) -> str:
    return printable(value) if value else DASH


def _counts(state: MachineState) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in state.throttled.items())


def _threads(state: MachineState) -> str:
    return ", ".join(f"{name} = {value}" for name, value in state.threads.items())


# What it is called, whether it should stay, how it is told.
_FACTS: tuple[tuple[str, bool, Callable[[MachineState], str]], ...] = (
    ("model", True, lambda s: _text(s.model)),
    ("JetPack", True, lambda s: _text(s.jetpack)),
    ("power mode", True, lambda s: _text(s.power_mode)),
    (
        "held back at the time by",
        True,
        lambda s: _text(", ".join(s.throttling) or ("nothing" if _is_cooled(s) else "")),
    ),
    ("throttled since it booted", True, lambda s: _text(_counts(s))),
    ("cores", True, lambda s: _text(format_cores(s.cores))),
    ("threads", True, lambda s: _text(_threads(s))),
    ("load", False, lambda s: DASH if s.load is None else f"{s.load:.2f}"),
)


def _row(what: str, before: str, after: str, fixed: bool) -> StateRow:
    return StateRow(what, before, after, fixed and before != after)


def _clock_rows(before: MachineState, after: MachineState) -> Iterator[StateRow]:
    """A row for the limits and one for the speed; clocks whose limits and governors are alike share both."""
    first, second = ({clock.name: clock for clock in state.clocks} for state in (before, after))
    alike: dict[tuple[str, str], list[str]] = {}
    for name in dict.fromkeys([*first, *second]):
        alike.setdefault((_limits(first.get(name)), _limits(second.get(name))), []).append(name)
    for (limits, later), names in alike.items():
        shown = printable(names[0] if len(names) == 1 else f"{names[0]} to {names[-1]} ({len(names)})")
        yield _row(f"clock of {shown}, limits", limits, later, fixed=True)
        yield _row(f"clock of {shown}, at the time", _speeds(first, names), _speeds(second, names), fixed=False)


def _limits(clock: ClockState | None) -> str:
    if clock is None:
        return DASH
    least, most = (DASH if mhz is None else f"{mhz:,.0f}" for mhz in (clock.least_mhz, clock.most_mhz))
    limits = DASH if least == most == DASH else f"{least} to {most} MHz"
    limits = f"{most} MHz, pinned" if clock.is_pinned else limits
    return printable(f"{limits}, {clock.governor}") if clock.governor else limits


def _speeds(clocks: dict[str, ClockState], names: list[str]) -> str:
    found = [clocks[n].now_mhz for n in names if n in clocks]
    known = [mhz for mhz in found if mhz is not None]
    if not known:
        return DASH
    low, high = f"{min(known):,.0f}", f"{max(known):,.0f}"
    return f"{low} MHz" if low == high else f"{low} to {high} MHz"


def _temperatures(state: MachineState) -> dict[str, str]:
    return {zone: f"{degrees:.1f} \N{DEGREE SIGN}C" for zone, degrees in state.temperatures_c.items()}


def _powers(state: MachineState) -> dict[str, str]:
    return {rail.name: f"{rail.milliwatts:,.0f} mW" for rail in state.rails}


def _paired(prefix: str, before: dict[str, str], after: dict[str, str]) -> Iterator[StateRow]:
    for name in dict.fromkeys([*before, *after]):
        yield StateRow(prefix + printable(name), before.get(name, DASH), after.get(name, DASH))
