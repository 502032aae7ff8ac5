"""Classes one by one, and how far confidences can be trusted, on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from edge.report.class_changes import mean_error
from edge.report.contents import ALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.training.class_scores import ClassScores
    from edge.training.detailed_metrics import DetailedMetrics, OutputMetrics

SHOWN = 8  # classes in a table; of more, the best and the worst


def class_tables(metrics: DetailedMetrics) -> Iterator[Table]:
    """A table for each output: its classes with everything present, the best first.

    Args:
        metrics: Of one model; `metrics.json` has all classes in all states.
    """
    for tensor, found in metrics.states[ALL].items():
        yield _class_table(tensor, found)


def reliability_table(metrics: DetailedMetrics) -> Table:
    """The expected calibration error of each output in each modality state; of events, their mean and the worst one."""
    title = "Expected calibration error, points"
    table = Table(title=title, header_style="bold", min_width=len(title))
    table.add_column("state", style="bold")
    for tensor in metrics.states[ALL]:
        table.add_column(tensor, justify="right")
    for state, outputs in metrics.states.items():
        table.add_row(state, *(_errors(found) for found in outputs.values()))
    return table


def _class_table(tensor: str, found: OutputMetrics) -> Table:
    ranked = sorted(found.classes, key=lambda scores: -scores.f1)
    half = SHOWN // 2
    shown = ranked if len(ranked) <= SHOWN else [*ranked[:half], *ranked[-half:]]
    caption = None if shown is ranked else f"the {half} best and the {half} worst of {len(ranked)} classes, by F1"
    title = f"'{tensor}' by class, everything present"
    table = Table(title=title, header_style="bold", caption=caption, min_width=len(title))
    table.add_column("class", style="bold")
    for name in ("precision", "recall", "F1", "support"):
        table.add_column(name, justify="right")
    for place, scores in enumerate(shown):
        table.add_row(*_class_cells(scores), end_section=caption is not None and place == half - 1)
    return table


def _class_cells(scores: ClassScores) -> tuple[str, ...]:
    points = (f"{value:.1f}" for value in (scores.precision, scores.recall, scores.f1))
    return scores.name, *points, f"{scores.support:,}"


def _errors(found: OutputMetrics) -> str:
    mean = mean_error(found)
    if mean is None:
        return "-"
    worst = max(measured.error for measured in found.reliability)
    return f"{mean:.1f}" if len(found.reliability) == 1 else f"{mean:.1f} (worst {worst:.1f})"
