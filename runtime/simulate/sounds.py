"""What vehicles sound like at their place: engines, sirens and horns as functions of the time of emission."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.runtime.simulate.slabs import Floats
from edge.runtime.simulate.tracks import Times

TABLE = 4096
SIREN_CYCLE_S = 14.0  # a siren is on for its share of each cycle
HORN_CYCLE_S = 3.0
_WAIL_S = 3.6
_WAIL_HZ, _WAIL_SWING_HZ = 1000.0, 450.0
_TONE_S = 1.1
_LOW_HZ, _HIGH_HZ = 620.0, 830.0
_HORN_HZ = 100.0  # 4th and 5th partial: a chord of 400 and 500 Hz


def _table(partials: dict[int, float]) -> Floats:
    phase = 2 * np.pi * np.arange(TABLE) / TABLE
    wave = np.sum([a * np.sin(k * phase + 0.7 * k) for k, a in partials.items()], axis=0)
    return np.asarray(wave / np.abs(wave).max(), np.float32)


ENGINE_WAVE = _table({1: 1.0, 2: 0.8, 3: 0.45, 4: 0.5, 6: 0.3, 8: 0.15, 12: 0.07})
SIREN_WAVE = _table({1: 1.0, 2: 0.35, 3: 0.25, 4: 0.1})
HORN_WAVE = _table({4: 1.0, 5: 0.9, 8: 0.5, 10: 0.45, 12: 0.25, 15: 0.2, 16: 0.1})


def play(wave: Floats, cycles: Times) -> Floats:
    """A periodic wave at the given phases, in cycles."""
    index = ((cycles - np.floor(cycles)) * TABLE).astype(np.int32)
    return wave[np.minimum(index, TABLE - 1)]


def siren_cycles(emitted_s: Times, wails: bool) -> Times:
    """Phase of a siren, in cycles: a sweep of 550 to 1450 Hz, or two alternating tones."""
    if wails:
        return _WAIL_HZ * emitted_s - _WAIL_SWING_HZ * _WAIL_S / (2 * np.pi) * np.cos(2 * np.pi * emitted_s / _WAIL_S)
    whole = np.floor(emitted_s / _TONE_S)
    high = whole * _TONE_S / 2 + np.maximum(emitted_s - whole * _TONE_S - _TONE_S / 2, 0)
    return _LOW_HZ * emitted_s + (_HIGH_HZ - _LOW_HZ) * high


def siren_is_on(emitted_s: Times, share: float, phase_s: float) -> NDArray[np.bool_]:
    """A siren's schedule."""
    return np.asarray((emitted_s + phase_s) % SIREN_CYCLE_S < share * SIREN_CYCLE_S)


def horn_cycles(emitted_s: Times, pitch: float) -> Times:
    """Phase of a horn, in cycles of its fundamental."""
    return _HORN_HZ * pitch * emitted_s
