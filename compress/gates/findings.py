"""What a gate found: points lost per state and metric, what was gained, and the verdict on each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from edge.runtime.statistics import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable

# `free`: nothing was asked. `undecided`: the interval holds the limit, so neither is shown.
Verdict = Literal["passed", "refused", "undecided", "free"]
# How a figure is held against its limit; `GateConfig.judge` says what each means.
Judge = Literal["point", "interval", "proved"]
_WORST_FIRST: tuple[Verdict, ...] = ("refused", "undecided", "passed")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LossFinding(_Record):
    """One metric in one state, on the validation split.

    Attributes:
        state: Modality state.
        metric: `score`, or one of its parts.
        lost: Points, before minus after; negative where it gained.
        interval: Of `lost`, paired and clustered by recording; None where none could be had.
        limit: Points that may be lost; None where nothing was asked.
        verdict: Of this metric in this state.
    """

    state: str
    metric: str
    lost: float
    interval: Interval | None = None
    limit: float | None = None
    verdict: Verdict = "free"


class GainFinding(_Record):
    """How many times smaller or faster the stage is than the one before.

    Attributes:
        gain: Of the deployed graph file.
        ratio: Before over after.
        interval: Of `ratio`; None for bytes, which are exact.
        limit: Least ratio that was asked; None where nothing was.
        verdict: Of this gain.
    """

    gain: Literal["size", "speed"]
    ratio: float
    interval: Interval | None = None
    limit: float | None = None
    verdict: Verdict = "free"


class GateFindings(_Record):
    """All that a gate looked at, kept whether the stage passed or not.

    Attributes:
        judge: How figures were held against their limits.
        recordings: Recordings that the intervals draw from; 0 where there are no intervals.
        losses: Every metric in every state.
        gains: Size, and speed where it was asked for.
        notes: What a reader of the verdict must know, in words.
    """

    judge: Judge
    recordings: int = 0
    losses: tuple[LossFinding, ...] = ()
    gains: tuple[GainFinding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of all findings; `free` where no limit was set."""
        return worst_verdict([*(f.verdict for f in self.losses), *(f.verdict for f in self.gains)])


def worst_verdict(verdicts: Iterable[Verdict]) -> Verdict:
    """`refused` before `undecided` before `passed`, and `free` where there is none of them."""
    given = set(verdicts)
    return next((v for v in _WORST_FIRST if v in given), "free")
