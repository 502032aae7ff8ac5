"""Draws one AV digit: a spoken digit in street noise, beside a noisy image of the same digit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from digit_sources import RATE_HZ

from edge.runtime.sample import AudioChunk, Image

if TYPE_CHECKING:
    from digit_splits import Material
    from digit_voices import VoiceVariation
    from numpy.typing import NDArray

    from edge.runtime.sample import Payload

IMAGE_SIGMA = 0.9
SNR_DB = 0.0
# Training only: one stretch of one street is little, so its colour is varied, and the image's position.
COLOUR_DB, COLOUR_BANDS = 6.0, 8
SHIFT_PIXELS = 1
# The noisy pixels span far more than 0..1. Clipping them there would be another, harder task, so that
# this range, 0 - 3 sigma to 1 + 3 sigma, is what 0..255 stands for.
PIXEL_LOW, PIXEL_HIGH = -3 * IMAGE_SIGMA, 1 + 3 * IMAGE_SIGMA


@dataclass(frozen=True, eq=False)
class Digit:
    """A sample before preprocessing: payloads by stream, the class, and the recording that it was cut from."""

    payloads: dict[str, Payload]
    digit: int
    recording: str


def draw_digit(
    material: Material,
    number: int,
    window: int,
    generator: np.random.Generator,
    *,
    vary: bool,
    voices: VoiceVariation | None = None,
) -> Digit:
    """Draws a sample.

    Args:
        material: Of one split.
        number: Counts the samples of the split; the recordings take turns.
        window: Length of the sound in samples.
        generator: Of offset, background, image and noise.
        vary: Recolour the background and shift the image, as training does.
        voices: Vary the voice, too, and how loud it is.
    """
    recording = material.recordings[number % len(material.recordings)]
    images = material.images[recording.digit]
    image = images[generator.integers(len(images))]
    speech = recording.samples if voices is None else voices.speak(recording.samples, generator)
    speech = place(speech, window, generator)
    noise = cut(material.background, window, generator)
    if vary:
        image = shift(image, generator)
        noise = recolour(noise, generator)
    snr_db = SNR_DB if voices is None else voices.draw_snr_db(generator)
    pixels = quantize(image / 255 + generator.normal(0, IMAGE_SIGMA, image.shape))
    payloads: dict[str, Payload] = {
        "image": Image(pixels, "mono8"),
        "audio": AudioChunk(mix(speech, noise, snr_db)[None], RATE_HZ),
    }
    return Digit(payloads, recording.digit, recording.name)


def quantize(pixels: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Maps `PIXEL_LOW`..`PIXEL_HIGH` linearly to 0..255."""
    levels = (pixels - PIXEL_LOW) / (PIXEL_HIGH - PIXEL_LOW) * 255
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def place(samples: NDArray[np.float32], window: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Pads or cuts to `window` samples, at a random offset."""
    spare = window - len(samples)
    offset = int(generator.integers(abs(spare) + 1))
    if spare < 0:
        return samples[offset : offset + window]
    return np.pad(samples, (offset, spare - offset))


def cut(background: NDArray[np.float32], window: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """A random stretch of background."""
    start = int(generator.integers(len(background) - window + 1))
    return background[start : start + window]


def mix(speech: NDArray[np.float32], noise: NDArray[np.float32], snr_db: float = SNR_DB) -> NDArray[np.float32]:
    """Sum of the two, at `snr_db` between their mean powers over the window.

    What would exceed -1..1 is made quieter as a whole.
    """
    ratio = np.mean(speech**2) / max(float(np.mean(noise**2)), 1e-12)
    mixed = speech + np.float32(np.sqrt(ratio) * 10 ** (-snr_db / 20)) * noise
    return np.asarray(mixed / max(1.0, float(np.abs(mixed).max())), np.float32)


def recolour(noise: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.float32]:
    """Other gains, smooth over frequency, as another street and another microphone would have."""
    spectrum = np.fft.rfft(noise)
    gains_db = generator.normal(0, COLOUR_DB, COLOUR_BANDS)
    places = np.linspace(0, COLOUR_BANDS - 1, len(spectrum))
    gains = 10 ** (np.interp(places, np.arange(COLOUR_BANDS), gains_db) / 20)
    return np.fft.irfft(spectrum * gains, len(noise)).astype(np.float32)


def shift(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """The image moved by up to `SHIFT_PIXELS` in each direction; its border is empty anyway."""
    return np.roll(image, generator.integers(-SHIFT_PIXELS, SHIFT_PIXELS + 1, 2), (0, 1))
