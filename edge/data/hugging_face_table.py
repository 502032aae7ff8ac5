"""Folders of Hugging Face's `datasets` as manifests: one row a sample, pictures and sounds within."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.data.parquet_table import cell_of
from edge.runtime.capabilities import require_module
from edge.runtime.errors import DataError, first_line
from edge.runtime.sources.manifest_table import check_header

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.runtime.sources.manifest_table import Cell

SPLIT = "split"  # the column that the names of the splits become
_BATCH = 256
_SAVE = "save it with Dataset.save_to_disk of the package datasets"


@dataclass(frozen=True, eq=False)
class StoredFile:
    """A picture or a sound in a row of a dataset, read when it is asked for; an `EmbeddedFile`.

    Attributes:
        column: The dataset with that column alone.
        row: From 0.
        name: For messages.
        identity: Of the folder's files and the row.
    """

    column: Any
    row: int
    name: str
    identity: str

    def read(self) -> bytes:
        """Its content."""
        (found,) = self.column[self.row].values()
        content: bytes = found["bytes"]
        return content


class HuggingFaceTable:
    """A folder that `save_to_disk` wrote; a `CellTable`. Classes are given by name.

    Args:
        path: The folder; its rows stay on disk.

    Raises:
        DataError: It is no such folder, or its splits have other columns.
        MissingDependencyError: The extra `data` is not installed.
    """

    def __init__(self, path: Path) -> None:
        datasets, self._path = require_module("datasets"), path
        try:
            loaded = datasets.load_from_disk(str(path))
        except Exception as error:  # whatever its parsers stumble over
            raise DataError(f"{path} is no dataset that can be read ({first_line(error)})", _SAVE) from error
        parts = dict(loaded) if isinstance(loaded, datasets.DatasetDict) else {"": loaded}
        features = {tuple(part.column_names) for part in parts.values()}
        if len(features) != 1:
            raise DataError(f"the splits of {path} have different columns", "give all the same, in the same order")
        self._files = (datasets.Image, datasets.Audio)
        self._parts = {split: self._undecoded(part) for split, part in parts.items()}
        (own,) = features
        self._has_splits = "" not in parts and SPLIT not in own
        self._columns = (*own, SPLIT) if self._has_splits else own
        self._identity = _folder_identity(path)
        check_header(path, self._columns)

    @property
    def path(self) -> Path:
        """The folder."""
        return self._path

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the features, and `split` where the folder holds splits."""
        return self._columns

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts.values())

    def rows(self) -> Iterator[Sequence[Cell]]:
        """Cells as text, or as the files that they hold; split after split."""
        for split, part in self._parts.items():
            columns = {name: part.select_columns([name]) for name in self._stored(part)}
            for start in range(0, len(part), _BATCH):
                batch = part[start : start + _BATCH]
                for offset in range(len(next(iter(batch.values())))):
                    row = {name: values[offset] for name, values in batch.items()}
                    cells = [self._cell(part, columns, split, start + offset, name, v) for name, v in row.items()]
                    yield [*cells, split] if self._has_splits else cells

    def _cell(self, part: Any, columns: dict[str, Any], split: str, row: int, name: str, value: Any) -> Cell:
        where = f"{self._path}[{split}][{row}].{name}" if split else f"{self._path}[{row}].{name}"
        if name in columns and value is not None and value.get("bytes"):
            return StoredFile(columns[name], row, where, f"{self._identity}/{split}/{row}/{name}")
        feature = part.features[name]
        if hasattr(feature, "int2str") and value is not None:
            return str(feature.int2str(value)) if value >= 0 else ""
        return cell_of(value, where)

    def _stored(self, part: Any) -> list[str]:
        return [name for name, feature in part.features.items() if isinstance(feature, self._files)]

    def _undecoded(self, part: Any) -> Any:
        """The dataset with files as bytes: they are decoded as the runtime does it, and one at a time."""
        for name in self._stored(part):
            part = part.cast_column(name, type(part.features[name])(decode=False))
        return part


def _folder_identity(path: Path) -> str:
    """Of the names, sizes and times of change of its files, but for what the package caches among them."""
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("cache-"))
    facts = [(str(f.relative_to(path)), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return hashlib.sha256(repr(facts).encode()).hexdigest()
