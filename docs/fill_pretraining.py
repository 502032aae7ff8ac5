"""Fills the tables of docs/pretraining.md from the benchmark's results, so that no figure is typed by hand.

Run: python docs/fill_pretraining.py [--result benchmarks/results/pretraining_NAME.json ...]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from fill_readme import fill, read_result

from edge.runtime.errors import EdgeError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from pretraining_tables import report

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "pretraining.md"
RESULTS = ROOT / "benchmarks" / "results"
MAKE = "python benchmarks/pretraining.py"


def main(
    result: Annotated[list[Path] | None, typer.Option(help="A field each; all by default.")] = None,
    page: Annotated[Path, typer.Option(help="The file to fill.")] = PAGE,
) -> None:
    """Replaces what stands between the markers."""
    try:
        fill(page, "pretraining", fields_text(result or sorted(RESULTS.glob("pretraining_*.json"))))
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error


def fields_text(results: list[Path]) -> str:
    """The tables of every field, under its name."""
    found = [read_result(path, MAKE) for path in results]
    return "\n\n".join("\n".join([f"**{field['project']}**", "", *report(field)]).strip() for field in found)


if __name__ == "__main__":
    typer.run(main)
