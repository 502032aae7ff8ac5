"""The cells of a manifest, whatever kind of file holds them: text, or files that are stored within it."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Protocol, TypeAlias

from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class EmbeddedFile(Protocol):
    """A picture or a sound that lies within the manifest; it can be sent to other processes."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def identity(self) -> str:
        """Another one where the content is another."""

    def read(self) -> bytes:
        """Its content."""


Cell: TypeAlias = "str | EmbeddedFile"


class CellTable(Protocol):
    """Rows of cells, all of one length."""

    @property
    def path(self) -> Path:
        """The file or folder that they lie in; names of files in cells are relative to its folder."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names, each once."""

    def __len__(self) -> int:
        """Rows."""

    def rows(self) -> Iterator[Sequence[Cell]]:
        """Cells in the order of the columns; an empty text where there is none.

        Raises:
            DataError: A row is malformed.
        """


class CsvTable:
    """A CSV file with a header: UTF-8, comma-separated, quoted where need be; a `CellTable`.

    Args:
        path: The file; it is read once, now.

    Raises:
        DataError: It cannot be read, has no header or no row, a column stands twice, or a row has more or fewer cells.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open(encoding="utf-8-sig", newline="") as stream:
                self._header, self._rows = self._read(csv.reader(stream, strict=True))
        except OSError as error:
            raise DataError(f"cannot read {path} ({error.strerror})", "pass the path of a CSV file") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not UTF-8", "save it as CSV in UTF-8") from error
        check_header(path, self._header)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def columns(self) -> tuple[str, ...]:
        """The header."""
        return self._header

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> Iterator[Sequence[str]]:
        """Cells without blanks around them."""
        return iter(self._rows)

    def _read(self, reader: Iterator[list[str]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        header = tuple(name.strip() for name in self._next(reader, 0) or ())
        rows: list[tuple[str, ...]] = []
        while (cells := self._next(reader, len(rows) + 1)) is not None:
            if not cells:  # a blank line
                continue
            if len(cells) != len(header):
                raise DataError(
                    f"{self._path}: row {len(rows) + 1} has {len(cells)} cells, the header has {len(header)}",
                    "mend the row; a text with commas or line breaks stands in quotes",
                )
            rows.append(tuple(cell.strip() for cell in cells))
        return header, rows

    def _next(self, reader: Iterator[list[str]], row: int) -> list[str] | None:
        try:
            return next(reader, None)
        except csv.Error as error:
            raise DataError(f"{self._path}: row {row} is no CSV ({error})", "mend its quotes") from error


def check_header(path: Path, columns: Sequence[str]) -> None:
    """Refuses a header in which columns have no name or the same.

    Raises:
        DataError: It is so.
    """
    if not columns:
        raise DataError(f"{path} is empty", "write a header and one row a sample")
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t"):
        raise DataError(f"{path} is not separated by commas", "save it as CSV with commas")
    twice = [name for name in columns if columns.count(name) > 1]
    if twice or not all(columns):
        found = f"column '{twice[0]}' twice" if twice and twice[0] else "a column without a name"
        raise DataError(f"{path} has {found}", "give each column a name of its own")
