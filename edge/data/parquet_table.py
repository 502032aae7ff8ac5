"""Manifests as Parquet files, such as pandas and Spark write them."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from edge.runtime.capabilities import require_module
from edge.runtime.errors import DataError, first_line
from edge.runtime.sources.manifest_table import check_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.runtime.sources.manifest_table import Cell

_BATCH = 1024  # rows that become Python objects at a time


@dataclass(frozen=True)
class InlineFile:
    """A picture or a sound whose bytes stand in the table; an `EmbeddedFile`."""

    name: str
    content: bytes

    @cached_property
    def identity(self) -> str:
        """Digest of the content."""
        return hashlib.sha256(self.content).hexdigest()

    def read(self) -> bytes:
        """Its content."""
        return self.content


class ParquetTable:
    """A Parquet file; a `CellTable`. Nulls and NaN are empty cells, bytes are files that it holds.

    Args:
        path: The file, read into memory.

    Raises:
        DataError: It cannot be read, or a column stands twice.
        MissingDependencyError: pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        parquet, errors = require_module("pyarrow.parquet"), require_module("pyarrow").ArrowException
        self._path = path
        try:
            self._table = parquet.ParquetFile(path).read()
        except (OSError, errors) as error:
            raise DataError(
                f"{path} is no Parquet file that can be read ({first_line(error)})", "write it again"
            ) from error
        check_header(path, self.columns)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the schema."""
        return tuple(str(name) for name in self._table.column_names)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def rows(self) -> Iterator[Sequence[Cell]]:
        """Cells as text, or as the files that they hold."""
        number = 0
        for batch in self._table.to_batches(max_chunksize=_BATCH):
            for row in batch.to_pylist():
                number += 1
                yield [cell_of(value, f"{self._path}[{number}].{name}") for name, value in row.items()]


def cell_of(value: object, name: str) -> Cell:
    """A value of a table as a cell.

    Args:
        value: Bytes, or a mapping of `bytes` and `path` as Hugging Face stores pictures and sounds, are files.
        name: For messages about such a file.
    """
    if isinstance(value, dict) and {"bytes", "path"} >= value.keys():
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return InlineFile(name, value) if value else ""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return str(value).strip()
