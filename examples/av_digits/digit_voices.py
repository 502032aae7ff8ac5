"""Other voices made of the recorded ones, so that a model hears more speakers than spoke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME, HOP = 256, 64  # 32 ms and 8 ms at 8 kHz: a few periods of a voice


@dataclass(frozen=True)
class VoiceVariation:
    """How far a voice may go from the recorded one; factors are drawn log-uniformly between 1 / factor and factor.

    Attributes:
        speed: Moves pitch, formants and pace together, as a shorter or longer speaker does (Ko et al. 2015).
        tempo: Moves the pace alone.
        snr_db: Least and largest distance from the background, drawn uniformly.
    """

    speed: float = 1.3
    tempo: float = 1.3
    snr_db: tuple[float, float] = (-9.0, 1.0)

    def speak(self, samples: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
        """The recording in another voice; its length changes with the pace."""
        return at_speed(at_tempo(samples, _factor(self.tempo, generator)), _factor(self.speed, generator))

    def draw_snr_db(self, generator: np.random.Generator) -> float:
        """How loud it is against the background."""
        return float(generator.uniform(*self.snr_db))


def at_speed(samples: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Played `factor` times as fast: every frequency moves by the factor."""
    positions = np.arange(0, len(samples) - 1, factor)
    return np.interp(positions, np.arange(len(samples)), _below(samples, 1 / factor)).astype(np.float32)


def at_tempo(samples: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Spoken `factor` times as fast at the same pitch, by a phase vocoder (Flanagan and Golden 1966).

    Frames of the spectrum are read at another pace, and each bin's phase goes on as it did where they were read.
    """
    window = np.hanning(FRAME)
    padded = np.pad(samples, FRAME // 2, mode="reflect")  # of silence there is no phase to go on from
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    spectra = np.fft.rfft(frames * window)
    places = np.arange(0, len(spectra) - 1, factor)
    before, share = places.astype(int), (places % 1)[:, None]
    levels = (1 - share) * np.abs(spectra[before]) + share * np.abs(spectra[before + 1])
    advances = np.angle(spectra[before + 1]) - np.angle(spectra[before])
    phases = np.angle(spectra[0]) + np.cumsum(np.vstack([np.zeros_like(advances[:1]), advances[:-1]]), axis=0)
    return _overlapped(np.fft.irfft(levels * np.exp(1j * phases), FRAME) * window)


def _overlapped(frames: NDArray[np.float64]) -> NDArray[np.float32]:
    """Sum of frames `HOP` apart, less half a frame at either end."""
    sound = np.zeros((len(frames) - 1) * HOP + FRAME)
    for number, frame in enumerate(frames):
        sound[number * HOP : number * HOP + FRAME] += frame
    # Two Hann windows, four hops a frame: they add up to 3/2.
    return (sound[FRAME // 2 : -FRAME // 2] / 1.5).astype(np.float32)


def _factor(limit: float, generator: np.random.Generator) -> float:
    return float(limit ** generator.uniform(-1, 1))


def _below(samples: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Without the frequencies above a share of the highest, which would fold back."""
    if share >= 1:
        return samples
    spectrum = np.fft.rfft(samples)
    spectrum[round(share * len(spectrum)) :] = 0
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)
