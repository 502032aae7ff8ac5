"""The table of docs/compiling.md, as Markdown."""

from __future__ import annotations

from typing import Any

HEADER = ("graph", "FP32 weights", "FP32 engine", "INT8 engine", "weight-only engine")


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
