"""Fills the table of docs/training.md from the benchmark's results, so that no figure is typed by hand.

Run: python docs/fill_training.py [--result benchmarks/results/single_modality_NAME.json ...]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from fill_readme import fill, read_result

from edge.runtime.errors import EdgeError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from single_modality import report

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "training.md"
RESULTS = ROOT / "benchmarks" / "results"
MAKE = "python benchmarks/single_modality.py"


def main(
    result: Annotated[list[Path] | None, typer.Option(help="A project each; all by default.")] = None,
    page: Annotated[Path, typer.Option(help="The file to fill.")] = PAGE,
) -> None:
    """Replaces what stands between the markers."""
    try:
        found = [read_result(path, MAKE) for path in result or sorted(RESULTS.glob("single_modality_*.json"))]
        fill(page, "single_modality", "\n\n".join("\n".join(report(project)).strip() for project in found))
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    typer.run(main)
