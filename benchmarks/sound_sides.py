"""One second of sound at 16 kHz to a log-mel spectrogram of 64 bands: ours, NumPy, librosa, kaldi-native-fbank.

All have one definition: periodic Hann windows of 400 samples every 160, power, triangles of unit peak over Hz on the
HTK scale from 50 to 8,000 Hz, natural logarithm.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.model_io import LogMelInput
from edge.runtime.preprocess.logmel import LogMel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from peers.process import Peer

CONFIG = LogMelInput(tensor="mel", stream="audio", shape=(1, 1, 64, 98))
PEERS = ("librosa", "librosa, filterbank ready", "kaldi-native-fbank")


def make_window() -> NDArray[np.float32]:
    """Noise."""
    return (np.random.default_rng(0).standard_normal(CONFIG.window_samples) * 0.1).astype(np.float32)


def ours(window: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
    """Into a buffer of its own, as a pipeline would."""
    logmel = LogMel(CONFIG)
    features = np.empty(logmel.shape, np.float32)
    return lambda: logmel.features(window, features)


def by_numpy(window: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
    """Rfft of all frames and a dense filterbank, both made ready before the clock starts."""
    c = CONFIG
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(c.n_fft) / c.n_fft)
    low, high = (2595 * np.log10(1 + f / 700) for f in (c.f_min_hz, c.f_max_hz))
    edges = 700 * (10 ** (np.linspace(low, high, c.shape[2] + 2) / 2595) - 1)
    hz = np.arange(c.n_fft // 2 + 1) * c.rate_hz / c.n_fft
    widths = np.diff(edges)[:, None]
    rise, fall = (hz - edges[:-2, None]) / widths[:-1], (edges[2:, None] - hz) / widths[1:]
    filters = np.maximum(0, np.minimum(rise, fall))

    def features() -> NDArray[np.float32]:
        frames = np.lib.stride_tricks.sliding_window_view(window, c.n_fft)[:: c.hop]
        spectrum = np.fft.rfft(frames * hann, axis=1)
        power = filters @ (spectrum.real**2 + spectrum.imag**2).T
        return np.asarray((np.log(power + c.floor) - c.mean) / c.std, np.float32)

    return features


def mel_power(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """What our features, or NumPy's, were the logarithm of."""
    return np.asarray(np.exp(features.astype(np.float64) * CONFIG.std + CONFIG.mean) - CONFIG.floor)


def peer_power(peer: Peer, name: str) -> NDArray[np.float64]:
    """The same of a peer; kaldi adds no floor."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features"
        shape = peer.ask("write", name, path)
        features = np.fromfile(path, np.float32).reshape(shape).astype(np.float64)
    return np.asarray(np.exp(features) - (CONFIG.floor if name.startswith("librosa") else 0.0))


def load(peer: Peer, window: NDArray[np.float32]) -> None:
    """Hands the window over."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "window"
        window.tofile(path)
        assert peer.ask("load", path) == len(window)
