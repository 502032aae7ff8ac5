"""Fills the table of docs/compiling.md from the benchmark's result, so that no figure is typed by hand.

Run: python docs/fill_compiling.py [--result benchmarks/results/engine_bytes.json]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from fill_readme import fill, read_result

from edge.runtime.errors import EdgeError

PAGE = Path(__file__).resolve().parent / "compiling.md"
RESULT = PAGE.parents[1] / "benchmarks" / "results" / "engine_bytes.json"
HEADER = ("graph", "FP32 weights", "FP32 engine", "INT8 engine", "weight-only engine")


def main(
    result: Annotated[Path, typer.Option(help="What the benchmark wrote.")] = RESULT,
    page: Annotated[Path, typer.Option(help="The file to fill.")] = PAGE,
) -> None:
    """Replaces what stands between the markers."""
    try:
        fill(page, "engine-bytes", table_text(read_result(result, "python benchmarks/engine_bytes.py")))
    except EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error


def table_text(found: dict[str, Any]) -> str:
    """A row for each graph, and what compiled it."""
    rows = [HEADER, ("---", *["---:"] * (len(HEADER) - 1)), *map(_row, found["graphs"].items())]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    capability = found["compute_capability"]
    return "\n".join([*lines, "", f"{found['compiler']}, compute capability {capability}."])


def _row(item: tuple[str, dict[str, Any]]) -> tuple[str, ...]:
    name, found = item
    variants = ((found["saved"][kind], found["declared_int8"][kind]) for kind in ("int8", "weight_only"))
    told = (f"saves {saved:.0%}, declares {share:.0%}" for saved, share in variants)
    sizes = (f"{size / 1e6:.1f} MB" for size in (found["weight_bytes"], found["engine_bytes"]["fp32"]))
    return (name, *sizes, *told)


if __name__ == "__main__":
    typer.run(main)
