"""Fills the tables of docs/distillation.md from the benchmark's result, so that no figure is typed by hand.

Run: python docs/fill_distillation.py [--result benchmarks/results/distillation.json]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from fill_readme import fill

from edge.runtime.errors import ConfigError, EdgeError

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
        fill(page, "distillation", "\n".join(report(_read(result))).strip())
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error


def _read(path: Path) -> dict[str, object]:
    try:
        found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read", "run python benchmarks/distillation.py first") from error
    return found


if __name__ == "__main__":
    typer.run(main)
