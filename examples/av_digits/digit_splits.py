"""Who is in which split: recordings, images and stretches of background never cross from one to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from digit_sources import CLASSES, Recording, read_background, read_images, read_recordings

from edge.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.data.dataset_folder import Split

# Indices of the recordings, numbers of the images, and the share of the background, from and up to. The task says
# what is test; validation is carved from its training part.
INDICES: dict[Split, tuple[int, int]] = {"train": (5, 46), "validation": (46, 50), "test": (0, 5)}
IMAGES: dict[Split, tuple[int, int]] = {"train": (0, 5000), "validation": (5000, 5500), "test": (5500, 7000)}
BACKGROUND: dict[Split, tuple[float, float]] = {
    "train": (0.0, 0.52),
    "validation": (0.52, 0.6),
    "test": (0.6, 1.0),
}


@dataclass(frozen=True, eq=False)
class Material:
    """What the samples of one split are drawn from.

    Attributes:
        recordings: Spoken digits.
        images: By digit, uint8 `[n, 28, 28]`.
        background: float32 `[n]` at 8 kHz.
    """

    recordings: Sequence[Recording]
    images: Mapping[int, NDArray[np.uint8]]
    background: NDArray[np.float32]


def read_material(data: Path, held_out: str | None = None) -> dict[Split, Material]:
    """Splits what `data` holds.

    Args:
        data: Folder with `fsdd/`, `mnist/` and `scaper_street/`.
        held_out: A speaker whose recordings, all of them, become the test in place of indices 0-4.

    Raises:
        DataError: Something is missing or malformed.
        ConfigError: There is no such speaker.
    """
    recordings = read_recordings(data)
    speakers = sorted({recording.speaker for recording in recordings})
    if held_out is not None and held_out not in speakers:
        raise ConfigError(f"nobody is called '{held_out}'", f"hold out one of {', '.join(speakers)}")
    belongs = _chooser(held_out)
    images, labels = read_images(data)
    background = read_background(data)
    return {
        split: Material(
            [recording for recording in recordings if belongs(recording, split)],
            _by_digit(images[first:end], labels[first:end]),
            _stretch(background, BACKGROUND[split]),
        )
        for split, (first, end) in IMAGES.items()
    }


def _chooser(held_out: str | None) -> Callable[[Recording, Split], bool]:
    def belongs(recording: Recording, split: Split) -> bool:
        if held_out is not None and split == "test":
            return recording.speaker == held_out
        first, end = INDICES[split]
        return first <= recording.index < end and recording.speaker != held_out

    return belongs


def _by_digit(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> dict[int, NDArray[np.uint8]]:
    return {digit: images[labels == digit] for digit in range(CLASSES)}


def _stretch(background: NDArray[np.float32], share: tuple[float, float]) -> NDArray[np.float32]:
    first, end = (round(len(background) * part) for part in share)
    return background[first:end]
