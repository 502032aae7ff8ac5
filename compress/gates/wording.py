"""A gate's findings in words: why a stage was refused, and what could not be decided."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.compress.gates.findings import GainFinding, GateFindings, LossFinding
    from edge.runtime.statistics import Interval

_MANY_TIMES = 100
_GAINS = {"size": ("the graph", "smaller"), "speed": ("inference", "faster")}


def describe_refusal(name: str, findings: GateFindings) -> str | None:
    """Why a stage was refused, by what is furthest beyond its limit; None where it was not.

    Args:
        name: Of the stage.
        findings: Of its gate.
    """
    lost = [f for f in findings.losses if f.verdict == "refused"]
    gains = [f for f in findings.gains if f.verdict == "refused"]
    more = len(lost) + len(gains) - 1
    others = f"; {more} more of its limits {'is' if more == 1 else 'are'} not kept" if more > 0 else ""
    allowed = "must be proved" if findings.judge == "proved" else "are allowed"
    if lost:
        worst = max(lost, key=lambda f: f.lost - (f.limit or 0.0))
        return f"stage '{name}' loses {_lost_points(worst)}, {worst.limit:.2f} {allowed}{others}"
    return f"stage '{name}' makes {_gained(gains[0])}, {gains[0].limit:.2f}x is asked{others}" if gains else None


def notes_on(findings: GateFindings) -> tuple[str, ...]:
    """What a reader must know of the verdicts: why there are no intervals, and how far each undecided one is off."""
    if findings.losses and not findings.recordings:
        return ("no intervals: they need a metric of counts that add up, and two validation recordings at least",)
    losses = [_undecided_loss(f, findings.recordings) for f in findings.losses if f.verdict == "undecided"]
    gains = [
        f"{_gained(f)} does not decide on the {f.limit:.2f}x that is asked"
        for f in findings.gains
        if f.verdict == "undecided"
    ]
    return (*losses, *gains)


def _undecided_loss(finding: LossFinding, recordings: int) -> str:
    """An interval shrinks with the square root of what it is drawn from, so its excess says how much is missing."""
    interval, limit = finding.interval, finding.limit
    assert interval is not None and limit is not None, "only an interval can hold a limit"
    side = interval.high if finding.lost <= limit else interval.low
    times = math.inf if finding.lost == limit else ((side - finding.lost) / (limit - finding.lost)) ** 2
    needed = f"about {math.ceil(times * recordings):,}" if times < _MANY_TIMES else "far more"
    undecided = f"{_lost_points(finding)} does not decide on the limit of {limit:.2f}"
    return f"{undecided}: {recordings:,} validation recordings are too few, {needed} would do"


def _lost_points(finding: LossFinding) -> str:
    return f"{finding.lost:.2f} points of {finding.metric}{_shown(finding.interval)} in state '{finding.state}'"


def _gained(finding: GainFinding) -> str:
    what, how = _GAINS[finding.gain]
    return f"{what} {finding.ratio:.2f}x {how}{_shown(finding.interval)}"


def _shown(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f" ({100 * interval.confidence:g} % interval {interval.low:.2f} to {interval.high:.2f})"
