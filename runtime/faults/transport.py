"""Faults on the way to the host: samples are lost, copied, late or out of turn; their stamps stay."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from edge.runtime.clock import NS_PER_MS
from edge.runtime.faults.base import ChanceFault, Fault, Injector, LastingFault, delayed
from edge.runtime.faults.quantities import HOLD_NS, within

if TYPE_CHECKING:
    from edge.runtime.faults.base import Alter
    from edge.runtime.sample import Sample

_Delay = Annotated[int, within(1, HOLD_NS)]


class Drop(ChanceFault):
    """Samples are lost."""

    order = 20
    kind: Literal["drop"] = "drop"

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """Nothing is left."""
        return lambda sample: ()


class Stall(Fault):
    """The sensor hangs: nothing comes, and what it would have measured is lost. See `burst` where it is not."""

    order = 21
    kind: Literal["stall"] = "stall"

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """Nothing is left."""
        return lambda sample: ()


class Duplicate(ChanceFault):
    """A sample comes twice: as it was, and again `by` later with the same stamp and number."""

    order = 22
    kind: Literal["duplicate"] = "duplicate"
    by_ns: _Delay = 5 * NS_PER_MS

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """The sample and its copy."""
        return lambda sample: (sample, delayed(sample, self.by_ns))


class Late(ChanceFault):
    """A sample arrives `by` later than it should; those behind it may overtake it."""

    order = 30
    kind: Literal["late"] = "late"
    by_ns: _Delay = 100 * NS_PER_MS

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """The sample, later."""
        return lambda sample: (delayed(sample, self.by_ns),)


class Burst(LastingFault):
    """Nothing arrives for the length, then everything that piled up, at once and in order.

    Attributes:
        every_ns: What piled up comes every so often instead, and the last of it at the end.
    """

    order = 31
    kind: Literal["burst"] = "burst"
    length_ns: Annotated[int, within(1, HOLD_NS)] | None = None
    every_ns: _Delay | None = None

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """The sample, when the jam dissolves."""
        begin_ns, end_ns = origin_ns + self.start_ns, origin_ns + (self.end_ns or 0)

        def pile(sample: Sample) -> tuple[Sample]:
            free_ns = end_ns
            if self.every_ns is not None:
                passed = (sample.arrival_ns - begin_ns) // self.every_ns
                free_ns = min(end_ns, begin_ns + (passed + 1) * self.every_ns)
            return (replace(sample, arrival_ns=max(sample.arrival_ns, free_ns)),)

        return pile


class Reorder(ChanceFault):
    """A sample arrives right after the `k`-th that follows it in its stream; those that overtake it stay as they are.

    With `k=1` it changes places with its successor, so that with `p=1` the order is 1 0 3 2 5 4.
    At the end of the source, what still waits arrives with the last sample.
    """

    order = 32
    kind: Literal["reorder"] = "reorder"
    k: int = Field(1, ge=1, le=100)

    def injector(self, origin_ns: int, words: tuple[int, ...]) -> Injector:
        """Holds one sample at a time."""
        return _Overtaking(self, origin_ns, words, self.k)

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """Nothing but its turn changes."""
        return lambda sample: (sample,)


class _Overtaking(Injector):
    def __init__(self, fault: Fault, origin_ns: int, words: tuple[int, ...], k: int) -> None:
        super().__init__(fault, origin_ns, words)
        self._k = k
        self._held: list[Sample] | None = None
        self._passed = 0

    def inject(self, samples: list[Sample], arrival_ns: int) -> list[Sample]:
        if self._held is not None:
            self._passed += 1
            return samples if self._passed < self._k else [*samples, *self.remaining(arrival_ns)]
        if self.is_hit(arrival_ns):
            self._held, self._passed = samples, 0
            return []
        return samples

    def remaining(self, arrival_ns: int) -> list[Sample]:
        held, self._held = self._held or [], None
        return [replace(sample, arrival_ns=max(sample.arrival_ns, arrival_ns)) for sample in held]
