"""Electric motors with a bearing at each end: what differs between them, and what their slow sensors read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from bearing_geometry import Fault
    from numpy.typing import NDArray

End = Literal["drive", "fan"]
ENDS: tuple[End, ...] = ("drive", "fan")
SPEED_HZ = (8.0, 20.0)  # of the shaft
LOAD_KN = (0.2, 1.6)
SENSORS = ("speed_rpm", "load_kn", "current_a", "temperature_drive_c", "temperature_fan_c")
BANDS = ("low", "medium", "high")


@dataclass(frozen=True)
class Machine:
    """One motor.

    Attributes:
        name: `m07`.
        resonances_hz: Of each end's housing, two each.
        damping: Of those.
        leak: Share of an end's vibration that reaches the other.
        noise: Standard deviation of its background; 1 is the typical one.
        mesh: Turns of a gear tooth, a turn of the shaft: a tone that is no fault.
        warmth_c: How much warmer than its kind it runs, at each end.
    """

    name: str
    resonances_hz: dict[End, tuple[float, float]]
    damping: float
    leak: float
    noise: float
    mesh: int
    warmth_c: dict[End, float]


@dataclass(frozen=True)
class Run:
    """A stretch of operation of one machine, with one state of its bearings.

    Attributes:
        machine: Which.
        name: `m07-r3`.
        fault: What is damaged.
        end: Where; without meaning if nothing is.
        severity: Size of the strikes; 1 is plain to hear.
    """

    machine: Machine
    name: str
    fault: Fault
    end: End
    severity: float


def draw_machine(number: int, seed: int) -> Machine:
    """Machine `number` of a seed, always the same."""
    generator = np.random.default_rng([seed, 1, number])
    return Machine(
        name=f"m{number:02d}",
        resonances_hz={end: (generator.uniform(1500, 2800), generator.uniform(3000, 5200)) for end in ENDS},
        damping=generator.uniform(0.03, 0.07),
        leak=generator.uniform(0.3, 0.55),
        noise=float(np.exp(generator.normal(0, 0.2))),
        mesh=int(generator.integers(17, 32)),
        warmth_c={end: generator.normal(0, 2.5) for end in ENDS},
    )


def read_sensors(
    run: Run, speed_hz: float, load_kn: float, generator: np.random.Generator
) -> tuple[NDArray[np.float64], dict[str, str]]:
    """What the slow sensors read, in the order of `SENSORS`, and the bands that speed and load fall in.

    A damaged bearing rubs: its end grows warmer and the motor draws more, by less than rooms and motors differ.
    """
    rub = run.severity * (0.4 + 0.6 * load_kn / LOAD_KN[1]) if run.fault != "none" else 0.0
    warm = {"none": 0.0, "outer": 1.0, "inner": 1.35, "ball": 0.7}[run.fault] * 9.0 * rub
    room = generator.normal(23, 2.5)
    own = 6.0 * load_kn * speed_hz / 14 + 0.5 * speed_hz
    temperatures = [
        room + own + run.machine.warmth_c[end] + (warm if run.end == end else 0.25 * warm) + generator.normal(0, 0.8)
        for end in ENDS
    ]
    current = 2.1 + 1.9 * load_kn + 0.02 * speed_hz + 0.35 * rub + generator.normal(0, 0.18)
    speed_rpm = 60 * speed_hz * (1 + generator.normal(0, 0.004))
    readings = np.array([speed_rpm, load_kn + generator.normal(0, 0.04), current, *temperatures])
    return readings, {"speed": band(speed_hz, SPEED_HZ), "load": band(load_kn, LOAD_KN)}


def band(value: float, limits: tuple[float, float]) -> str:
    """Which third of a range a value lies in."""
    low, high = limits
    return BANDS[min(2, int(3 * (value - low) / (high - low)))]
