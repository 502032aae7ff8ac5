"""The rows of a manifest as streams: each row's samples one after the other, as sensors would have sent them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import yaml

from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.errors import DataError, SourceError
from edge.runtime.sample import AudioChunk, Reading, Sample
from edge.runtime.sources.manifest_layout import layout_of_recipe, read_layout, streams_file
from edge.runtime.sources.manifest_pace import replay_rig, row_rate_hz
from edge.runtime.sources.manifest_payloads import PayloadReader
from edge.runtime.sources.manifest_rows import parse_rows
from edge.runtime.sources.manifest_table import CsvTable
from edge.runtime.synchronize.rig_streams import usual_delay_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.runtime.bundle import Bundle
    from edge.runtime.model_io import ModelIO
    from edge.runtime.rig import Rig
    from edge.runtime.sources.manifest_layout import ManifestLayout
    from edge.runtime.sources.manifest_rows import ManifestRow, ManifestRows

LEAD_NS = NS_PER_MS  # other streams are measured so long before the anchor
# Anchor periods without a sample between recordings: a time series must not go on from one into the next.
PAUSE_PERIODS = 3


@dataclass(frozen=True)
class ManifestOptions:
    """What a manifest does not tell by itself.

    Attributes:
        rig: The sensors that its rows stand for.
        model_io: What the model takes of them.
        layout: What its columns are where no file beside it says so.
    """

    rig: Rig
    model_io: ModelIO
    layout: ManifestLayout | None = None


def manifest_options(bundle: Bundle, specs: Sequence[str]) -> ManifestOptions | None:
    """What a bundle says of manifests: its sensors, its model, and the columns that it was trained by, if it was.

    Returns:
        None where no word in `specs` names a manifest.

    Raises:
        BundleError: The recipe cannot be read.
        ConfigError: It has columns that are wrong.
    """
    if not any(spec.startswith("manifest:") for spec in specs):
        return None
    recipe = yaml.safe_load(bundle.text("recipe.yaml"))
    return ManifestOptions(bundle.rig, bundle.model_io, layout_of_recipe(recipe))


class ManifestSource:
    """Rows, replayed; a `Source`.

    The row of number k, from 0, has the stamp of k + 1 periods (`row_rate_hz`). The anchor's sample carries it;
    pictures, sweeps, texts and readings are measured 1 ms before it, and sound comes in the rig's chunks, of which the
    last ends at it. What a row lacks is not sent. Of a time series each row sends its own reading; rows of one
    recording follow each other, and between recordings there is silence.

    The anchor is the stream but sound that most rows have, the rig's where several have as many. Rows without it are
    fused where its sample should have been, as with a sensor that fails. Since that takes a sample before and one after
    them, the first and the last row that have it come first and last, unless there are time series.

    Args:
        path: A CSV file; what its columns are is in `NAME.streams.yaml` beside it, or in the options.
        options: The rig, and what the model takes.
        split: Only rows of that split.
        limit: Only so many samples.

    Raises:
        ConfigError: The columns do not fit the model, or nothing says what they are.
        DataError: A row is bad, or there is none of that split.
        RigError: The rig lacks a stream of the model.
    """

    def __init__(
        self, path: Path, options: ManifestOptions, split: str | None = None, limit: int | None = None
    ) -> None:
        layout = _layout(path, options)
        self._period_ns = round(NS_PER_S / row_rate_hz(options.rig, options.model_io))
        rows = parse_rows(CsvTable(path), layout, options.model_io)
        self._reader = PayloadReader(rows, options.model_io, self._longest(rows))
        runs = _chosen(path, rows, split, limit)
        anchor = _anchor(options.rig, rows, [row for run in runs for row in run])
        in_time = any(stream.steps > 1 for stream in rows.streams)
        self._placed = tuple(_placed(runs if in_time else [_framed(run, anchor) for run in runs]))
        self._rig = replay_rig(options.rig, options.model_io, anchor)
        self._path, self._split, self.generated = path, split, layout.generated

    @property
    def description(self) -> str:
        """One line for the report."""
        samples = sum(bool(row.values) for _, row in self._placed)
        of = f" of the split '{self._split}'" if self._split else ""
        made = "generated rows" if self.generated else "rows"
        return f"{samples} {made}{of} of {self._path.name}, one each {self._period_ns / NS_PER_MS:g} ms"

    @property
    def rig(self) -> Rig:
        """The sensors that the rows stand for, at the pace of the replay."""
        return self._rig

    @property
    def stamped(self) -> tuple[tuple[int, str], ...]:
        """The stamp and the id of each sample, in order: whose results are whose."""
        return tuple((self._stamp_ns(place), row.id) for place, row in self._placed if row.values)

    def samples(self) -> Iterator[Sample]:
        """All samples by arrival, each read from disk when it is asked for.

        Raises:
            DataError: A file cannot be read or is not what the model needs; row and column are named.
        """
        # Where two arrive at once the anchor comes last.
        names = sorted(self._rig.streams, key=lambda name: name == self._rig.anchor)
        return heapq.merge(*(self._stream(name) for name in names), key=lambda sample: sample.arrival_ns)

    def _stamp_ns(self, place: int) -> int:
        return (place + 1) * self._period_ns

    def _longest(self, rows: ManifestRows) -> dict[str, int]:
        """How many values of sound a row's period has room for."""
        rates = {stream.name: stream.item.rate_hz for stream in rows.streams if stream.item.feature == "logmel"}
        return {name: self._period_ns * rate_hz // NS_PER_S for name, rate_hz in rates.items()}

    def _stream(self, name: str) -> Iterator[Sample]:
        stream, seq = self._rig.stream(name), 0
        offset_ns = round(stream.latency_offset_ms * NS_PER_MS)
        lead_ns = 0 if name == self._rig.anchor else min(LEAD_NS, self._period_ns // 10)
        for place, row in self._placed:
            if stream.kind == "audio":
                for sample in self._sound(name, row, self._stamp_ns(place) - offset_ns, seq):
                    yield sample
                    seq += 1
            elif _has(row, name):
                payload = self._reading(name, row) or self._reader.payload(row, name)
                stamp_ns = self._stamp_ns(place) - lead_ns - offset_ns
                yield Sample(name, stamp_ns, stamp_ns + offset_ns + usual_delay_ns(stream), seq, payload)
                seq += 1

    def _reading(self, name: str, row: ManifestRow) -> Reading | None:
        """What the row adds to a time series."""
        return self._reader.reading(row, name) if name in row.readings else None

    def _sound(self, name: str, row: ManifestRow, end_ns: int, seq: int) -> Iterator[Sample]:
        """The row's sound in chunks, the first perhaps shorter."""
        if name not in row.values:
            return
        payload, stream = self._reader.payload(row, name), self._rig.stream(name)
        assert isinstance(payload, AudioChunk), "the model's input is a log-mel"
        rate_hz, length = payload.rate_hz, payload.samples.shape[-1]
        chunk = max(1, round(rate_hz / stream.rate_hz))
        late_ns = round((stream.latency_offset_ms + stream.transport_ms) * NS_PER_MS)
        bounds = [0, *range(length % chunk or chunk, length + 1, chunk)]
        for number, (begin, stop) in enumerate(pairwise(bounds)):
            stamp_ns = end_ns - (length - begin) * NS_PER_S // rate_hz
            arrival_ns = end_ns - (length - stop) * NS_PER_S // rate_hz + late_ns
            values = payload.samples[:, begin:stop]
            yield Sample(name, stamp_ns, arrival_ns, seq + number, AudioChunk(values, rate_hz))


def _layout(path: Path, options: ManifestOptions) -> ManifestLayout:
    file = streams_file(path)
    if file.is_file():
        return read_layout(file)
    if options.layout is None:
        raise SourceError(
            f"nothing says what the columns of {path} are: there is no {file.name} beside it, and the bundle was not "
            "trained from a manifest",
            f"write {file}, with `streams` as in a project's `data`",
        )
    return options.layout


def _chosen(path: Path, rows: ManifestRows, split: str | None, limit: int | None) -> list[list[ManifestRow]]:
    """Rows that are asked for, by run."""
    runs, left = [], len(rows.rows) if limit is None else limit
    for run in rows.runs:
        found = _limited([row for row in run if split in (None, row.split)], left)
        left -= sum(bool(row.values) for row in found)
        if found:
            runs.append(found)
    if not runs:
        have = sorted({row.split for row in rows.rows} - {""})
        raise DataError(
            f"{path} has no row of the split '{split}' ({', '.join(have) or 'its rows have no split'})",
            "name a split that it has, or leave `split` out",
        )
    return runs


def _anchor(rig: Rig, rows: ManifestRows, chosen: Sequence[ManifestRow]) -> str:
    names = [stream.name for stream in rows.streams]
    seen = sorted((n for n in names if rig.stream(n).kind != "audio"), key=lambda name: name != rig.anchor)
    return max(seen or names[:1], key=lambda name: sum(_has(row, name) for row in chosen))


def _has(row: ManifestRow, stream: str) -> bool:
    return stream in row.values or stream in row.readings


def _framed(run: list[ManifestRow], anchor: str) -> list[ManifestRow]:
    """The run with a row that has the anchor first, and one last."""
    first = next((row for row in run if _has(row, anchor)), run[0])
    last = next((row for row in reversed(run) if _has(row, anchor)), run[-1])
    between = [row for row in run if row is not first and row is not last]
    return [first, *between, *([] if last is first else [last])]


def _placed(runs: Sequence[Sequence[ManifestRow]]) -> Iterator[tuple[int, ManifestRow]]:
    """Each row with its place in time."""
    place = 0
    for run in runs:
        yield from enumerate(run, start=place)
        place += len(run) + PAUSE_PERIODS


def _limited(rows: list[ManifestRow], samples: int) -> list[ManifestRow]:
    """The first rows, up to and with so many samples."""
    seen = 0
    for end, row in enumerate(rows):
        if seen == samples:
            return rows[:end]
        seen += bool(row.values)
    return rows
