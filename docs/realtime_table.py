"""The table of docs/realtime.md, as Markdown."""

from __future__ import annotations

from typing import Any

HEADER = ("load", "settings", "missed", "late, us: p50 / p99 / p99.9", "done, ms: p50 / p99 / p99.9")


def realtime_text(found: dict[str, Any]) -> str:
    """All of what the benchmark of real-time settings found."""
    return f"{table_text(found['loads'])}\n\n{niceness_text(found['niceness'])}"


def table_text(loads: dict[str, dict[str, Any]]) -> str:
    """A row for each side under each load, and what the kernel refused."""
    rows = [HEADER, ("---",) * len(HEADER)]
    refused: dict[str, None] = {}
    for load, sides in loads.items():
        for side, figures in sides.items():
            refused |= dict.fromkeys(figures["refused"])
            spreads = (_spread(figures[name]) for name in ("late_us", "done_ms"))
            rows.append((load, side, f"{figures['missed_share']:.1%}", *spreads))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n\n".join([table, *refused])


def niceness_text(niceness: int) -> str:
    """To whom the ordinary side gave way."""
    if niceness <= 0:
        return f"`ordinary` is the ordinary class at niceness {niceness}."
    return (
        f"`ordinary` is the ordinary class at niceness {niceness}, which gives way to other work on the machine:\n"
        "at 0 it would be less late. Processes of `busy` have the same niceness."
    )


def _spread(figures: dict[str, Any]) -> str:
    return " / ".join("-" if figures[at] is None else _rounded(figures[at]) for at in ("p50", "p99", "p99.9"))


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
