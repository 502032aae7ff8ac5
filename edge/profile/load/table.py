"""A search for the sustainable rate as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from edge.profile.load.contents import LoadReport, LoadStep, StepFigures

RESOURCES = ("producer", "matching", "inference", "cores")


def load_table(report: LoadReport) -> Table:
    """Steps by rate, with what each resource had to do."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(
        title=f"{report.subject.name}, {report.subject.engine}: {_sensor_words(report)}",
        caption="How full each resource is, in percent.",
        box=SIMPLE,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in (f"{report.anchor} Hz", "results Hz", "p50 ms", *RESOURCES):
        table.add_column(name, justify="right")
    table.add_column("")
    for step in sorted(report.steps, key=lambda one: one.figures.factor):
        table.add_row(*_row(step))
    return table


def miss_lines(report: LoadReport) -> Iterator[str]:
    """Why each step missed that did, one line a step."""
    for step in sorted(report.steps, key=lambda one: one.figures.factor):
        if step.misses:
            yield f"{step.figures.asked_hz:.4g} Hz missed: {'; '.join(step.misses)}."


def load_words(report: LoadReport) -> str:
    """The outcome in one or two sentences."""
    if report.sustained_hz is None:
        return (
            f"No rate was sustained, from {report.steps[0].figures.asked_hz:.4g} Hz on. {_full_words(report)}".strip()
        )
    if report.missed_hz is None:
        return f"Sustained up to {report.sustained_hz:.4g} Hz, the highest rate asked for."
    return f"Sustained: {report.sustained_hz:.4g} Hz; {report.missed_hz:.4g} Hz misses. {_full_words(report)}".strip()


def _full_words(report: LoadReport) -> str:
    found = report.saturated
    if found is None:
        return ""
    share = f"{found.utilisation:.0%}"
    what = found.resource if found.stage == found.resource else f"{found.resource}, most of it {found.stage}"
    if found.is_full:
        return f"Full first: {what}, at {share}."
    return f"Nothing is full; nearest is {what}, at {share}: misses come from jitter or from waiting."


def _sensor_words(report: LoadReport) -> str:
    def several(count: int, what: str) -> str:
        return f"{count} {what}{'' if count == 1 else 's'}"

    return f"{several(report.config.cameras, 'camera')}, {several(report.config.lidars, 'lidar')}"


def _row(step: LoadStep) -> tuple[str, ...]:
    figures: StepFigures = step.figures
    shares = (figures.utilisation.get(name) for name in RESOURCES)  # type: ignore[call-overload]
    return (
        f"{figures.asked_hz:.4g}",
        _figure(figures.results_hz),
        _figure(figures.latency_ms.p50),
        *("-" if share is None else f"{100 * share:.0f}" for share in shares),
        "missed" if step.misses else "",
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
