"""Faults of a sensor's clock: stamps change, arrivals do not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator

from edge.runtime.faults.base import Fault
from edge.runtime.faults.quantities import DAY_NS, within

if TYPE_CHECKING:
    from edge.runtime.faults.base import Alter
    from edge.runtime.sample import Sample

PPM = 1_000_000
_LEAST_PPM, _MOST_PPM = 1e-6, 100_000


def _not_zero(value: int) -> int:
    if value == 0:
        raise ValueError("0 changes nothing")
    return value


def _rate(value: float) -> float:
    if not _LEAST_PPM <= abs(value) <= _MOST_PPM:
        raise ValueError(f"{value:g} is out of range: {_LEAST_PPM:g} to {_MOST_PPM} ppm, either way")
    return value


class ClockStep(Fault):
    """The stream's clock jumps: from the start on its stamps are `by` later, or earlier where that is negative.

    With a length the clock jumps back at the end. A synchronizer may follow a jump, so results can be complete again
    from the jump on.
    """

    order = 10
    kind: Literal["clock-step"] = "clock-step"
    by_ns: Annotated[int, within(-DAY_NS, DAY_NS), AfterValidator(_not_zero)]

    @property
    def recoverable_ns(self) -> int | None:
        """Since the last jump."""
        return self.start_ns if self.end_ns is None else self.end_ns

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """Adds `by` to a stamp."""

        def step(sample: Sample) -> tuple[Sample]:
            return (replace(sample, stamp_ns=sample.stamp_ns + self.by_ns),)

        return step


class Drift(Fault):
    """The stream's clock runs too fast by `ppm`, or too slow where that is negative, since the first stamp it hits.

    With a length the clock is set right at the end.
    """

    order = 11
    kind: Literal["drift"] = "drift"
    ppm: Annotated[float, AfterValidator(_rate)]

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """Adds to a stamp in proportion to the time since the first."""
        first_ns: int | None = None

        def run_away(sample: Sample) -> tuple[Sample]:
            nonlocal first_ns
            first_ns = sample.stamp_ns if first_ns is None else first_ns
            gained_ns = round((sample.stamp_ns - first_ns) * self.ppm / PPM)
            return (replace(sample, stamp_ns=sample.stamp_ns + gained_ns),)

        return run_away


class Offset(Fault):
    """Stamps are `by` too late, or too early, all the time: a wrong latency offset in the rig.

    The arithmetic is that of `clock-step`. Small offsets, down to what jitter hides, are what it is for: nobody
    counts a step, what is fused does not belong together, and only `negative_delays` may tell.
    """

    order = 12
    kind: Literal["offset"] = "offset"
    by_ns: Annotated[int, within(-DAY_NS, DAY_NS), AfterValidator(_not_zero)]

    def alteration(self, origin_ns: int, words: tuple[int, ...]) -> Alter:
        """Adds `by` to a stamp."""

        def shift(sample: Sample) -> tuple[Sample]:
            return (replace(sample, stamp_ns=sample.stamp_ns + self.by_ns),)

        return shift
