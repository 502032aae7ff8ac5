"""The simulated microphone: seams, pitch, loudness, and what it cannot tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.runtime.errors import ConfigError
from edge.runtime.simulate.bodies import CAR, EMERGENCY, PEDESTRIAN
from edge.runtime.simulate.microphone import SOUND_M_S, StreetMicrophone
from edge.runtime.simulate.rig import street_rig
from edge.runtime.simulate.street import Street, StreetConfig
from edge.runtime.simulate.tracks import Convoy, Loop, Track
from edge.runtime.simulate.traffic import Slot

RATE = 16_000
QUIET = StreetConfig(horn=0, siren=0)


@pytest.fixture(scope="module")
def microphone() -> StreetMicrophone:
    return StreetMicrophone(street_rig())


def _street(track: Track, *, kind: int = CAR, engine_hz: float = 60.0, config: StreetConfig = QUIET) -> Street:
    """A street with one vehicle, whose siren, if any, has two tones."""
    street = Street(3, config)
    street.slots = (Slot(track, (kind,), (1.0,), engine_hz, 1.0, 0.0, False),)
    return street


def _still(x: float, y: float = 0.0) -> Convoy:
    return Convoy(gap=x, sway=0.0, omega=0.3, phase=0.0, y=y)


def _peak_hz(samples: NDArray[np.float32], low: float, high: float) -> float:
    padded = 1 << 19
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), padded))
    frequency = np.fft.rfftfreq(padded, 1 / RATE)
    inside = (frequency > low) & (frequency < high)
    return float(frequency[inside][spectrum[inside].argmax()])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 50),
    start=st.integers(0, 10**6),
    cuts=st.lists(st.integers(1, 900), min_size=2, max_size=8),
)
def test_chunks_join_without_a_seam(seed: int, start: int, cuts: list[int]) -> None:
    microphone, street = StreetMicrophone(street_rig()), Street(seed)
    total = sum(cuts)
    whole = microphone.window(street, (start + total) / RATE, total)
    ends = start + np.cumsum(cuts)
    parts = [microphone.window(street, end / RATE, n) for end, n in zip(ends, cuts, strict=True)]
    assert whole.shape == (1, total)
    assert whole.dtype == np.float32
    assert np.array_equal(np.concatenate(parts, 1), whole)


@pytest.mark.parametrize("speed", [-18.0, 18.0])
def test_doppler_shift_has_the_textbook_size(microphone: StreetMicrophone, speed: float) -> None:
    # 40 m ahead at t = 0 and moving along the line of sight (almost: the microphone is 0.6 m higher)
    moving = _street(Loop(-200.0, 400.0, 240.0, speed, 0.0, 0.0))
    heard = microphone._propagate(moving.slots[0], np.linspace(0.0, 0.5, 51))[0]
    assert np.diff(heard).mean() / 0.01 == pytest.approx(1 / (1 + speed / SOUND_M_S), rel=1e-4)
    config = StreetConfig(horn=0, siren=1)
    still, passing = (
        _street(track, kind=EMERGENCY, config=config)
        for track in (_still(30.0), Loop(-200.0, 400.0, 230.0 - speed * 4.95, speed, 0.0, 0.0))
    )
    # the siren's high tone lasts from 4.95 to 5.5 s at the source; 30 m take 0.09 s
    tone, shifted = (_peak_hz(microphone.window(s, 5.42, 4800)[0], 740, 940) for s in (still, passing))
    assert tone == pytest.approx(830, abs=1.0)
    assert shifted / tone == pytest.approx(1 / (1 + speed / SOUND_M_S), rel=2e-3)


def test_amplitude_falls_with_distance(microphone: StreetMicrophone) -> None:
    config = StreetConfig(horn=0, siren=1)

    def level(x: float) -> float:
        street = _street(_still(x), kind=EMERGENCY, config=config)
        silent = _street(_still(x), kind=CAR, config=config)
        window, without = (microphone.window(s, 8.0, 16000)[0] for s in (street, silent))
        return float(np.sqrt(np.mean((window - without) ** 2)))

    assert level(20.0) / level(40.0) == pytest.approx(2.0, rel=0.01)
    assert level(40.0) > 0.01  # above the noise


def test_engines_are_heard_near_and_hum_at_their_pitch(microphone: StreetMicrophone) -> None:
    near, far, none = (_street(_still(x), engine_hz=60.0) for x in (4.0, 20.0, 60.0))
    rms = [float(microphone.window(s, 6.0, 16000).std()) for s in (near, far, none)]
    assert rms[0] > 2 * rms[1] > 2 * rms[2] > 0
    assert _peak_hz(microphone.window(near, 6.0, 16000)[0], 50, 70) == pytest.approx(60, abs=0.5)


def test_horn_is_a_chord_and_is_reported(microphone: StreetMicrophone) -> None:
    street = _street(_still(10.0), config=StreetConfig(horn=1, siren=0))
    heard = [microphone.heard_s(street, t, 8000)["horn"] for t in np.arange(10, 40, 0.5)]
    assert 0.1 < np.mean(np.array(heard) > 0.25) < 0.6
    assert all(0 <= h <= 0.5 + 1e-9 for h in heard)
    loudest = 10 + 0.5 * int(np.argmax(heard))
    window = microphone.window(street, loudest, 8000)[0]
    low, high = _peak_hz(window, 320, 440), _peak_hz(window, 440, 640)
    assert high / low == pytest.approx(1.25, rel=0.02)


def test_silent_things_leave_no_trace(microphone: StreetMicrophone) -> None:
    """Where pedestrians and parked cars stand, and at what distance, cannot be heard."""
    street, moved = Street(8), Street(8)
    shifted = [
        Slot(_still(9.0, 7.0), s.kinds, s.shares, s.engine_hz, s.loudness, s.siren_phase, s.wails)
        if not s.engine_hz
        else s
        for s in moved.slots
    ]
    assert any(s.kinds == (PEDESTRIAN,) for s in moved.slots)
    moved.slots = tuple(shifted)
    assert np.array_equal(microphone.window(street, 9.0, 16000), microphone.window(moved, 9.0, 16000))


def test_siren_reports_need_an_emergency_vehicle_in_earshot(microphone: StreetMicrophone) -> None:
    config = StreetConfig(horn=0, siren=1)
    cases = {(EMERGENCY, 30.0): True, (EMERGENCY, 75.0): False, (CAR, 30.0): False}
    for (kind, x), audible in cases.items():
        heard = microphone.heard_s(_street(_still(x), kind=kind, config=config), 9.0, 16000)
        assert heard == {"siren": pytest.approx(1.0 if audible else 0.0, abs=0.01), "horn": 0.0}


def test_level_stays_in_range_and_windows_are_not_empty(microphone: StreetMicrophone) -> None:
    loud = _street(_still(2.0), kind=EMERGENCY, config=StreetConfig(horn=1, siren=1))
    assert np.abs(microphone.window(loud, 9.0, 16000)).max() <= 1.0
    with pytest.raises(ConfigError, match="window of 0 samples"):
        microphone.window(loud, 9.0, 0)
