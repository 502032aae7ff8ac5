"""The table of stages on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from edge.report.contents import ALL, SCORE, StageReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.record import StageRecord

_WORSE_POINTS = 0.05  # what rounds to 0.1 or more


def stage_table(stages: Sequence[StageReport | StageRecord], title: str = "") -> Table:
    """A row for each stage: size, work, latency, score with everything present and in its worst state.

    Args:
        stages: In the order of the recipe; the first is what the others are compared with.
        title: Printed above.
    """
    rows = [s if isinstance(s, StageReport) else StageReport.from_record(s) for s in stages]
    timed = any(row.latency_ms for row in rows)
    table = Table(title=title or None, header_style="bold")
    table.add_column("stage", style="bold")
    for name in ("parameters", "MACs", "file", *(["p50"] if timed else []), "score", "worst state"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*_cells(row, rows[0], timed))
    return table


def human_count(value: float) -> str:
    """1,234,567 as `1.23 M`: three digits and a decimal prefix."""
    for limit, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}"


def human_bytes(value: float) -> str:
    """Bytes with a decimal prefix, e.g. `1.23 MB`."""
    return human_count(value) + ("B" if value >= 1e3 else " B")


def _cells(row: StageReport, first: StageReport, timed: bool) -> list[Text | str]:
    smaller = _ratio(first.bytes, row.bytes) if row is not first else ""
    cells: list[Text | str] = [row.name, human_count(row.params), human_count(row.macs)]
    cells.append(Text.assemble(human_bytes(row.bytes), (smaller, "green")))
    if timed:
        cells.append(_latency(row, first))
    return [*cells, _score(row, first, ALL), _worst(row, first)]


def _ratio(before: float, after: float) -> str:
    return f"  {before / after:.2f}x" if after else ""


def _latency(row: StageReport, first: StageReport) -> Text:
    p50 = row.latency_ms.p50 if row.latency_ms else None
    if p50 is None:
        return Text("-", style="dim")
    reference = first.latency_ms.p50 if first.latency_ms else None
    faster = _ratio(reference, p50) if reference and row is not first else ""
    return Text.assemble(f"{p50:.2f} ms", (faster, "green"))


def _score(row: StageReport, first: StageReport, state: str) -> Text:
    if state not in row.metrics:
        return Text("-", style="dim")
    score = row.metrics[state][SCORE]
    if row is first or state not in first.metrics:
        return Text(f"{score:.1f}")
    change = score - first.metrics[state][SCORE]
    return Text.assemble(f"{score:.1f}", (f"  {change:+.1f}", "red" if change < -_WORSE_POINTS else "green"))


def _worst(row: StageReport, first: StageReport) -> Text:
    if not row.metrics:
        return Text("-", style="dim")
    state = min(row.metrics, key=lambda s: row.metrics[s][SCORE])
    return Text.assemble((f"{state}  ", "dim"), _score(row, first, state))
