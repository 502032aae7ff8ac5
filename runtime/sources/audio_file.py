"""A sound file as a source, looped where it is shorter than asked for."""

from __future__ import annotations

import re
import shlex
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from edge.runtime.capabilities import require_module
from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.errors import SourceError
from edge.runtime.rig import Rig, Stream
from edge.runtime.sample import AudioChunk, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

CHUNK_MS, TRANSPORT_MS = 20, 5.0
_CUT = re.compile(r"^data *: *(\d+) \(should be (\d+)\)", re.MULTILINE)  # what libsndfile notes on a short wav
_STREAMED = 0x7FFFF000  # sizes from here on are placeholders of programs that wrote to a pipe
_AGAIN = "copy the file again or convert it to a 16-bit wav"


class AudioFileSource:
    """One stream of mono sound in chunks of 20 ms; a `Source`.

    A stamp marks the chunk's first value and counts on from `start_ns` at the file's rate; the chunk arrives 5 ms
    after its last. Several channels are averaged. The last chunk may be shorter.

    Args:
        path: Any format that libsndfile reads.
        stream: Name of the stream.
        rate_hz: The rate that is needed, or None for any.
        start_ns: Stamp of the first value.
        duration_s: Length; a shorter file is looped. The file's own length if None.

    Raises:
        SourceError: The file is missing, truncated, no sound or of another rate, or the duration is not positive.
        MissingDependencyError: soundfile is absent.
    """

    def __init__(
        self,
        path: Path,
        stream: str = "audio",
        rate_hz: int | None = None,
        start_ns: int = 0,
        duration_s: float | None = None,
    ) -> None:
        with open_sound(path) as file:
            self._rate_hz, frames = int(file.samplerate), int(file.frames)
        if rate_hz is not None and rate_hz != self._rate_hz:
            raise SourceError(f"{path} is at {self._rate_hz} Hz, {rate_hz} Hz is needed", _conversion(path, rate_hz))
        if duration_s is not None and not 0 < duration_s < float("inf"):
            raise SourceError(f"a duration of {duration_s} s cannot be cut from {path}", "use one above 0 seconds")
        self._path, self._stream, self._start_ns = path, stream, start_ns
        self._frames = frames
        self._length = frames if duration_s is None else max(1, round(duration_s * self._rate_hz))
        self._chunk = max(1, round(self._rate_hz * CHUNK_MS / 1000))

    @property
    def description(self) -> str:
        """One line for the report."""
        looped = " looped" if self._length > self._frames else ""
        return f"{self._path.name}{looped}: mixed in, not recorded with the other sensors"

    @property
    def rig(self) -> Rig:
        """One microphone."""
        stream = Stream(
            kind="audio",
            rate_hz=self._rate_hz / self._chunk,
            clock="sample-counter",
            stamp="first-sample",
            transport_ms=TRANSPORT_MS,
            sample_rate_hz=self._rate_hz,
        )
        return Rig(schema=1, name="audio-file", anchor=self._stream, streams={self._stream: stream})

    def samples(self) -> Iterator[Sample]:
        """All chunks, in order.

        Raises:
            SourceError: The file turns out to be shorter than its header says, or broken.
        """
        with open_sound(self._path) as file:
            for seq, begin in enumerate(range(0, self._length, self._chunk)):
                end = min(begin + self._chunk, self._length)
                arrival = self._stamp(end) + round(TRANSPORT_MS * NS_PER_MS)
                payload = AudioChunk(self._read(file, begin, end - begin), self._rate_hz)
                yield Sample(self._stream, self._stamp(begin), arrival, seq, payload)

    def _stamp(self, position: int) -> int:
        return self._start_ns + position * NS_PER_S // self._rate_hz

    def _read(self, file: Any, begin: int, count: int) -> NDArray[np.float32]:
        """float32 `[1, count]` from `begin` on, around the file's end where need be."""
        pieces = []
        while count:
            position = begin % self._frames
            if position == 0 and begin:
                file.seek(0)
            wanted = min(count, self._frames - position)
            pieces.append(self._piece(file, wanted))
            begin, count = begin + wanted, count - wanted
        return np.concatenate(pieces)[np.newaxis]

    def _piece(self, file: Any, count: int) -> NDArray[np.float32]:
        try:
            values = file.read(count, dtype="float32", always_2d=True)
        except RuntimeError as error:
            raise SourceError(f"{self._path} is truncated or broken ({error})", _AGAIN) from error
        if len(values) != count:
            raise SourceError(f"{self._path} is truncated: it ends before its {self._frames} values", _AGAIN)
        return np.asarray(values.mean(axis=1), np.float32)


@contextmanager
def open_sound(path: Path, content: BinaryIO | None = None) -> Iterator[Any]:
    """A `soundfile.SoundFile` that holds what its header says.

    Args:
        path: Any format that libsndfile reads.
        content: Bytes to read in its place, which the path then only names.

    Raises:
        SourceError: It is missing, truncated or no sound.
        MissingDependencyError: soundfile is absent.
    """
    soundfile = require_module("soundfile")
    if content is None and not path.is_file():
        raise SourceError(f"there is no sound file {path}", "pass the path of a wav file")
    try:
        file = soundfile.SoundFile(path if content is None else content)
    except (RuntimeError, OSError) as error:  # soundfile's errors are RuntimeErrors
        raise SourceError(f"{path} is no sound file ({error})", _AGAIN) from error
    with file:
        _check_whole(path, file)
        yield file


def _check_whole(path: Path, file: Any) -> None:
    cut = _CUT.search(file.extra_info)
    if cut and int(cut[2]) < int(cut[1]) < _STREAMED:
        raise SourceError(f"{path} is truncated: {cut[2]} of {cut[1]} bytes of sound are there", _AGAIN)
    if file.frames <= 0:
        raise SourceError(f"{path} holds no sound", _AGAIN)


def _conversion(path: Path, rate_hz: int) -> str:
    out = path.with_name(f"{path.stem}_{rate_hz}hz.wav")
    return f"convert it with: sox {shlex.quote(str(path))} -r {rate_hz} -c 1 {shlex.quote(str(out))}"
