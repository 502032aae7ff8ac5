"""Sensitivities and plans of precision on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from edge.compress.sensitivity.unit_choices import PRECISIONS
from edge.report.contents import ALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.sensitivity.report import Sensitivity, SensitivityRow
    from edge.compress.sensitivity.verified_plan import FollowedPlan, Trial, VerifiedPlan
    from edge.report.stage_details import PrecisionReport

_BAR = 12
_NOISE_POINTS = 0.05  # what rounds to 0.1 or more is shown as lost


def precision_tables(report: PrecisionReport, stage: str) -> list[Table]:
    """What `edge compress` prints of a stage that went by a plan.

    Args:
        report: Of that stage.
        stage: Its name.
    """
    made = report.searched
    if made is None or report.sensitivity is None:
        return [given_plan_table(report.made, title=f"What '{stage}' computes in")]
    return [
        sensitivity_table(report.sensitivity, title=f"What INT8 alone does to parts of '{stage}'", made=made),
        plan_table(made, title=f"The plan of '{stage}': points lost"),
    ]


def sensitivity_table(
    found: Sensitivity, layers: int = 12, title: str = "", made: VerifiedPlan | FollowedPlan | None = None
) -> Table:
    """Branches first, then the most sensitive layers: distance at INT8 and FP16 in the worst state, points lost.

    Args:
        found: A whole sweep.
        layers: How many of them to show.
        title: Printed above.
        made: Precision of each layer, for one more column.
    """
    hidden = max(0, len(found.units) - layers)
    table = Table(title=title or None, header_style="bold", caption=f"{hidden} more layers." if hidden else None)
    columns = ("", "INT8, nats", "", "worst state", "lost there", f"lost in {ALL}", "FP16, nats")
    for column in (*columns, *(("has",) if made else ())):
        text = column in ("", "worst state", "has")
        table.add_column(column, justify="left" if text else "right", overflow="fold")
    groups = (found.ranking(kind="branch"), found.ranking()[:layers])
    widest = max((row.worst_distance for group in groups for row in group), default=0.0)
    for style, group in zip(("bold", ""), groups, strict=True):
        for row in group:
            has = [made.precisions.get(row.target, "")] if made else []
            table.add_row(*_cells(row, found, widest), *has, style=style)
        table.add_section()
    return table


def plan_table(made: VerifiedPlan, title: str = "") -> Table:
    """Latency and points lost in every state: the plan, quantized and emulated, and the prior beside it.

    Args:
        made: From a search.
        title: Printed above.
    """
    table = Table(title=title or None, header_style="bold", caption=f"Latency by {made.source}.")
    table.add_column("")
    table.add_column("ms", justify="right")
    for state in made.allowed:
        table.add_column(state, justify="right")
    table.add_row("may be lost", "", *(f"{points:.2f}" for points in made.allowed.values()), style="dim")
    trials: Sequence[tuple[str, Trial | None]] = (
        ("plan, quantized", made.verified),
        ("plan, emulated", made.emulated),
        ("prior, emulated", made.prior),
    )
    for name, trial in trials:
        if trial is not None:
            table.add_row(name, f"{trial.ms:.3f}", *(_lost(trial.lost[s], most) for s, most in made.allowed.items()))
    if made.fp32_ms is not None:
        table.add_row("all FP32", f"{made.fp32_ms:.3f}", *("" for _ in made.allowed), style="dim")
    return table


def given_plan_table(made: VerifiedPlan | FollowedPlan, layers: int = 12, title: str = "") -> Table:
    """How many layers compute in what, and which of them in anything but INT8.

    Args:
        made: As it is followed.
        layers: How many to name for each precision.
        title: Printed above.
    """
    table = Table(title=title or None, header_style="bold")
    table.add_column("")
    table.add_column("layers", justify="right")
    table.add_column("which", overflow="fold")
    for precision in PRECISIONS:
        names = [name for name, chosen in made.precisions.items() if chosen == precision]
        more = f" and {len(names) - layers} more" if len(names) > layers else ""
        named = "" if precision == "int8" else ", ".join(names[:layers]) + more
        table.add_row(precision, str(len(names)), named)
    return table


def _cells(row: SensitivityRow, found: Sensitivity, widest: float) -> list[Text | str]:
    halves = {(r.kind, r.target): r for r in found.ranking("fp16", row.kind)}
    half = halves.get((row.kind, row.target))
    # The square root, or all but the first would have no bar.
    length = round(_BAR * (row.worst_distance / widest) ** 0.5) if widest else 0
    lost = (_lost(row.lost[s], _NOISE_POINTS) if s in row.lost else Text("-", "dim") for s in (row.worst_state, ALL))
    shown = f"{half.worst_distance:.2g}" if half else "-"
    return [row.target, f"{row.worst_distance:.2g}", Text("#" * length, "yellow"), row.worst_state, *lost, shown]


def _lost(points: float, most: float) -> Text:
    return Text(f"{points:.2f}", "red" if points > most else "green")
