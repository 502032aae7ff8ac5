"""The table of stages on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from edge.report.contents import ALL, SCORE, StageReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.compress.stages.record import StageRecord

_WORSE_POINTS = 0.05  # what rounds to 0.1 or more
_VERDICTS = {"passed": ("passed", "green"), "refused": ("refused", "red"), "undecided": ("undecided", "yellow")}
_VERDICTS["free"] = ("-", "dim")


def stage_table(stages: Sequence[StageReport | StageRecord], title: str = "") -> Table:
    """A row for each stage: size, work, latency, score with everything present and in its worst state, time to make.

    Below it, how many layers are 2:4 sparse, where some are.

    Args:
        stages: In the order of the recipe; the first is what the others are compared with.
        title: Printed above.
    """
    rows = [s if isinstance(s, StageReport) else StageReport.from_record(s) for s in stages]
    timed, made = any(row.latency_ms for row in rows), any(row.seconds for row in rows)
    sparse = "; ".join(f"{row.name}: {row.sparsity}" for row in rows if row.sparsity is not None)
    table = Table(title=title or None, header_style="bold", caption=sparse or None, caption_justify="left")
    table.add_column("stage", style="bold")
    optional = (["p50"] if timed else []), (["took"] if made else [])
    for name in ("params", "MACs", "file", *optional[0], "score", "worst state", *optional[1]):
        table.add_column(name, justify="right", overflow="fold")
    for row in rows:
        table.add_row(*_cells(row, rows[0], timed), *([human_seconds(row.seconds)] if made else []))
    return table


def change_table(stages: Sequence[StageReport], title: str = "") -> Table | None:
    """A row for each stage but the first: what it lost or gained against the one before, and its gate's verdict.

    Points of the score on the test samples, with intervals, in `all`, in the state with the lowest score, and in the
    one that lost most. None where no stage was compared.

    Args:
        stages: In the order of the recipe.
        title: Printed above.
    """
    rows = [row for row in stages if row.gate is not None]
    if not rows:
        return None
    table = Table(title=title or None, header_style="bold", caption=_caption(rows), caption_justify="left")
    table.add_column("stage", style="bold")
    for name in ("all", "worst state", "lost most", "gate"):
        table.add_column(name, justify="right")
    for row in rows:
        lowest = min(row.metrics, key=lambda state: row.metrics[state][SCORE], default=ALL)
        lost = {state: metrics[SCORE].estimate for state, metrics in row.lost_since_before.items() if SCORE in metrics}
        most = max(lost, key=lambda state: lost[state], default=ALL)
        changes = (_change(row, ALL), _change(row, lowest, named=True), _change(row, most, named=True))
        table.add_row(row.name, *changes, _verdict_cell(row))
    return table


def human_seconds(value: float | None) -> str:
    """`47 s`, `12 min`, `3.1 h`; a dash where it is not known."""
    if value is None:
        return "-"
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"


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


def _change(row: StageReport, state: str, named: bool = False) -> Text:
    """Points gained, so that a loss is negative as in the other table, over the interval."""
    lost = row.lost_since_before.get(state, {}).get(SCORE)
    if lost is None:
        return Text("-", style="dim")
    gained, low, high = (-value or 0.0 for value in (lost.estimate, lost.high, lost.low))
    shown = Text.assemble(
        (f"{gained:+.1f}", "red" if gained < -_WORSE_POINTS else "green"), f"\n{low:+.1f} to {high:+.1f}"
    )
    return Text.assemble((f"{state}  ", "dim"), shown) if named else shown


def _worst(row: StageReport, first: StageReport) -> Text:
    if not row.metrics:
        return Text("-", style="dim")
    state = min(row.metrics, key=lambda s: row.metrics[s][SCORE])
    return Text.assemble((f"{state}  ", "dim"), _score(row, first, state))


def _verdict_cell(row: StageReport) -> Text:
    verdict = "free" if row.gate is None else row.gate.verdict
    return Text(_VERDICTS[verdict][0], style=_VERDICTS[verdict][1])


def _caption(rows: Sequence[StageReport]) -> str | None:
    if not any(row.lost_since_before for row in rows):
        return None
    share = next(100 * i.confidence for row in rows for m in row.lost_since_before.values() for i in m.values())
    return f"Score on the test samples; {share:g} % intervals, paired, over recordings"
