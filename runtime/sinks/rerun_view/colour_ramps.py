"""Numbers as colours, without a plotting package: depth in lidar points, loudness in spectrograms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEPTH_SHOWN_M = (2.0, 80.0)
# Google's Turbo from its warm end, and Matplotlib's Inferno; at equal distances.
_NEAR_TO_FAR = ("7a0403", "d93807", "fd9a2b", "e1dd37", "62fc6b", "1ae4b6", "3e9bfe", "466be3", "30123b")
_SILENT_TO_LOUD = ("000004", "1b0c41", "4a0c6b", "781c6d", "a52c60", "cf4446", "ed6925", "fb9b06", "f7d13d", "fcffa4")
_LEVELS = 256


def _table(colours: tuple[str, ...]) -> NDArray[np.uint8]:
    known = np.array([[int(colour[i : i + 2], 16) for i in (0, 2, 4)] for colour in colours], np.float64)
    places = np.linspace(0, len(colours) - 1, _LEVELS)
    columns = [np.interp(places, np.arange(len(colours)), known[:, channel]) for channel in range(3)]
    return np.asarray(np.column_stack(columns).round(), np.uint8)


_DEPTHS, _SOUNDS = _table(_NEAR_TO_FAR), _table(_SILENT_TO_LOUD)


def depth_colours(depth_m: NDArray[np.floating]) -> NDArray[np.uint8]:
    """uint8 `[N, 3]` of depths `[N]` in metres, red is near; logarithmic over `DEPTH_SHOWN_M`."""
    near, far = DEPTH_SHOWN_M
    shares = np.log(np.clip(depth_m, near, far) / near) / np.log(far / near)
    return _picked(_DEPTHS, shares)


def sound_colours(logmel: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A spectrogram `[mels, frames]` as a picture, uint8 `[mels, frames, 3]`, low frequencies at the bottom.

    The model's own scale, -1 to 1 of the normalised features, so that loud and silent windows look it.
    """
    return _picked(_SOUNDS, (np.clip(logmel[::-1], -1.0, 1.0) + 1.0) / 2)


def _picked(table: NDArray[np.uint8], shares: NDArray[np.floating]) -> NDArray[np.uint8]:
    picked: NDArray[np.uint8] = table[np.rint(np.nan_to_num(shares) * (_LEVELS - 1)).astype(np.intp)]
    return picked
