"""Fills the tables of docs/fusion.md from the benchmark's result, so that no figure is typed by hand.

Run: python docs/fill_fusion.py [--result benchmarks/results/fusion_kinds.json]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from fill_readme import fill, read_result

from edge.runtime.errors import EdgeError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from fusion_kinds_tables import report

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "fusion.md"
RESULT = ROOT / "benchmarks" / "results" / "fusion_kinds.json"


def main(
    result: Annotated[Path, typer.Option(help="What the benchmark wrote.")] = RESULT,
    page: Annotated[Path, typer.Option(help="The file to fill.")] = PAGE,
) -> None:
    """Replaces what stands between the markers."""
    try:
        found = read_result(result, "python benchmarks/fusion_kinds.py PROJECT.yaml")
        fill(page, "fusion", "\n".join(report(found["projects"])).strip())
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    typer.run(main)
