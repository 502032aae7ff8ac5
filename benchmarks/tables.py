"""Tables in Markdown, and figures as cells."""

from __future__ import annotations

from typing import Any


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a table; a blank one follows."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines] + [""]


def figure(value: float | None) -> str:
    """Three digits that count, no exponent; a dash where there is none."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 or value == 0 else 3
    return f"{value:,.{digits}f}"


def times(row: dict[str, Any]) -> str:
    """A ratio with its interval and its range."""
    if "ratio" not in row:
        return ""
    (low, high), (least, most) = row["interval"], row["range"]
    return f"{figure(row['ratio'])}x [{figure(low)}, {figure(high)}], {figure(least)} to {figure(most)}"


def signed_interval(row: dict[str, float]) -> str:
    """A gain with its interval, as a cell of a table."""
    return f"{row['estimate']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"


def absent(missing: dict[str, str], columns: int) -> list[list[str]]:
    """A row for each side that could not run, which says how it could."""
    return [[name, note, *[""] * (columns - 2)] for name, note in missing.items()]
