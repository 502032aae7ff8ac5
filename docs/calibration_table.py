"""The table of docs/calibration.md, as Markdown."""

from __future__ import annotations

from statistics import mean, median
from typing import Any, get_args

from edge.calibration.observers import Observer

HEAD = ("observer", "chosen: median", "p95", "drawn: median", "p95", "points of score lost, worst state")


def selection_text(result: dict[str, Any]) -> str:
    """The table and what it was measured on, in Markdown."""
    rows = [HEAD, ("---", *["---:"] * (len(HEAD) - 1)), *(_row(name, result[name]) for name in get_args(Observer))]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    first = result[get_args(Observer)[0]]
    what = f"{result['samples']} samples against those of {result['split']:,}, {first['tensors']} tensors"
    drawn = f"the middle of {len(first['drawn'][0])} random draws with the same share of states"
    seeds = result["seeds"]
    return (
        f"Ceilings of {what} of {seeds} seeds of the project\n*{result['project']}*; drawn: {drawn}. Means\n"
        "of the seeds. Points: INT8 by the whole split against INT8 by the chosen samples, paired over all seeds, in\n"
        f"the state that loses most, with the 95 % interval.\n\n{table}"
    )


def _row(observer: str, found: dict[str, Any]) -> tuple[str, ...]:
    chosen = (mean(seed[i] for seed in found["chosen"]) for i in range(2))
    drawn = (mean(median(draw[i] for draw in seed) for seed in found["drawn"]) for i in range(2))
    state, lost = max(found["lost"].items(), key=lambda item: float(item[1]["estimate"]))
    points = f"{lost['estimate']:.2f} [{lost['low']:.2f}, {lost['high']:.2f}] `{state}`"
    return (f"`{observer}`", *(f"{100 * e:.2f} %" for e in (*chosen, *drawn)), points)
