from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.runtime.errors import ConfigError, SampleError
from edge.runtime.model_io import LogMelInput
from edge.runtime.preprocess.logmel import LogMel


def config(**changes: Any) -> LogMelInput:
    values: dict[str, Any] = {"tensor": "mel", "stream": "audio", "shape": (1, 1, 64, 98), **changes}
    return LogMelInput(**values)


def mel_filters(c: LogMelInput) -> NDArray[np.float64]:
    """HTK mel filters of unit peak, `[mels, bins]`."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (c.f_min_hz, c.f_max_hz))
    edges = 700 * (10 ** (np.linspace(low, high, c.shape[2] + 2) / 2595) - 1)
    hz = np.arange(c.n_fft // 2 + 1) * c.rate_hz / c.n_fft
    rise = (hz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - hz) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(np.maximum(0, np.minimum(rise, fall)))


def reference_power(window: NDArray[np.float32], c: LogMelInput) -> NDArray[np.float64]:
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(c.n_fft) / c.n_fft)
    frames = np.lib.stride_tricks.sliding_window_view(window.astype(np.float64), c.n_fft)[:: c.hop]
    return np.asarray(mel_filters(c) @ (np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2).T)


def mel_power(features: NDArray[np.float32], c: LogMelInput) -> NDArray[np.float64]:
    return np.asarray(np.exp(features.astype(np.float64) * c.std + c.mean) - c.floor)


def noise(count: int, seed: int = 0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal(count) * 0.1).astype(np.float32)


# Powers of two, the usual 400, odd, prime, products of large primes, and the smallest there are.
@pytest.mark.parametrize("n_fft", [2, 3, 4, 5, 6, 7, 30, 64, 97, 101, 240, 400, 441, 512, 600, 1009, 1024, 2 * 997])
@pytest.mark.parametrize("frames", [1, 3, 4, 5])
def test_mel_power_equals_the_numpy_reference(n_fft: int, frames: int) -> None:
    c = config(shape=(1, 1, 20, frames), n_fft=n_fft, hop=max(1, n_fft * 2 // 5), f_min_hz=0.0)
    window = noise(c.window_samples)
    expected = reference_power(window, c)
    found = mel_power(LogMel(c).features(window), c)
    assert found.shape == (20, frames)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-7 * c.std)


def test_a_loud_tone_does_not_drown_quiet_bands() -> None:
    c = config(floor=1e-12)
    time = np.arange(c.window_samples) / c.rate_hz
    window = (0.9 * np.sin(2 * np.pi * 1000 * time)).astype(np.float32) + noise(len(time)) * np.float32(1e-4)
    np.testing.assert_allclose(mel_power(LogMel(c).features(window), c), reference_power(window, c), rtol=1e-4)


def test_a_tone_peaks_in_its_filter_and_silence_is_the_floor() -> None:
    c = config()
    time = np.arange(c.window_samples) / c.rate_hz
    features = LogMel(c).features(np.sin(2 * np.pi * 3000 * time).astype(np.float32))
    assert (features.argmax(axis=0) == mel_filters(c)[:, 75].argmax()).all()
    silence = LogMel(c).features(np.zeros(c.window_samples, np.float32))
    np.testing.assert_allclose(silence, (np.log(c.floor) - c.mean) / c.std, rtol=1e-6)


def test_the_logarithm_is_exact_over_the_whole_range() -> None:
    c = config(shape=(1, 1, 4, 1), mean=0.0, std=1.0, floor=1e-30)
    logmel, base = LogMel(c), noise(c.window_samples)
    for gain in np.logspace(-12, 15, 109):
        window = (base * gain).astype(np.float32)
        expected = np.log(reference_power(window, c) + c.floor)
        np.testing.assert_allclose(logmel.features(window), expected, rtol=5e-7, atol=2e-7)


def test_channels_are_averaged_and_may_be_strided() -> None:
    c = config(shape=(1, 1, 16, 4))
    both = np.stack([noise(2000, 1), noise(2000, 2)])
    window = both[:, -c.window_samples :]
    expected = LogMel(c).features(window.mean(axis=0, dtype=np.float64).astype(np.float32))
    np.testing.assert_allclose(LogMel(c).features(window), expected, atol=1e-6)
    interleaved = np.ascontiguousarray(window.T).T
    np.testing.assert_array_equal(LogMel(c).features(interleaved), LogMel(c).features(window))


def test_threads_share_one_object() -> None:
    c = config(n_fft=402)
    logmel, windows = LogMel(c), [noise(c.window_samples, seed) for seed in range(16)]
    alone = [logmel.features(w) for w in windows]
    with ThreadPoolExecutor(4) as pool:
        for found, expected in zip(pool.map(logmel.features, windows * 4), alone * 4, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_refused(value: float) -> None:
    c = config(shape=(1, 1, 16, 4))
    window = noise(c.window_samples)
    window[137] = value
    with pytest.raises(SampleError, match="not finite"):
        LogMel(c).features(window)


@pytest.mark.parametrize(
    "window",
    [
        np.zeros(879, np.float32),
        np.zeros((1, 881), np.float32),
        np.zeros(880),
        np.zeros((0, 880), np.float32),
        np.zeros((1, 1, 880), np.float32),
    ],
)
def test_windows_of_another_kind_are_refused(window: NDArray[Any]) -> None:
    with pytest.raises(SampleError, match=r"float32 \[channels, 880\]"):
        LogMel(config(shape=(1, 1, 16, 4))).features(window)


@pytest.mark.parametrize(
    "changes",
    [
        {"n_fft": 1},
        {"hop": 0},
        {"hop": -1},
        {"shape": (1, 1, 0, 4)},
        {"f_max_hz": 9000.0},
        {"f_min_hz": 8000.0},
        {"f_min_hz": -1.0},
        {"floor": 0.0},
        {"std": 0.0},
        {"rate_hz": 0},
    ],
)
def test_configurations_that_contradict_themselves_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="log-mel input 'mel'"):
        LogMel(config(**changes))
