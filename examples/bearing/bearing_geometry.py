"""A rolling bearing's fault rhythms: how often each part strikes a defect, and where the load lies while it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Fault = Literal["none", "outer", "inner", "ball"]
FAULTS: tuple[Fault, ...] = ("none", "outer", "inner", "ball")
LOAD_EXPONENT = 1.5  # of Hertzian point contact


@dataclass(frozen=True)
class Bearing:
    """Sizes of a deep-groove ball bearing with no contact angle; lengths in one unit, whichever.

    The rates are those of rolling without slip (Randall and Antoni, "Rolling element bearing diagnostics - A
    tutorial", 2011, section 2).
    """

    balls: int
    ball_diameter: float
    pitch_diameter: float

    @property
    def outer_rate(self) -> float:
        """Balls that pass a point of the outer race, a turn of the shaft (BPFO)."""
        return self.balls / 2 * (1 - self._ratio)

    @property
    def inner_rate(self) -> float:
        """Balls that pass a point of the inner race, a turn of the shaft (BPFI)."""
        return self.balls / 2 * (1 + self._ratio)

    @property
    def spin_rate(self) -> float:
        """Turns of a ball about itself, a turn of the shaft (BSF); a spot on it strikes twice each."""
        return (1 - self._ratio**2) / (2 * self._ratio)

    @property
    def cage_rate(self) -> float:
        """Turns of the cage, a turn of the shaft (FTF)."""
        return (1 - self._ratio) / 2

    def strike_rate(self, fault: Fault) -> float:
        """Strikes a turn of the shaft; 0 where nothing is damaged."""
        return {"none": 0.0, "outer": self.outer_rate, "inner": self.inner_rate, "ball": 2 * self.spin_rate}[fault]

    @property
    def _ratio(self) -> float:
        return self.ball_diameter / self.pitch_diameter


DEEP_GROOVE_6205 = Bearing(balls=9, ball_diameter=7.94, pitch_diameter=39.04)  # millimetres


def load_share(angle: NDArray[np.float64], zone: float) -> NDArray[np.float64]:
    """Force on a ball at an angle from the middle of the load zone, as a share of the largest (Stribeck).

    Args:
        angle: Radians.
        zone: Load distribution factor: 0.5 loads half the ring, less a narrower part, more a wider one.
    """
    return np.maximum(0.0, 1 - (1 - np.cos(angle)) / (2 * zone)) ** LOAD_EXPONENT


def strikes(
    fault: Fault, bearing: Bearing, turns: NDArray[np.float64], slip: float, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """When a defect is struck, and how hard.

    Args:
        fault: What is damaged.
        bearing: Its sizes.
        turns: The shaft's turns at each sampling instant, `[n]`, rising.
        slip: Standard deviation of the gap between strikes, as a share of it.
        generator: Of phases and slip.

    Returns:
        Instants in samples from the first, `[k]`, and forces relative to the largest, `[k]`.
    """
    rate = bearing.strike_rate(fault)
    if rate == 0:
        return np.empty(0), np.empty(0)
    expected = int(np.ceil((turns[-1] - turns[0]) * rate)) + 8
    gaps = (1 + slip * generator.standard_normal(expected)) / rate
    at_turns = turns[0] + np.cumsum(gaps) - generator.uniform(0, 4) / rate
    inside = (at_turns >= turns[0]) & (at_turns < turns[-1])
    at_turns = at_turns[inside]
    return np.interp(at_turns, turns, np.arange(len(turns))), _forces(fault, bearing, at_turns, generator)


def _forces(
    fault: Fault, bearing: Bearing, at_turns: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """The outer race stands still in the load zone, an inner defect turns with the shaft, a ball with the cage."""
    carried = {"none": 0.0, "outer": 0.0, "inner": 1.0, "ball": bearing.cage_rate}[fault]
    start = generator.uniform(-0.6, 0.6) if fault == "outer" else generator.uniform(-np.pi, np.pi)
    share = load_share(2 * np.pi * carried * at_turns + start, zone=generator.uniform(0.4, 0.7))
    return share * generator.uniform(0.8, 1.2, len(at_turns))
