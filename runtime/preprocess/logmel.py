"""Log-mel spectrograms of audio windows, made by the C++ core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.runtime import _core
from edge.runtime.errors import ConfigError, SampleError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.runtime.model_io import LogMelInput


class LogMel:
    """Log-mel features as `LogMelInput` describes them; window, filters and transform are made once. Re-entrant.

    Args:
        config: The input of the model.

    Raises:
        ConfigError: Its sizes or frequencies contradict each other.
    """

    def __init__(self, config: LogMelInput) -> None:
        _, _, mels, frames = config.shape
        try:
            self._core = _core.LogMel(
                mels,
                frames,
                config.rate_hz,
                config.n_fft,
                config.hop,
                config.f_min_hz,
                config.f_max_hz,
                config.floor,
                config.mean,
                config.std,
            )
        except (ValueError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"log-mel input '{config.tensor}': {reason}", "mend it in io.yaml") from error
        self.shape = (mels, frames)
        self.window_samples = config.window_samples

    def features(self, window: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Features of one window.

        Args:
            window: float32 `[n]` or `[channels, n]` with exactly `window_samples` values; channels are averaged.
            out: Contiguous float32 `[mels, frames]` to write into, or None for a new array.

        Returns:
            float32 `[mels, frames]`.

        Raises:
            SampleError: The window has another length or type, or holds samples that are not finite.
        """
        channels = self._channels(window)
        out = np.empty(self.shape, np.float32) if out is None else out
        try:
            self._core.features(channels, out)
        except ValueError as error:
            raise SampleError(str(error), "drop the chunk or mend the source") from error
        return out

    def _channels(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        channels = window[None] if window.ndim == 1 else window
        good = channels.dtype == np.float32 and channels.ndim == 2 and len(channels) > 0
        if not good or channels.shape[1] != self.window_samples:
            raise SampleError(
                f"the audio window must be float32 [channels, {self.window_samples}], "
                f"not {window.dtype} {list(window.shape)}",
                "give the window that the model's io.yaml asks for",
            )
        packed = channels.strides[1] == channels.itemsize and channels.strides[0] % channels.itemsize == 0
        return channels if packed else np.ascontiguousarray(channels)
