"""What a ratio of durations with an interval means: faster, the same, or slower, by a tolerance that is said."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.runtime.errors import GateError

Verdict = Literal["faster", "same", "slower"]


class ComparisonConfig(BaseModel):
    """When B counts as slower than A.

    Attributes:
        tolerance: Share by which durations may differ and still be the same: two builds of one model differ by about
            a hundredth in where their memory happens to lie, and repeat runs on one machine by as much.
        rounds: Of a comparison in turns.
        strict: Whether machines in different state are an error, and not a warning.
        seed: Of orders and of the bootstrap.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tolerance: float = Field(0.02, ge=0, lt=1)
    rounds: int = Field(400, ge=2)
    strict: bool = False
    seed: int = Field(0, ge=0)


class ComparisonReport(BaseModel):
    """How B compares with A.

    Attributes:
        a: Name and engine of the one that is compared with.
        b: And of the one that is judged.
        ratio: Median duration of B over that of A.
        interval: 95 % of it.
        verdict: `slower` and `faster` only where the whole interval lies beyond the tolerance.
        tolerance: As asked for.
        interleaved: Whether both ran in turns in one process; otherwise whatever changed in between is in the ratio.
        differences: In what state the machines differed, for those that were not interleaved.
        details: Further figures: rounds, range, distributions in milliseconds.
        notes: For the reader.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    a: str
    b: str
    ratio: float
    interval: tuple[float, float]
    verdict: Verdict
    tolerance: float
    interleaved: bool
    differences: tuple[str, ...] = ()
    details: dict[str, Any] = {}
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return self.model_dump(mode="json")

    def check_regression(self) -> None:
        """Ends a run that must not be slower.

        Raises:
            GateError: B is slower.
        """
        if self.verdict == "slower":
            low, high = self.interval
            raise GateError(
                f"{self.b} takes {self.ratio:.3f} times as long as {self.a} (95 %: {low:.3f} to {high:.3f})",
                f"find out why, or allow more than --tolerance {self.tolerance:g}",
            )


def judge(interval: tuple[float, float], tolerance: float) -> Verdict:
    """The verdict on a ratio of durations, B over A, by its interval."""
    low, high = interval
    if low > 1.0 + tolerance:
        return "slower"
    return "faster" if high < 1.0 / (1.0 + tolerance) else "same"


def width_notes(interval: tuple[float, float], tolerance: float, remedy: str) -> tuple[str, ...]:
    """Says where `same` means that nobody knows: the interval holds more than the tolerance."""
    low, high = interval
    if judge(interval, tolerance) == "same" and (low < 1.0 / (1.0 + tolerance) or high > 1.0 + tolerance):
        return (f"The interval is wider than the tolerance, so a small difference may be there; {remedy}.",)
    return ()
