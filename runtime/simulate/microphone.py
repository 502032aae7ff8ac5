"""The simulated microphone: engines, sirens, horns, wind; louder when near, shifted in pitch by their motion.

A source is heard as it was when the sound left it (retarded time), so the Doppler shift needs no formula of its
own. Every value depends on the sample's running number alone: chunks join without a seam, however they are cut.
There is no reverberation, and sound passes through houses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.runtime.errors import ConfigError
from edge.runtime.rig import Rig
from edge.runtime.simulate import sounds
from edge.runtime.simulate.bodies import EMERGENCY
from edge.runtime.simulate.rig import check_rig
from edge.runtime.simulate.slabs import Floats
from edge.runtime.simulate.street import Street
from edge.runtime.simulate.tracks import Motion, Times
from edge.runtime.simulate.traffic import Slot

EVENTS = ("siren", "horn")
SOUND_M_S = 343.0
AUDIBLE_M = 60.0
SIREN_LEVEL, HORN_LEVEL, ENGINE_LEVEL = 3.0, 3.0, 0.25  # amplitude at one metre
_ENGINE_M = 28.0
_SOURCE_HEIGHT_M = 0.9
_LONGEST_WAY_S = 0.2  # from the end of any track
_STEP = 40  # samples between exact phases; linear in between, within 0.01 cycles
_NOISE_BLOCK = 4000
_RUMBLE = 8  # samples between the values of the low-pitched noise


class Sounding(NamedTuple):
    """One source over a window, at every `_STEP`th sample.

    Attributes:
        event: `siren`, `horn`, or empty for an engine.
        wave: One period.
        cycles: Phase.
        gain: Amplitude at the microphone.
        distance_m: Of the source when the sound left it.
    """

    event: str
    wave: Floats
    cycles: Times
    gain: Times
    distance_m: Times


class StreetMicrophone:
    """Listens to streets with a rig's microphone.

    Args:
        rig: Its stream `audio` is simulated.

    Raises:
        RigError: The stream is missing or no audio.
    """

    def __init__(self, rig: Rig) -> None:
        check_rig(rig)
        stream = rig.stream("audio")
        self.rate_hz = int(stream.sample_rate_hz or 0)
        self._place = np.asarray(stream.T_base_from_sensor, np.float64)[:3, 3]

    def window(self, street: Street, t_end_s: float, n_samples: int) -> Floats:
        """The last `n_samples` before `t_end_s` (rounded to a whole sample): float32 `[1, n_samples]` in -1..1.

        Raises:
            ConfigError: No sample is asked for.
        """
        start, first, last = self._steps(t_end_s, n_samples)
        mixed = _noise(street.seed, first * _STEP, last * _STEP)
        for source in self._sources(street, first, last):
            mixed += sounds.play(source.wave, _refine(source.cycles)) * _refine(source.gain).astype(np.float32)
        inside = start - first * _STEP
        return np.clip(mixed[inside : inside + n_samples], -1, 1)[None]

    def heard_s(self, street: Street, t_end_s: float, n_samples: int) -> dict[str, float]:
        """For how long each of `EVENTS` sounds within `AUDIBLE_M` in that window, seconds."""
        _, first, last = self._steps(t_end_s, n_samples)
        heard = dict.fromkeys(EVENTS, 0.0)
        for source in self._events(street, self._times(first, last)):
            audible = (source.gain * source.distance_m > 0.5) & (source.distance_m < AUDIBLE_M)
            seconds = float(audible[:-1].sum()) * _STEP / self.rate_hz
            heard[source.event] = max(heard[source.event], seconds)
        return heard

    def _steps(self, t_end_s: float, n_samples: int) -> tuple[int, int, int]:
        if n_samples < 1:
            raise ConfigError(f"a window of {n_samples} samples is empty", "ask for one sample at least")
        end = round(t_end_s * self.rate_hz)
        start = end - n_samples
        return start, start // _STEP, -(-end // _STEP)

    def _times(self, first: int, last: int) -> Times:
        return np.asarray(np.arange(first, last + 1) * (_STEP / self.rate_hz), np.float64)

    def _sources(self, street: Street, first: int, last: int) -> Iterator[Sounding]:
        heard_s = self._times(first, last)
        for slot in street.slots:
            if slot.engine_hz:
                yield from self._engine(slot, heard_s)
        yield from self._events(street, heard_s)

    def _events(self, street: Street, heard_s: Times) -> Iterator[Sounding]:
        for index, slot in enumerate(street.slots):
            if slot.engine_hz and EMERGENCY in slot.kinds:
                yield from self._siren(street, index, slot, heard_s)
        yield from self._horns(street, heard_s)

    def _engine(self, slot: Slot, heard_s: Times) -> Iterator[Sounding]:
        emitted, distance, motion = self._propagate(slot, heard_s)
        near = np.maximum(1 - distance / _ENGINE_M, 0) * motion.fade
        if near.any():
            gain = ENGINE_LEVEL * slot.loudness * near / np.maximum(distance, 2.0)
            yield Sounding("", sounds.ENGINE_WAVE, slot.engine_hz * emitted, gain, distance)

    def _siren(self, street: Street, index: int, slot: Slot, heard_s: Times) -> Iterator[Sounding]:
        share, phase = street.config.siren, slot.siren_phase
        if not sounds.siren_is_on(np.append(heard_s - _LONGEST_WAY_S, heard_s), share, phase).any():
            return
        emitted, distance, motion = self._propagate(slot, heard_s)
        on = motion.fade * sounds.siren_is_on(emitted, share, phase)
        on *= _where_turn(motion.turn, lambda turn: street.kind(index, turn) == EMERGENCY)
        if on.any():
            gain = SIREN_LEVEL * slot.loudness * on / np.maximum(distance, 2.0)
            yield Sounding("siren", sounds.SIREN_WAVE, sounds.siren_cycles(emitted, slot.wails), gain, distance)

    def _horns(self, street: Street, heard_s: Times) -> Iterator[Sounding]:
        drivers = [slot for slot in street.slots if slot.engine_hz]
        if not drivers:
            return
        cycle = sounds.HORN_CYCLE_S
        for number in range(int((heard_s[0] - 0.3) // cycle), int(heard_s[-1] // cycle) + 1):
            rng = np.random.default_rng((street.seed, 6, number & 0xFFFFFFFF))
            if rng.random() >= street.config.horn:
                continue
            slot = drivers[rng.integers(len(drivers))]
            start, length = number * cycle + rng.uniform(0, cycle - 1.0), rng.uniform(0.4, 1.0)
            pitch, level = rng.uniform(0.85, 1.2), HORN_LEVEL * float(np.exp(rng.uniform(-0.6, 0.6)))
            emitted, distance, motion = self._propagate(slot, heard_s)
            on = motion.fade * ((emitted >= start) & (emitted < start + length))
            if on.any():
                gain = level * on / np.maximum(distance, 2.0)
                yield Sounding("horn", sounds.HORN_WAVE, sounds.horn_cycles(emitted, pitch), gain, distance)

    def _propagate(self, slot: Slot, heard_s: Times) -> tuple[Times, Times, Motion]:
        """When the sound heard now left its source, how far away that was, and how the source moved then."""
        emitted = heard_s
        for _ in range(3):  # a contraction by speed over speed of sound: good to 0.1 ms, and smooth
            x, y = slot.track.place(emitted)
            across = y - self._place[1], _SOURCE_HEIGHT_M - self._place[2]
            distance = np.sqrt((x - self._place[0]) ** 2 + across[0] ** 2 + across[1] ** 2)
            emitted = heard_s - distance / SOUND_M_S
        return emitted, distance, slot.track.at(emitted)


def _where_turn(turn: NDArray[np.int64], wanted: Callable[[int], bool]) -> NDArray[np.bool_]:
    found = np.zeros(turn.shape, np.bool_)
    for number in np.unique(turn):
        if wanted(int(number)):
            found |= turn == number
    return found


def _refine(coarse: Times) -> Times:
    """Linear interpolation from every `_STEP`th sample to all samples (the last value excluded)."""
    between = np.arange(_STEP) / _STEP
    return np.asarray(coarse[:-1, None] + np.diff(coarse)[:, None] * between).ravel()


def _noise(seed: int, start: int, stop: int) -> Floats:
    """Wind and tyres: the same numbers for the same samples, whichever window asks."""
    blocks = range(start // _NOISE_BLOCK, -(-stop // _NOISE_BLOCK))
    joined = np.concatenate([_noise_block(seed, block) for block in blocks])
    offset = start - blocks[0] * _NOISE_BLOCK
    return np.array(joined[offset : offset + stop - start], np.float32)


@lru_cache(maxsize=16)
def _noise_block(seed: int, block: int) -> Floats:
    """`_NOISE_BLOCK` samples of low-pitched rumble and a little hiss."""
    rng = np.random.default_rng((seed, 7, block & 0xFFFFFFFF))
    knots = rng.standard_normal(_NOISE_BLOCK // _RUMBLE + 1, np.float32)
    # neighbouring blocks share the knot between them
    knots[-1] = np.random.default_rng((seed, 7, (block + 1) & 0xFFFFFFFF)).standard_normal(1, np.float32)[0]
    between = np.arange(_RUMBLE, dtype=np.float32) / _RUMBLE
    rumble = (knots[:-1, None] + np.diff(knots)[:, None] * between).ravel()
    hiss = rng.random(_NOISE_BLOCK, np.float32) - np.float32(0.5)
    return np.asarray(np.float32(0.012) * rumble + np.float32(0.014) * hiss, np.float32)
