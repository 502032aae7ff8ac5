"""Reads the rails again and again while something runs: mean power, and the energy between start and end."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.machine_state.rail_reader import RailReader
    from edge.runtime.machine_state.state import RailState

PERIOD_S = 0.1


@dataclass(frozen=True)
class RailEnergy:
    """What the rails gave over a time.

    Attributes:
        source: Of the readings, `hwmon` or `tegrastats`.
        rails_mw: Mean power by rail, of those that told at least twice.
        total: The rail that holds the others, or `sum`.
        millijoules: Energy of it over the time, by trapezoids between readings.
        seconds: From the first reading to the last.
        readings: That were complete.
        lost: Readings left out because a rail of the total did not tell.
    """

    source: str
    rails_mw: dict[str, float]
    total: str
    millijoules: float
    seconds: float
    readings: int
    lost: int


class RailSampler:
    """A context manager that reads rails on a thread from entering to leaving, both included.

    Args:
        reader: Of the rails; it is not closed.
        period_s: From the end of a reading to the next.
        clock: Seconds, that only go forward.
        wait: Sleeps so many seconds, or returns True where it is over; by default until leaving.
    """

    def __init__(
        self,
        reader: RailReader,
        period_s: float = PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._reader, self._period_s, self._clock = reader, period_s, clock
        self._over = threading.Event()
        self._wait = wait or self._over.wait
        self._readings: list[tuple[float, tuple[RailState, ...]]] = []
        self._thread = threading.Thread(target=self._sample, name="edge-rails", daemon=True)

    def __enter__(self) -> RailSampler:
        self._read()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._read()

    def energy(self) -> RailEnergy | None:
        """Of the time between the first and the last complete reading, once left; None of fewer than two of them.

        A reading is complete where the total is the same as in the others, made of the same rails: a rail that says
        nothing for once must not look like one that draws nothing.
        """
        total, parts = self._reader.total_of({rail.name for _, rails in self._readings for rail in rails})
        complete = [(at, rails) for at, rails in self._readings if parts and parts <= {rail.name for rail in rails}]
        if len(complete) < 2 or complete[-1][0] <= complete[0][0]:
            return None
        seconds = complete[-1][0] - complete[0][0]
        power = [(at, sum(rail.milliwatts for rail in rails if rail.name in parts)) for at, rails in complete]
        return RailEnergy(
            source=self._reader.source,
            rails_mw=self._means(),
            total=total,
            millijoules=_area(power),
            seconds=seconds,
            readings=len(complete),
            lost=len(self._readings) - len(complete),
        )

    def _means(self) -> dict[str, float]:
        """Of each rail over the time in which it told."""
        curves: dict[str, list[tuple[float, float]]] = {}
        for at, rails in self._readings:
            for rail in rails:
                curves.setdefault(rail.name, []).append((at, rail.milliwatts))
        spans = {name: curve[-1][0] - curve[0][0] for name, curve in curves.items()}
        return {name: _area(curve) / spans[name] for name, curve in curves.items() if spans[name] > 0}

    def _sample(self) -> None:
        while not self._wait(self._period_s):
            self._read()

    def _read(self) -> None:
        """At the middle of the reading: a bus of I2C takes its time."""
        before = self._clock()
        rails = self._reader.read()
        self._readings.append(((before + self._clock()) / 2, rails))


def _area(curve: list[tuple[float, float]]) -> float:
    return sum((later - at) * (power + next_power) / 2 for (at, power), (later, next_power) in pairwise(curve))
