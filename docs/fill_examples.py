"""Puts what `examples/run.py` measured into the pages of the examples, so that no figure is typed by hand.

Run: python examples/run.py NAME, then python docs/fill_examples.py NAME
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from filling import fill

from edge.runtime.errors import DataError, EdgeError

ROOT = Path(__file__).resolve().parents[1]
MARKER = "results"


def main(
    name: Annotated[str, typer.Argument(help="Of the example.")],
    result: Annotated[Path | None, typer.Option(help="What the run wrote; runs/NAME/results.md by default.")] = None,
) -> None:
    """Replaces what stands between the markers of examples/NAME/README.md."""
    path = result or ROOT / "runs" / name / "results.md"
    try:
        fill(ROOT / "examples" / name / "README.md", MARKER, _read(path, name))
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror})", f"run python examples/run.py {name}") from error


if __name__ == "__main__":
    typer.run(main)
