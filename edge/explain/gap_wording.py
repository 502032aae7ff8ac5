"""Gaps between groups in words: what was refused, what could not be decided, who was too few."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.explain.config import BiasConfig
    from edge.explain.group_findings import AttributeFinding, GapFinding

_MANY_TIMES = 100
_METRICS = {
    "score": "score",
    "recall": "recall",
    "demographic_parity": "demographic parity",
    "equalized_odds": "equalized odds",
}


def refused_gaps(attributes: Sequence[AttributeFinding]) -> str | None:
    """Why the gate refuses, by what is furthest beyond its limit; None where it does not.

    Args:
        attributes: All that were compared.
    """
    refused = [(a.attribute, gap) for a in attributes for gap in a.gaps if gap.verdict == "refused"]
    if not refused:
        return None
    name, worst = max(refused, key=lambda item: item[1].gap.low)
    more = len(refused) - 1
    others = f"; {more} more {'gap is' if more == 1 else 'gaps are'} beyond" if more else ""
    return f"{_gap_words(name, worst)}, {worst.limit:.2f} are allowed{others}"


def undecided_gap(attribute: str, finding: GapFinding, recordings: int) -> str:
    """An interval shrinks with the square root of what it is drawn from: its excess says how much is missing.

    Args:
        attribute: That the groups are of.
        finding: Its verdict is `undecided`.
        recordings: That the intervals draw from.
    """
    gap, limit = finding.gap, finding.limit
    assert limit is not None, "only a limit can be undecided"
    side = gap.high if gap.estimate <= limit else gap.low
    off = limit - gap.estimate
    times = ((side - gap.estimate) / off) ** 2 if off else math.inf
    needed = f"about {math.ceil(times * recordings):,}" if times < _MANY_TIMES else "far more"
    undecided = f"{_gap_words(attribute, finding)} does not decide on the limit of {limit:.2f}"
    return f"{undecided}: {recordings:,} recordings are too few, {needed} would do"


def lone_group_note(attribute: str, judged: int, config: BiasConfig) -> str:
    """Why there is nothing to compare.

    Args:
        attribute: That the groups are of.
        judged: Groups that are large enough: one, or none.
        config: How large that is.
    """
    return (
        f"{attribute}: {'one group has' if judged else 'no group has'} the {config.min_samples} samples of "
        f"{config.min_recordings} recordings that a comparison needs, so nothing is shown either way"
    )


def metric_words(metric: str, class_name: str | None) -> str:
    """A figure's name as people write it."""
    return _METRICS[metric] + (f" of '{class_name}'" if class_name else "")


def _gap_words(attribute: str, finding: GapFinding) -> str:
    gap = finding.gap
    return (
        f"a gap of {gap.estimate:.2f} points of {metric_words(finding.metric, finding.class_name)} "
        f"({100 * gap.confidence:g} % interval {gap.low:.2f} to {gap.high:.2f}) between {attribute} "
        f"'{finding.high}' and '{finding.low}'"
    )
