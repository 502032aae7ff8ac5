"""What keeps two figures from being compared: the machine was not in the same state.

Compared are: what the machine is (model, Jetson Linux), what it was told (power mode, governors, limits of clocks,
cores, thread counts and spinning), and what it suffered (throttling, heat near the limit, other work on its cores).
Not compared are the readings of a moment: clocks that a governor picks, temperatures below the limit, rails.
What is unknown of either side is a difference for what the machine is and was told as a whole, for then nobody can say
that it was the same; a clock domain that only one side could read is none, for reading some of them takes root.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.runtime.machine_state.core_lists import format_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.runtime.machine_state.state import ClockState, MachineState

# A pinned clock that is further off was held back, or the pin was changed.
CLOCK_TOLERANCE = 0.05
HEAT_MARGIN_C = 5.0
UNKNOWN, NOT_SET, NONE = "unknown", "not set", "none"


@dataclass(frozen=True)
class Difference:
    """Why two figures do not compare.

    Attributes:
        field: Of the state, such as `power_mode` or `clocks.gpu.most_mhz`.
        a: Its value in the one.
        b: And in the other.
        sentence: The same for a reader.
    """

    field: str
    a: str
    b: str
    sentence: str


def differences_of(a: MachineState, b: MachineState) -> list[Difference]:
    """Everything in which two states differ so that figures of the one say little of the other; order is fixed."""
    return [*_told(a, b), *_clocks(a, b), *_threads(a, b), *_suffered(a, b)]


def changes_during(before: MachineState, after: MachineState) -> list[Difference]:
    """The same of two states of one run, and throttling that the kernel counted between them.

    Load is not looked at: the second state's is of the run itself.
    """
    found = [one for one in differences_of(before, after) if one.field != "load"]
    for source, count in after.throttled.items():
        earlier = before.throttled.get(source)
        if earlier is not None and count > earlier:
            times = f"{count - earlier} time{'s' if count - earlier > 1 else ''}"
            sentence = f"the hardware throttled {times} during the run ({source})"
            found.append(Difference(f"throttled.{source}", str(earlier), str(count), sentence))
    return found


def _differ(field: str, name: str, a: str, b: str) -> Iterator[Difference]:
    if a != b:
        yield Difference(field, a, b, f"{name} differs: {a} against {b}")


def _told(a: MachineState, b: MachineState) -> Iterator[Difference]:
    yield from _differ("model", "the machine", a.model or UNKNOWN, b.model or UNKNOWN)
    yield from _differ("jetpack", "the release", a.jetpack or UNKNOWN, b.jetpack or UNKNOWN)
    yield from _differ("power_mode", "the power mode", a.power_mode or UNKNOWN, b.power_mode or UNKNOWN)
    yield from _differ("cores", "the usable set of cores", *(format_cores(s.cores) or UNKNOWN for s in (a, b)))


def _clocks(a: MachineState, b: MachineState) -> Iterator[Difference]:
    others = {clock.name: clock for clock in b.clocks}
    for clock in a.clocks:
        other = others.get(clock.name)
        if other is not None:
            yield from _clock(clock, other)


def _clock(a: ClockState, b: ClockState) -> Iterator[Difference]:
    where = f"clocks.{a.name}"
    if a.governor is not None and b.governor is not None:
        yield from _differ(f"{where}.governor", f"the governor of {a.name}", a.governor, b.governor)
    for field, name in (("least_mhz", "lower"), ("most_mhz", "upper")):
        one, other = getattr(a, field), getattr(b, field)
        if one is not None and other is not None:
            yield from _differ(f"{where}.{field}", f"the {name} limit of {a.name}", _mhz(one), _mhz(other))
    if a.is_pinned and b.is_pinned and a.most_mhz == b.most_mhz and _apart(a.now_mhz, b.now_mhz):
        sentence = f"{a.name} is pinned and ran at {_mhz(a.now_mhz)} against {_mhz(b.now_mhz)}"
        yield Difference(f"{where}.now_mhz", _mhz(a.now_mhz), _mhz(b.now_mhz), sentence)


def _apart(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and abs(a - b) > CLOCK_TOLERANCE * max(a, b)


def _mhz(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0f} MHz"


def _threads(a: MachineState, b: MachineState) -> Iterator[Difference]:
    for name in dict.fromkeys([*a.threads, *b.threads]):
        one, other = (str(state.threads.get(name, NOT_SET)) for state in (a, b))
        yield from _differ(f"threads.{name}", name, one, other)


def _suffered(a: MachineState, b: MachineState) -> Iterator[Difference]:
    """What spoils figures even where it is the same in both."""
    if a.throttling or b.throttling:
        one, other = (", ".join(state.throttling) or NONE for state in (a, b))
        yield Difference("throttling", one, other, f"throttled: {one} against {other}")
    if _hot(a) or _hot(b):
        one, other = _hot(a) or NONE, _hot(b) or NONE
        sentence = f"within {HEAT_MARGIN_C:.0f} degrees of the limit: {one} against {other}"
        yield Difference("temperatures_c", one, other, sentence)
    if _is_busy(a) != _is_busy(b):
        one, other = (UNKNOWN if state.load is None else f"{state.load:.1f}" for state in (a, b))
        yield Difference("load", one, other, f"other work on the cores: a load of {one} against {other}")


def _hot(state: MachineState) -> str:
    limits = state.limits_c
    near = (
        f"{zone} {celsius:.0f} of {limits[zone]:.0f} C"
        for zone, celsius in state.temperatures_c.items()
        if zone in limits and celsius > limits[zone] - HEAT_MARGIN_C
    )
    return ", ".join(near)


def _is_busy(state: MachineState) -> bool:
    """Whether more wanted to run than there are cores."""
    return state.load is not None and bool(state.cores) and state.load > len(state.cores)
