"""An explanation's main figures as tables for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from edge.explain.gap_wording import metric_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.explain.contribution import Contribution
    from edge.explain.findings import Explanation
    from edge.explain.group_findings import AttributeFinding
    from edge.explain.recording_draws import Quantity
    from edge.runtime.statistics import Interval

_SLICES = 8
_STYLES = {"refused": "red", "undecided": "yellow", "passed": "green"}


def explanation_tables(findings: Explanation) -> Iterator[Table]:
    """Contributions, slices, gaps, and what was lost against another model, as far as there are such."""
    yield _contributions(findings)
    if findings.failures.slices:
        yield _slices(findings)
    if findings.bias:
        yield _gaps(findings.bias)
    if findings.comparison is not None:
        yield _losses(findings)


def told_notes(findings: Explanation) -> Iterator[str]:
    """What must be said beside the tables."""
    if not findings.failures.slices:
        yield f"No slice fails more than chance explains, of {findings.failures.tested:,} tests."
    yield from findings.notes
    for finding in findings.bias:
        yield from (f"Bias: {note}." for note in finding.notes)


def _contributions(findings: Explanation) -> Table:
    score, truth = findings.contributions
    table = Table(title="What each modality contributes (Shapley values)", title_justify="left")
    for name in ("modality", "points of score", "points of probability of the truth"):
        table.add_column(name, justify="left" if name == "modality" else "right")
    if findings.shares is not None:
        table.add_column("the fusion's own share", justify="right")
    for modality in findings.model.modalities:
        own = [] if findings.shares is None else [f"{findings.shares.mean[modality].value:.1f} %"]
        table.add_row(modality, _shown(score.modalities[modality]), _shown(truth.modalities[modality]), *own)
    table.add_section()
    spare = [""] * (findings.shares is not None)
    table.add_row("above the prior", _above(score), _above(truth), *spare)
    for pair, other in zip(score.pairs, truth.pairs, strict=True):
        cells = (f"{_shown(p.index)} {p.together}" for p in (pair, other))
        table.add_row(" with ".join(pair.modalities), *cells, *spare, style="dim")
    return table


def _above(contribution: Contribution) -> str:
    return f"{contribution.complete.value - contribution.blind:.2f}"


def _slices(findings: Explanation) -> Table:
    found = findings.failures
    table = Table(title=f"Slices that fail: {found.found} of {found.tested:,} tests", title_justify="left")
    for name in ("slice", "state", "samples", "error %", "rest %", "above the rest"):
        table.add_column(name, justify="left" if name in ("slice", "state") else "right")
    for item in found.slices[:_SLICES]:
        words = "; ".join(f"{name}: {value}" for name, value in item.conditions.items())
        figures = (f"{item.samples:,}", f"{item.error:.1f}", f"{item.rest:.1f}", _shown(item.excess))
        table.add_row(escape(words), item.state, *figures)
    return table


def _gaps(bias: tuple[AttributeFinding, ...]) -> Table:
    table = Table(title="Whom it fails: gaps between groups", title_justify="left")
    for name in ("attribute", "gap", "points", "best", "worst", "allowed", "verdict"):
        table.add_column(name, justify="right" if name in ("points", "allowed") else "left")
    for finding in bias:
        for gap in finding.gaps:
            allowed = "" if gap.limit is None else f"{gap.limit:.2f}"
            verdict = "" if gap.verdict == "free" else gap.verdict
            table.add_row(
                escape(finding.attribute),
                escape(metric_words(gap.metric, gap.class_name)),
                _interval(gap.gap.estimate, gap.gap),
                escape(gap.high),
                escape(gap.low),
                allowed,
                verdict,
                style=_STYLES.get(verdict, ""),
            )
    return table


def _losses(findings: Explanation) -> Table:
    comparison = findings.comparison
    assert comparison is not None, "asked for only where there is one"
    table = Table(title=escape(f"Score lost against {Path(comparison.against).name}"), title_justify="left")
    table.add_column("of")
    table.add_column("lost", justify="right")
    for state, lost in comparison.states.items():
        table.add_row(state, _shown(lost))
    for attribute in comparison.attributes:
        table.add_section()
        for group, lost in attribute.groups.items():
            table.add_row(escape(f"{attribute.attribute} {group}"), _shown(lost))
        if attribute.gap is not None:
            table.add_row("most less least", _interval(attribute.gap.estimate, attribute.gap), style="dim")
    return table


def _shown(quantity: Quantity) -> str:
    return _interval(quantity.value, quantity.interval)


def _interval(value: float, interval: Interval | None) -> str:
    return f"{value:.2f}" if interval is None else f"{value:.2f} ({interval.low:.2f} to {interval.high:.2f})"
