"""What a row of a manifest holds, as payloads: pictures, sounds, sweeps, texts, readings and series of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.capabilities import require_module
from edge.runtime.errors import DataError, SourceError
from edge.runtime.model_io import ImageInput, LidarViewInput, LogMelInput, SeriesInput, TensorInput
from edge.runtime.sample import AudioChunk, Image, Reading, Series, Text
from edge.runtime.sources.audio_file import open_sound
from edge.runtime.sources.kitti_files import read_sweep
from edge.runtime.sources.manifest_bad_rows import place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge.runtime.model_io import ModelIO
    from edge.runtime.sample import Payload
    from edge.runtime.sources.manifest_rows import ManifestRow, ManifestRows, Value
    from edge.runtime.sources.manifest_streams import ManifestStream
    from edge.runtime.sources.manifest_table import EmbeddedFile

LIMIT_TEXT_BYTES = 1 << 20
_ENDINGS = {b"\x89PNG": b"IEND", b"\xff\xd8\xff": b"\xff\xd9"}  # by how the file begins


class PayloadReader:
    """Reads what rows hold. Re-entrant, and can be sent to other processes.

    Args:
        rows: Of the manifest.
        model_io: Says how much of a sound the model hears.
        longest: By stream of sound, how many values to read up to the end of a file; the model's window at least.
    """

    def __init__(self, rows: ManifestRows, model_io: ModelIO, longest: Mapping[str, int] | None = None) -> None:
        self._path, self._streams = rows.path, {stream.name: stream for stream in rows.streams}
        self._windows = window_lengths(model_io)
        self._longest = {name: max(need, (longest or {}).get(name, 0)) for name, need in self._windows.items()}

    def payloads(self, row: ManifestRow) -> dict[str, Payload]:
        """Payloads of the streams that the row has.

        Raises:
            DataError: A file cannot be read or is not what the model needs; the row and the column are named.
            MissingDependencyError: What reads such files is not installed.
        """
        return {name: self.payload(row, name) for name in row.values}

    def payload(self, row: ManifestRow, name: str) -> Payload:
        """The payload of one stream that the row has.

        Raises:
            DataError: As `payloads`.
            MissingDependencyError: Likewise.
        """
        stream = self._streams[name]
        try:
            return self._read(stream, row.values[name])
        except SourceError as error:
            where = place_of(self._path, row.number, stream.shown)
            raise DataError(f"{where}: {error.problem}", error.remedy) from error

    def reading(self, row: ManifestRow, name: str) -> Reading:
        """What the row adds to a time series."""
        return Reading(np.asarray(row.readings[name], np.float32), self._streams[name].columns.columns)

    def _read(self, stream: ManifestStream, value: Value) -> Payload:
        if isinstance(stream.item, SeriesInput):
            return Series(np.asarray(value, np.float32), stream.columns.columns)
        if isinstance(stream.item, TensorInput):
            return Reading(np.asarray(value, np.float32), stream.columns.columns)
        if isinstance(value, str):
            return Text(value)
        assert not isinstance(value, tuple), "numbers are of tables and series"
        return self._read_file(stream, value)

    def _read_file(self, stream: ManifestStream, file: Path | EmbeddedFile) -> Payload:
        item = stream.item
        if isinstance(item, ImageInput):
            return read_picture(file, grey=item.shape[1] == 1)
        if isinstance(item, LogMelInput):
            need, silence = self._windows[stream.name], stream.columns.short == "silence"
            return read_sound_end(file, item.rate_hz, need, self._longest[stream.name], silence=silence)
        if isinstance(item, LidarViewInput):
            return read_sweep(_on_disk(file))
        return Text(_read_text(file))


def window_lengths(model_io: ModelIO) -> dict[str, int]:
    """How many values of each stream of sound the model hears; the most where several inputs read it."""
    lengths: dict[str, int] = {}
    for item in model_io.inputs:
        if isinstance(item, LogMelInput):
            lengths[item.stream] = max(lengths.get(item.stream, 0), item.window_samples)
    return lengths


def read_picture(file: Path | EmbeddedFile, *, grey: bool) -> Image:
    """Decodes a picture, as `mono8` or as `bgr8`, the order in which OpenCV does.

    Raises:
        SourceError: It is missing, no picture, or cut short, which the decoder would fill with grey.
        MissingDependencyError: OpenCV is not installed.
    """
    cv2 = require_module("cv2")
    data = np.frombuffer(_content(file), np.uint8)
    ending = next((end for begin, end in _ENDINGS.items() if data[:4].tobytes().startswith(begin)), b"")
    try:
        whole = data.size > 0 and ending in data[-16:].tobytes()
        pixels = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR) if whole else None
    except cv2.error as error:
        raise SourceError(f"cannot read {_name(file)} ({error})", "save it as PNG or JPEG") from error
    if pixels is None:
        raise SourceError(f"{_name(file)} is no picture, or is truncated", "save it again as PNG or JPEG")
    return Image(pixels, "mono8" if grey else "bgr8")


def read_sound_end(
    file: Path | EmbeddedFile, rate_hz: int, need: int, longest: int, *, silence: bool = False
) -> AudioChunk:
    """The end of a sound, float32 `[1, n]`, with several channels averaged.

    Args:
        file: Any format that libsndfile reads.
        rate_hz: Which it must have.
        need: How many values there must be.
        longest: How many are read at most.
        silence: Put silence before a sound that is too short, instead of refusing it.

    Raises:
        SourceError: It is missing, truncated, no sound, of another rate, or too short.
        MissingDependencyError: soundfile is not installed.
    """
    content = None if isinstance(file, Path) else io.BytesIO(file.read())
    path = file if isinstance(file, Path) else Path(file.name)
    with open_sound(path, content) as sound:
        if int(sound.samplerate) != rate_hz:
            raise SourceError(f"{path} is at {sound.samplerate} Hz, the model hears {rate_hz} Hz", "resample it")
        count = min(int(sound.frames), longest)
        if count < need and not silence:
            raise SourceError(
                f"{path} holds {sound.frames} values, the model's window needs {need}",
                "record longer, or set `short: silence` for the stream",
            )
        sound.seek(int(sound.frames) - count)
        values = _mono(sound.read(count, dtype="float32", always_2d=True))
    return AudioChunk(np.pad(values, (max(0, need - count), 0))[np.newaxis], rate_hz)


def _mono(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(values.mean(axis=1), np.float32)


def _read_text(file: Path | EmbeddedFile) -> str:
    content = _content(file)
    if len(content) > LIMIT_TEXT_BYTES:
        raise SourceError(f"{_name(file)} has {len(content)} bytes, more than any text", "name a text file")
    try:
        return content.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise SourceError(f"{_name(file)} is not UTF-8", "save it as UTF-8") from error


def _content(file: Path | EmbeddedFile) -> bytes:
    if not isinstance(file, Path):
        return file.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {file} ({error.strerror})", "copy it again") from error


def _on_disk(file: Path | EmbeddedFile) -> Path:
    if not isinstance(file, Path):
        raise SourceError(f"{file.name} lies within the manifest", "store sweeps as files of their own")
    return file


def _name(file: Path | EmbeddedFile) -> str:
    return str(file) if isinstance(file, Path) else file.name
