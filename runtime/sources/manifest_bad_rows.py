"""What is wrong with rows of a manifest: collected over all of them, told of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


class BadRows:
    """Collects mistakes until all rows were looked at.

    Args:
        path: The manifest.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: set[int] = set()
        self._first: tuple[int, str, str, str] | None = None

    def add(self, row: int, column: str, problem: str, remedy: str) -> None:
        """Notes a mistake.

        Args:
            row: From 1, the header not counted.
            column: Its name; empty where it is of the whole row.
            problem: What is wrong.
            remedy: What to do.
        """
        self._rows.add(row)
        if self._first is None or row < self._first[0]:
            self._first = (row, column, problem, remedy)

    def refuse(self) -> None:
        """Ends the collection.

        Raises:
            DataError: There is a bad row; the first is named, the others are counted.
        """
        if self._first is None:
            return
        row, column, problem, remedy = self._first
        others = f" ({len(self._rows) - 1} more rows are bad)" if len(self._rows) > 1 else ""
        raise DataError(f"{place_of(self._path, row, column)}: {problem}{others}", remedy)


def place_of(path: Path, row: int, column: str = "") -> str:
    """Names a cell, as every message about a manifest does."""
    return f"{path}: row {row}, column '{column}'" if column else f"{path}: row {row}"
