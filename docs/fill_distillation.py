"""Fills the tables of docs/distillation.md from the benchmark's result, so that no figure is typed by hand.

Run: python docs/fill_distillation.py [--result benchmarks/results/distillation.json]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from fill_readme import fill, read_result

from edge.runtime.errors import EdgeError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from distillation_tables import report

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "distillation.md"
RESULT = ROOT / "benchmarks" / "results" / "distillation.json"


def main(
    result: Annotated[Path, typer.Option(help="What the benchmark wrote.")] = RESULT,
    page: Annotated[Path, typer.Option(help="The file to fill.")] = PAGE,
) -> None:
    """Replaces what stands between the markers."""
    try:
        fill(page, "distillation", "\n".join(report(read_result(result, "python benchmarks/distillation.py"))).strip())
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    typer.run(main)
