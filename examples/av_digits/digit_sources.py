"""Reads the raw material of AV digits: MNIST images, spoken digits (FSDD) and a street's background noise."""

from __future__ import annotations

import gzip
import struct
import wave
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE_HZ = 8000
CLASSES = 10
IDX_IMAGES, IDX_LABELS = 0x803, 0x801  # uint8 with 3 dimensions, uint8 with 1
FETCH = "pass the folder that holds fsdd/, mnist/ and scaper_street/"


@dataclass(frozen=True, eq=False)
class Recording:
    """A spoken digit.

    Attributes:
        name: `{digit}_{speaker}_{index}`, the name of its file.
        samples: float32 `[n]` in -1..1 at 8 kHz.
    """

    name: str
    digit: int
    speaker: str
    index: int
    samples: NDArray[np.float32]


def read_recordings(data: Path) -> list[Recording]:
    """All spoken digits, ordered by name.

    Raises:
        DataError: There are none, or a file is no 8 kHz recording or is named otherwise.
    """
    paths = sorted((data / "fsdd" / "recordings").glob("*.wav"))
    if not paths:
        raise DataError(f"{data / 'fsdd' / 'recordings'} holds no wav files", FETCH)
    return [_read_recording(path) for path in paths]


def read_images(data: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Handwritten digits, uint8 `[N, 28, 28]`, and what they show, uint8 `[N]`.

    Raises:
        DataError: A file is missing or malformed, or the two disagree.
    """
    images = _read_idx(data / "mnist" / "images-idx3-ubyte.gz", IDX_IMAGES)
    labels = _read_idx(data / "mnist" / "labels-idx1-ubyte.gz", IDX_LABELS)
    if len(images) != len(labels) or labels.max(initial=0) >= CLASSES:
        raise DataError(f"{len(images)} images but {len(labels)} labels of digits in {data / 'mnist'}", FETCH)
    return images, labels


def read_background(data: Path) -> NDArray[np.float32]:
    """The street's background as recorded, float32 `[n]`, at 8 kHz.

    Raises:
        DataError: It is missing or malformed.
    """
    folder = data / "scaper_street" / "background" / "street"
    paths = sorted(folder.glob("*.wav"))
    if len(paths) != 1:
        raise DataError(f"{folder} holds {len(paths)} wav files, one is needed", FETCH)
    samples, rate_hz = _read_wav(paths[0])
    return resample(samples, rate_hz, RATE_HZ)


def resample(samples: NDArray[np.float32], rate_hz: int, target_hz: int) -> NDArray[np.float32]:
    """Another sampling rate, by cutting or padding the spectrum: nothing folds back, the ends wrap around."""
    count = round(len(samples) * target_hz / rate_hz)
    spectrum = np.fft.rfft(samples)[: count // 2 + 1]
    return (np.fft.irfft(spectrum, count) * (count / len(samples))).astype(np.float32)


def _read_recording(path: Path) -> Recording:
    digit, speaker, index = (*path.stem.split("_"), "", "")[:3]
    if not (digit.isdigit() and int(digit) < CLASSES and index.isdigit()):
        raise DataError(f"{path} is not named DIGIT_SPEAKER_INDEX.wav", FETCH)
    samples, rate_hz = _read_wav(path)
    if rate_hz != RATE_HZ or not samples.any():
        raise DataError(f"{path} is silent or not sampled at {RATE_HZ} Hz", FETCH)
    return Recording(path.stem, int(digit), speaker, int(index), samples)


def _read_wav(path: Path) -> tuple[NDArray[np.float32], int]:
    try:
        with wave.open(str(path), "rb") as file:
            layout = (file.getnchannels(), file.getsampwidth())
            rate_hz, content = file.getframerate(), file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise DataError(f"{path} cannot be read ({error})", FETCH) from error
    if layout != (1, 2):
        raise DataError(f"{path} has {layout[0]} channels of {8 * layout[1]} bit, not one of 16", FETCH)
    return (np.frombuffer(content, "<i2") / 32768).astype(np.float32), rate_hz


def _read_idx(path: Path, magic: int) -> NDArray[np.uint8]:
    """An IDX file: magic (its last byte is the number of dimensions), sizes, bytes; all big-endian."""
    dimensions = magic & 0xFF
    header = 4 * (1 + dimensions)
    try:
        content = gzip.decompress(path.read_bytes())
        found, *shape = struct.unpack_from(f">{1 + dimensions}I", content)
    except (OSError, EOFError, struct.error) as error:
        raise DataError(f"{path} cannot be read ({error})", FETCH) from error
    if found != magic or len(content) != header + int(np.prod(shape)):
        raise DataError(f"{path} is no IDX file of {dimensions} dimensions, or it is truncated", FETCH)
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
