"""Draws one AV digit: a spoken digit in street noise, beside a noisy image of the same digit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from digit_sources import RATE_HZ

from edge.runtime.sample import AudioChunk, Image

if TYPE_CHECKING:
    from digit_sources import Recording
    from digit_splits import Material
    from numpy.typing import NDArray

    from edge.runtime.sample import Payload

IMAGE_SIGMA = 0.9
SNR_DB = 0.0
# The noisy pixels span far more than 0..1. Clipping them there would be another, harder task, so that
# this range, 0 - 3 sigma to 1 + 3 sigma, is what 0..255 stands for.
PIXEL_LOW, PIXEL_HIGH = -3 * IMAGE_SIGMA, 1 + 3 * IMAGE_SIGMA


@dataclass(frozen=True, eq=False)
class Digit:
    """A sample before preprocessing: payloads by stream, the class, and the recording that it was cut from."""

    payloads: dict[str, Payload]
    digit: int
    recording: str


def draw_digit(material: Material, number: int, window: int, generator: np.random.Generator) -> Digit:
    """Draws a sample.

    Args:
        material: Of one split.
        number: Counts the samples of the split; the recordings take turns.
        window: Length of the sound in samples.
        generator: Of offset, background, image and noise.
    """
    recording = material.recordings[number % len(material.recordings)]
    images = material.images[recording.digit]
    image = images[generator.integers(len(images))]
    pixels = quantize(image / 255 + generator.normal(0, IMAGE_SIGMA, image.shape))
    sound = mix(recording, material.background, window, generator)
    payloads: dict[str, Payload] = {
        "image": Image(pixels, "mono8"),
        "audio": AudioChunk(sound[None], RATE_HZ),
    }
    return Digit(payloads, recording.digit, recording.name)


def quantize(pixels: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Maps `PIXEL_LOW`..`PIXEL_HIGH` linearly to 0..255."""
    levels = (pixels - PIXEL_LOW) / (PIXEL_HIGH - PIXEL_LOW) * 255
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def mix(
    recording: Recording, background: NDArray[np.float32], window: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """The recording somewhere in a window of background, both of equal power over the window.

    A longer recording is cut to the window. What would exceed -1..1 is made quieter as a whole.
    """
    speech = place(recording.samples, window, generator)
    start = generator.integers(len(background) - window + 1)
    noise = background[start : start + window]
    gain = np.sqrt(np.mean(speech**2) / max(float(np.mean(noise**2)), 1e-12)) * 10 ** (-SNR_DB / 20)
    mixed = speech + np.float32(gain) * noise
    return np.asarray(mixed / max(1.0, float(np.abs(mixed).max())), np.float32)


def place(samples: NDArray[np.float32], window: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Pads or cuts to `window` samples, at a random offset."""
    spare = window - len(samples)
    offset = int(generator.integers(abs(spare) + 1))
    if spare < 0:
        return samples[offset : offset + window]
    return np.pad(samples, (offset, spare - offset))
