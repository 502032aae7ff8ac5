"""The rows of a manifest, each looked at once: who they are, which files they name, which numbers they hold.

What is wrong is told before anything is read from the files: the first bad row by its number and column, the others
by their count. Rows are numbered from 1, the header not counted.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from edge.runtime.errors import DataError
from edge.runtime.model_io import SeriesInput, TensorInput
from edge.runtime.sources.manifest_bad_rows import BadRows
from edge.runtime.sources.manifest_splits import SplitKeeper, split_by_share
from edge.runtime.sources.manifest_streams import check_columns, fit_streams

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.runtime.model_io import ModelIO
    from edge.runtime.sources.manifest_layout import ManifestLayout
    from edge.runtime.sources.manifest_streams import ManifestStream
    from edge.runtime.sources.manifest_table import Cell, CellTable, EmbeddedFile

Numbers: TypeAlias = "tuple[float, ...]"
# A file, a text, the numbers of a table, or those of a time series from old to new.
Value: TypeAlias = "Path | EmbeddedFile | str | Numbers | tuple[Numbers, ...]"


@dataclass(frozen=True)
class ManifestRow:
    """One row.

    Attributes:
        number: From 1.
        id: Of the sample.
        recording: What it was cut from.
        split: Empty where the manifest has none.
        values: By stream, what the sample is made of; streams that it lacks are left out.
        readings: By stream of a time series, what this row adds to it.
        attributes: By column.
        labels: By the output's tensor, the cell as it stands.
    """

    number: int
    id: str
    recording: str
    split: str
    values: Mapping[str, Value]
    readings: Mapping[str, Numbers]
    attributes: Mapping[str, str]
    labels: Mapping[str, str]


@dataclass(frozen=True)
class ManifestRows:
    """All rows of a manifest.

    Attributes:
        path: The manifest.
        streams: The model's, and where they stand.
        rows: In the order of the file. Those without values only begin a time series, and are no samples.
        runs: Rows that follow each other in time: those of a recording where there are time series, else all rows.
    """

    path: Path
    streams: tuple[ManifestStream, ...]
    rows: tuple[ManifestRow, ...]
    runs: tuple[tuple[ManifestRow, ...], ...]

    @property
    def samples(self) -> tuple[ManifestRow, ...]:
        """Rows of which a model can see something."""
        return tuple(row for row in self.rows if row.values)


def parse_rows(table: CellTable, layout: ManifestLayout, model_io: ModelIO) -> ManifestRows:
    """Looks at every row.

    Raises:
        ConfigError: The layout does not fit the model.
        DataError: A column is absent, there is no row, no row has a stream, or a row is bad: a file is not there, a
            number is none, an id stands twice, a recording is in two splits, or nothing is in it.
    """
    streams = fit_streams(layout, model_io)
    check_columns(table.path, table.columns, layout.named)
    bad = BadRows(table.path)
    reader = _RowReader(table, layout, streams, bad)
    rows = [reader.read(number, cells) for number, cells in enumerate(table.rows(), start=1)]
    if not rows:
        raise DataError(f"{table.path} has no row", "write one row a sample below the header")
    runs = [list(range(len(rows)))]
    for stream in streams:
        if isinstance(stream.item, SeriesInput):
            runs = _by_recording(rows, stream, reader.orders.get(stream.name), bad)
            _add_series(rows, stream, runs)
    _note_empty(rows, bad)
    bad.refuse()
    _refuse_absent_streams(table.path, streams, rows)
    return ManifestRows(table.path, streams, tuple(rows), tuple(tuple(rows[p] for p in places) for places in runs))


class _RowReader:
    def __init__(
        self, table: CellTable, layout: ManifestLayout, streams: Sequence[ManifestStream], bad: BadRows
    ) -> None:
        self._folder = table.path if table.path.is_dir() else table.path.parent
        self._places = {name: i for i, name in enumerate(table.columns)}
        self._layout, self._streams, self._bad = layout, streams, bad
        self._ids: dict[str, int] = {}
        self._keeper = SplitKeeper(bad, layout.columns.split or "")
        self.orders: dict[str, list[str]] = defaultdict(list)  # by stream, a cell a row

    def read(self, number: int, cells: Sequence[Cell]) -> ManifestRow:
        columns = self._layout.columns
        name = str(number) if columns.id is None else self._text(number, cells, columns.id)
        self._check_id(number, name)
        recording = name if columns.recording is None else self._text(number, cells, columns.recording)
        found = {s.name: v for s in self._streams if (v := self._value(number, cells, s)) is not None}
        for stream in self._streams:
            if stream.columns.order is not None:
                self.orders[stream.name].append(self._text(number, cells, stream.columns.order))
        readings = {s.name for s in self._streams if isinstance(s.item, SeriesInput)} & found.keys()
        return ManifestRow(
            number,
            name,
            recording,
            self._split(number, cells, recording),
            {key: value for key, value in found.items() if key not in readings},
            {key: _numbers_of(found[key]) for key in readings},
            {column: self._text(number, cells, column, filled=False) for column in columns.attributes},
            {output: self._text(number, cells, t.column, filled=False) for output, t in self._layout.targets.items()},
        )

    def _text(self, number: int, cells: Sequence[Cell], column: str, *, filled: bool = True) -> str:
        cell = cells[self._places[column]]
        if not isinstance(cell, str):
            self._bad.add(number, column, "the cell holds a file where a text is needed", "name another column")
            return ""
        if filled and not cell:
            self._bad.add(number, column, "the cell is empty", "fill it, or name another column")
        return cell

    def _check_id(self, number: int, name: str) -> None:
        first = self._ids.setdefault(name, number)
        if first != number and name:
            column = self._layout.columns.id or ""
            self._bad.add(number, column, f"the id '{name}' stands in row {first} already", "name each sample once")

    def _split(self, number: int, cells: Sequence[Cell], recording: str) -> str:
        if self._layout.shares is not None:
            return split_by_share(recording, self._layout.shares)
        if self._layout.columns.split is None:
            return ""
        split = self._text(number, cells, self._layout.columns.split, filled=False)
        self._keeper.take(number, recording, split)
        return split

    def _value(self, number: int, cells: Sequence[Cell], stream: ManifestStream) -> Value | None:
        if isinstance(stream.item, (TensorInput, SeriesInput)):
            return self._numbers(number, cells, stream.columns.columns)
        assert stream.columns.column is not None, "the layout was checked against the model"
        cell = cells[self._places[stream.columns.column]]
        if not isinstance(cell, str):
            return cell
        if not cell or not stream.is_file:
            return cell or None
        path = self._folder / Path(cell).expanduser()
        if not path.is_file():
            self._bad.add(
                number,
                stream.columns.column,
                f"there is no file {path}",
                "mend the path, which is relative to the manifest, or empty the cell",
            )
        return path

    def _numbers(self, number: int, cells: Sequence[Cell], columns: Sequence[str]) -> Numbers | None:
        texts = [self._text(number, cells, column, filled=False) for column in columns]
        if not any(texts):
            return None
        values = [self._number(number, column, text) for column, text in zip(columns, texts, strict=True)]
        return tuple(values)

    def _number(self, number: int, column: str, text: str) -> float:
        try:
            value = math.nan if "_" in text else float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return value
        if text:
            self._bad.add(number, column, f"'{text[:40]}' is no number", "write one such as 3.5, or mend the row")
        else:
            remedy = "fill it, or empty all cells of the stream, which is then missing"
            self._bad.add(number, column, "the cell is empty, and others of its stream are not", remedy)
        return math.nan


def _add_series(rows: list[ManifestRow], stream: ManifestStream, runs: Sequence[Sequence[int]]) -> None:
    """Gives each row its reading and those before it in its recording, where there are enough of them."""
    for places in runs:
        window: list[Numbers] = []
        for place in places:
            reading = rows[place].readings.get(stream.name)
            window = [] if reading is None else [*window, reading][-stream.steps :]
            if len(window) == stream.steps:
                rows[place] = replace(rows[place], values={**rows[place].values, stream.name: tuple(window)})


def _by_recording(
    rows: Sequence[ManifestRow], stream: ManifestStream, order: list[str] | None, bad: BadRows
) -> list[list[int]]:
    """Places of the rows of each recording, in the order of the column, or as they stand."""
    groups: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        groups[row.recording].append(place)
    if order is None:
        return list(groups.values())
    keys = _ordered(order)
    for places in groups.values():
        places.sort(key=lambda place: keys[place])
        for before, after in pairwise(places):
            if keys[before] == keys[after]:
                number, other = sorted((rows[before].number, rows[after].number))[::-1]
                problem = f"'{order[after]}' stands in row {other} of the same recording already"
                bad.add(number, stream.columns.order or "", problem, "give each row of a recording its own place")
    return list(groups.values())


def _ordered(texts: Sequence[str]) -> Sequence[float] | Sequence[str]:
    """As numbers where all are; else as text, which orders dates in ISO 8601."""
    try:
        return [float(text) for text in texts]
    except ValueError:
        return texts


def _note_empty(rows: Sequence[ManifestRow], bad: BadRows) -> None:
    for row in rows:
        if not row.values and not row.readings:
            bad.add(row.number, "", "every stream is empty", "fill one of its cells, or take the row out")


def _refuse_absent_streams(path: Path, streams: Sequence[ManifestStream], rows: Sequence[ManifestRow]) -> None:
    for stream in streams:
        if not any(stream.name in row.values for row in rows):
            short = f" of {stream.steps} rows of one recording" if stream.steps > 1 else ""
            raise DataError(
                f"{path}: no row has anything{short} for the stream '{stream.name}' (column '{stream.shown}')",
                "fill the column, or take the stream out of the model",
            )


def _numbers_of(value: Value) -> Numbers:
    assert isinstance(value, tuple)
    return tuple(float(v) for v in value if isinstance(v, float))
