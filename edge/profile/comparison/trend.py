"""A trend that CI keeps: a line of JSON a run, and whether the newest is slower than those before it."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.profile.comparison.verdict import Verdict, judge
from edge.runtime.atomic import atomic_file
from edge.runtime.errors import ConfigError, GateError

if TYPE_CHECKING:
    from edge.profile.contents import Profile

LOOKED_BACK = 20
NEEDED = 3
Bounds = tuple[float, float]


class TrendLine(BaseModel):
    """One run.

    Attributes:
        at: When, in UTC.
        subject: Its name.
        digest: SHA-256 of what was run, which a new build changes.
        engine: Back end and dialect.
        machine: Model and processor, cores and power mode: lines of others are not compared with.
        scenario: Of the profile.
        batch: Samples at once.
        n: Samples.
        p50: Milliseconds.
        p50_interval: 95 % of it.
        p99: Milliseconds; None where n does not tell.
        p99_interval: 95 % of it.
        verdict: On this run against those before; None where there were too few.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    schema_version: Literal[1] = Field(1, validation_alias="schema", serialization_alias="schema")
    at: str
    subject: str
    digest: str
    engine: str
    machine: str
    scenario: str
    batch: int
    n: int
    p50: float = Field(gt=0)
    p50_interval: Bounds
    p99: float | None = None
    p99_interval: Bounds | None = None
    verdict: Verdict | None = None

    def continues(self, other: TrendLine) -> bool:
        """Whether both are of the same subject, run in the same way on the same machine; builds may differ."""
        keys = ("subject", "engine", "machine", "scenario", "batch")
        return all(getattr(self, key) == getattr(other, key) for key in keys)


class TrendVerdict(BaseModel):
    """The newest run against those before it.

    Attributes:
        verdict: None where there are fewer than three to judge by.
        ratio: Its median over the median of theirs.
        interval: Of the ratio, as far as this run's own interval goes.
        before: Runs that it was judged by.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    verdict: Verdict | None = None
    ratio: float | None = None
    interval: Bounds | None = None
    before: int = 0

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return self.model_dump(mode="json")

    def check_trend(self, path: Path) -> None:
        """Ends a run that must not be slower.

        Raises:
            GateError: It is slower than the runs before.
        """
        if self.verdict == "slower":
            raise GateError(
                f"this run takes {self.ratio:.3f} times as long as the {self.before} before it in {path}",
                "find out why; where it is meant to be so, begin a new --trend file",
            )


def add_to_trend(path: Path, profile: Profile, tolerance: float) -> TrendVerdict:
    """Appends a run to the file, which is replaced whole, and judges it by the runs before.

    Slower or faster is what lies beyond the tolerance of the median of the last 20 runs with its whole interval, and
    beyond every one of them: runs differ more from each other than their own intervals say. A run that was slower
    stays in the file and is judged by none, so that a regression does not become the measure of the next.

    Args:
        path: JSON lines; made where it is missing.
        profile: The run.
        tolerance: Share by which runs may differ.

    Raises:
        ConfigError: A line is none of a trend, or the run has too few samples for an interval.
    """
    lines = read_trend(path) if path.exists() else []
    line = _line_of(profile)
    verdict = judge_line(line, lines, tolerance)
    text = "".join(f"{_dumped(one)}\n" for one in [*lines, line.model_copy(update={"verdict": verdict.verdict})])
    with atomic_file(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return verdict


def read_trend(path: Path) -> list[TrendLine]:
    """All runs of a file, oldest first.

    Raises:
        ConfigError: It cannot be read, or a line is none of a trend; the message names the line.
    """
    try:
        written = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path} as a trend", "name another file for --trend") from error
    return [_parsed_line(path, number, text) for number, text in enumerate(written, 1) if text.strip()]


def judge_line(line: TrendLine, lines: list[TrendLine], tolerance: float) -> TrendVerdict:
    """A run against the last ones that it continues."""
    earlier = [one.p50 for one in lines if one.continues(line) and one.verdict != "slower"][-LOOKED_BACK:]
    if len(earlier) < NEEDED:
        return TrendVerdict(before=len(earlier))
    middle = median(earlier)
    interval = line.p50_interval[0] / middle, line.p50_interval[1] / middle
    verdict = judge(interval, tolerance)
    if (verdict == "slower" and line.p50 <= max(earlier)) or (verdict == "faster" and line.p50 >= min(earlier)):
        verdict = "same"
    return TrendVerdict(verdict=verdict, ratio=line.p50 / middle, interval=interval, before=len(earlier))


def _line_of(profile: Profile) -> TrendLine:
    measured, told = profile.latency_ms, profile.latency_ms.distribution
    bounds = measured.intervals.get("p50")
    if told.p50 is None or bounds is None:
        raise ConfigError(f"a trend needs an interval of the median, {told.n} samples have none", "take more --samples")
    return TrendLine(
        at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        subject=profile.subject.name,
        digest=profile.subject.digest,
        engine=profile.subject.engine,
        machine=_machine(profile),
        scenario=profile.scenario,
        batch=profile.batch,
        n=told.n,
        p50=told.p50,
        p50_interval=bounds,
        p99=told.p99,
        p99_interval=measured.intervals.get("p99"),
    )


def _machine(profile: Profile) -> str:
    state, host = profile.before, profile.environment
    parts = (state.model, host.cpu, f"{host.usable_cores} cores", state.power_mode)
    return ", ".join(part for part in parts if part)


def _dumped(line: TrendLine) -> str:
    return json.dumps(line.model_dump(mode="json", by_alias=True))


def _parsed_line(path: Path, number: int, text: str) -> TrendLine:
    try:
        return TrendLine.model_validate_json(text)
    except ValidationError as error:
        what = error.errors(include_input=False, include_url=False)[0]["msg"]
        raise ConfigError(
            f"{path}: line {number} is none of a trend ({what})", "take the line out, or name another file for --trend"
        ) from error
