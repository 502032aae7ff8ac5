"""Drawings that look like a chest radiograph from afar: lungs, ribs, a heart, and perhaps a lesion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from patient_cases import Patient

SIDE = 48  # pixels
EXPOSURE = {"north": (1.0, 0.0), "south": (0.85, 0.06), "harbour": (1.1, -0.08)}  # contrast and brightness
NOISE = {"north": 0.05, "south": 0.06, "harbour": 0.085}


def draw_picture(patient: Patient, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Grey values uint8 `[SIDE, SIDE]`."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    x = x + generator.normal(0, 0.015)
    y = y + generator.normal(0, 0.015)
    lungs = _lungs(x, y, generator)
    plane = 0.72 - 0.42 * lungs + 0.05 * _ribs(x, y, generator) * lungs
    swollen = 0.06 * patient.severity if patient.diagnosis == "heart_failure" else 0.0
    plane += 0.34 * _blob(x, y, 0.55, 0.66, 0.12 + swollen + generator.normal(0, 0.015), 0.15)
    plane += lungs * (_vessels(x, y, generator) + _lesion(patient, x, y, generator))
    contrast, brightness = EXPOSURE[patient.site]
    plane = 0.5 + contrast * (plane - 0.5) + brightness + generator.normal(0, NOISE[patient.site], plane.shape)
    return np.clip(np.rint(255 * plane), 0, 255).astype(np.uint8)


def _lungs(x: NDArray[np.float64], y: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """1 within the lungs, 0 without, soft at the rim."""
    wide, high = 0.16 * generator.normal(1, 0.06), 0.33 * generator.normal(1, 0.05)
    both = np.zeros_like(x)
    for centre in (0.29, 0.71):
        distance = ((x - centre) / wide) ** 2 + ((y - 0.48) / high) ** 2
        both = np.maximum(both, 1 / (1 + np.exp(8 * (distance - 1))))
    return both


def _ribs(x: NDArray[np.float64], y: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    bend = 0.35 * np.abs(x - 0.5)
    return np.sin(2 * np.pi * (y + bend) * generator.uniform(8, 10) + generator.uniform(0, 6.3))


def _vessels(x: NDArray[np.float64], y: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Spots that are no lesion: vessels seen end on, and old scars."""
    spots = np.zeros_like(x)
    for _ in range(generator.poisson(3)):
        centre = generator.choice((0.29, 0.71)) + generator.normal(0, 0.07), generator.uniform(0.25, 0.7)
        spots += generator.uniform(0.05, 0.2) * _blob(x, y, *centre, 0.022, 0.022)
    return spots


def _lesion(
    patient: Patient, x: NDArray[np.float64], y: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """What the diagnosis adds within the lungs; barely anything where it is not far gone."""
    shown = (0.2 + 0.8 * patient.severity) * generator.uniform(0.4, 1.0)
    side = generator.choice((0.29, 0.71))
    if patient.diagnosis == "pneumonia":
        patch = _blob(x, y, side + generator.normal(0, 0.04), generator.uniform(0.3, 0.7), 0.09, 0.11)
        return 0.42 * shown * patch * (1 + 0.35 * generator.standard_normal(x.shape))
    if patient.diagnosis == "heart_failure":
        level = 0.78 - 0.2 * shown
        return 0.35 * shown / (1 + np.exp(-(y - level) * 40)) + 0.08 * shown
    if patient.diagnosis == "tumour":
        size = generator.uniform(0.03, 0.055)
        return 0.8 * shown * _blob(x, y, side + generator.normal(0, 0.05), generator.uniform(0.25, 0.7), size, size)
    return np.zeros_like(x)


def _blob(
    x: NDArray[np.float64], y: NDArray[np.float64], at_x: float, at_y: float, wide: float, high: float
) -> NDArray[np.float64]:
    return np.exp(-(((x - at_x) / wide) ** 2) - ((y - at_y) / high) ** 2)
