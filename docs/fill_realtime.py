"""Fills the table of docs/realtime.md from the benchmark's result, so that no figure is typed by hand.

Run: python docs/fill_realtime.py [--result benchmarks/results/realtime.json]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from fill_readme import fill, read_result

from edge.runtime.errors import EdgeError

PAGE = Path(__file__).resolve().parent / "realtime.md"
RESULT = PAGE.parents[1] / "benchmarks" / "results" / "realtime.json"
HEADER = ("load", "settings", "missed", "late, us: p50 / p99 / p99.9", "done, ms: p50 / p99 / p99.9")


def main(
    result: Annotated[Path, typer.Option(help="What the benchmark wrote.")] = RESULT,
    page: Annotated[Path, typer.Option(help="The file to fill.")] = PAGE,
) -> None:
    """Replaces what stands between the markers."""
    try:
        found = read_result(result, "python benchmarks/realtime.py")
        fill(page, "realtime", f"{table_text(found['loads'])}\n\n{niceness_text(found['niceness'])}")
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error


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


if __name__ == "__main__":
    typer.run(main)
