"""Fills the costs in docs/live_view.md from the benchmark's result, so that no figure is typed by hand.

Run: python docs/fill_live_view.py [--result benchmarks/results/live_view.json]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from fill_readme import fill, read_result

from edge.runtime.errors import EdgeError

PAGE = Path(__file__).resolve().parent / "live_view.md"
RESULT = PAGE.parents[1] / "benchmarks" / "results" / "live_view.json"
WHAT = {"stages_ms": "time of a result's stages", "age_ms": "age of its oldest sample"}
VERDICTS = {
    "within": "within the bound of 5 % at p99",
    "beyond": "beyond the bound of 5 % at p99",
    "undecided": "undecided: the interval of the p99 holds the bound of 5 %",
}


def main(
    result: Annotated[Path, typer.Option(help="What the benchmark wrote.")] = RESULT,
    page: Annotated[Path, typer.Option(help="The file to fill.")] = PAGE,
) -> None:
    """Replaces what stands between the markers."""
    try:
        fill(page, "live-view-cost", cost_text(read_result(result, "python benchmarks/live_view.py BUNDLE")))
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error


def cost_text(found: dict[str, Any]) -> str:
    """A row for each percentile, then what was handed over and how busy the machine was."""
    rows = [("", "percentile", "with a view over without", "without over without"), ("---", "---", "---:", "---:")]
    for what, words in WHAT.items():
        for name, sides in found[what]["over without"].items():
            rows.append((words, name, *(_interval(sides[side]) for side in ("with", "again"))))
    handed, load = found["view"]["handed_over_us"], found["load before and after"]
    dropped = sum(found["view"]["counts"].values())
    verdicts = "; ".join(f"{words}: {VERDICTS[found[what]['verdict']]}" for what, words in WHAT.items())
    cores = found["environment"]["usable_cores"]
    told = (
        f"Handing a moment over takes {handed['p50']:.2g} us (p99 {_told(handed['p99'])}); {dropped} of "
        f"{handed['n']:,} moments were dropped from the view. Mean load of the machine's {cores} cores: {load[0]:.1f} "
        f"before, {load[1]:.1f} after. {verdicts[:1].upper()}{verdicts[1:]}."
    )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{told}"


def _interval(ratio: dict[str, Any]) -> str:
    low, high = ratio["interval"]
    return f"{ratio['ratio']:.2f} ({low:.2f} to {high:.2f})"


def _told(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2g} us"


if __name__ == "__main__":
    typer.run(main)
