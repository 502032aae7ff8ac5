"""What two accelerometers hear of a motor: strikes that ring in the housing, gear tones, knocks and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bearing_geometry import DEEP_GROOVE_6205, strikes
from bearing_machines import ENDS

if TYPE_CHECKING:
    from bearing_machines import End, Machine, Run
    from numpy.typing import NDArray

RATE_HZ = 12_000
SLIP = 0.015  # of the gap between strikes: balls do not roll perfectly
STRIKE = 9.0  # height of a strike of severity 1 in a fully loaded bearing, against noise of 1
FULL_SCALE = 40.0  # acceleration, in units of the typical noise, that 1.0 in a file stands for


def record_vibration(
    run: Run, speed_hz: float, load_kn: float, count: int, generator: np.random.Generator
) -> dict[End, NDArray[np.float32]]:
    """Both channels, float32 `[count]` in -1..1 at `RATE_HZ`."""
    turns = _turns(speed_hz, count, generator)
    instants, forces = strikes(run.fault, DEEP_GROOVE_6205, turns, SLIP, generator)
    struck = _place(instants, STRIKE * run.severity * (0.5 + 0.5 * load_kn) * forces, count)
    knocks = _place(*_knocks(count, generator), count)
    heard = {end: _heard(run, end, struck, knocks) for end in ENDS}
    tones = _tones(run.machine, turns, load_kn, generator)
    return {
        end: np.clip((heard[end] + tones + _noise(run.machine, count, generator)) / FULL_SCALE, -1, 1).astype(
            np.float32
        )
        for end in ENDS
    }


def _heard(run: Run, end: End, struck: NDArray[np.float64], knocks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strikes ring where they happen and, weaker, at the other end; knocks come from outside and ring at both."""
    gain = 1.0 if run.end == end else run.machine.leak
    return _ring(gain * struck + 0.6 * knocks, run.machine, end)


def _turns(speed_hz: float, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Turns of the shaft at each instant: a speed that wavers by half a percent."""
    seconds = np.arange(count) / RATE_HZ
    waver = 0.005 * np.sin(2 * np.pi * generator.uniform(0.5, 3) * seconds + generator.uniform(0, 2 * np.pi))
    return generator.uniform(0, 1) + np.cumsum(speed_hz * (1 + waver)) / RATE_HZ


def _knocks(count: int, generator: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Blows from the surroundings, at no rhythm: instants in samples, and heights."""
    number = generator.poisson(6 * count / RATE_HZ)
    return generator.uniform(0, count - 1, number), generator.exponential(0.7 * STRIKE, number)


def _place(instants: NDArray[np.float64], heights: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Impulses at instants between samples, shared by the two beside each."""
    signal = np.zeros(count + 1)
    before = np.floor(instants).astype(int)
    part = instants - before
    np.add.at(signal, before, heights * (1 - part))
    np.add.at(signal, before + 1, heights * part)
    return signal[:count]


def _ring(impulses: NDArray[np.float64], machine: Machine, end: End) -> NDArray[np.float64]:
    """The housing's answer: two decaying oscillations."""
    count = len(impulses)
    seconds = np.arange(512) / RATE_HZ
    answer = sum(
        np.exp(-2 * np.pi * machine.damping * f * seconds) * np.sin(2 * np.pi * f * seconds)
        for f in machine.resonances_hz[end]
    )
    size = count + len(seconds)
    return np.fft.irfft(np.fft.rfft(impulses, size) * np.fft.rfft(answer, size), size)[:count]


def _tones(
    machine: Machine, turns: NDArray[np.float64], load_kn: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Unbalance at the shaft's rate and a gear's teeth, whose force sways with the shaft."""
    phases = generator.uniform(0, 2 * np.pi, 4)
    angle = 2 * np.pi * turns
    unbalance = 1.5 * np.sin(angle + phases[0]) + 0.6 * np.sin(2 * angle + phases[1])
    sway = 1 + 0.5 * np.sin(angle + phases[2])
    teeth = sum(np.sin(k * machine.mesh * angle + k * phases[3]) / k for k in (1, 2, 3))
    return np.asarray(unbalance + (0.4 + 0.5 * load_kn) * sway * teeth, np.float64)


def _noise(machine: Machine, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Broadband noise, stronger at low frequencies, of the machine's own loudness."""
    white = generator.standard_normal(count)
    rumble = np.convolve(generator.standard_normal(count + 15), np.ones(16) / 4, "valid")
    return machine.noise * (white + 0.7 * rumble)
