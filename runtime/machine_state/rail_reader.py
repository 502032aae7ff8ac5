"""What reads supply rails has in common, and which rail holds the others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from edge.runtime.machine_state.state import RailState

# The input of a module or board, which all of its other rails are fed from.
INPUTS = ("VIN", "VDD_IN", "POM_5V_IN")
# On AGX Orin fed from VIN_SYS_5V0, so no part of a sum beside it.
WITHIN = {"VDDQ_VDD2_1V8AO": "VIN_SYS_5V0"}
SUM = "sum"
Own = TypeVar("Own", bound="RailReader")


class RailReader(ABC):
    """Reads the rails of a machine, as often as asked; a context manager.

    Attributes:
        source: `hwmon` or `tegrastats`.
        missing: Lines on rails that could not be read so far.
    """

    source: str
    missing: list[str]

    @abstractmethod
    def read(self) -> tuple[RailState, ...]:
        """The power of every rail that tells it now; never raises."""

    @classmethod
    def total(cls, rails: Iterable[RailState]) -> tuple[str, float] | None:
        """Name and milliwatts of the rail that holds the others, else of their `sum`; None of no rails."""
        found = {rail.name: rail.milliwatts for rail in rails}
        name, parts = cls.total_of(found)
        return (name, sum(found[part] for part in parts)) if parts else None

    @staticmethod
    def total_of(names: Collection[str]) -> tuple[str, frozenset[str]]:
        """What the total of these rails is called, and which of them it is made of."""
        for name in INPUTS:
            if name in names:
                return name, frozenset({name})
        return SUM, frozenset(name for name in names if WITHIN.get(name) not in names)

    @abstractmethod
    def close(self) -> None:
        """Ends what it has started; it may be called again."""

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
