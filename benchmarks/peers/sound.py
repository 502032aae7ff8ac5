"""librosa and kaldi-native-fbank, both set to our log-mel's definition: run by the peers' venv, see worker.py."""

import ctypes
import time
from importlib.metadata import version

import kaldi_native_fbank
import librosa
import numpy as np
from worker import serve

RATE, N_FFT, HOP, MELS, F_MIN, F_MAX, FLOOR = 16_000, 400, 160, 64, 50.0, 8_000.0, 1e-6
SCALE = {"sr": RATE, "n_mels": MELS, "fmin": F_MIN, "fmax": F_MAX, "htk": True, "norm": None}
FRAMES = {"n_fft": N_FFT, "hop_length": HOP, "window": "hann", "center": False}
FILTERS = librosa.filters.mel(n_fft=N_FFT, **SCALE)
given = {}


def load(path):
    """The samples, as an array and as the list that kaldi's binding takes fastest."""
    given["window"] = np.fromfile(path, np.float32)
    given["list"] = given["window"].tolist()
    return len(given["window"])


def by_librosa():
    """As its documentation shows it; the filterbank is made anew by each call. `[mels, frames]`."""
    power = librosa.feature.melspectrogram(y=given["window"], power=2.0, **FRAMES, **SCALE)
    return np.log(power + np.float32(FLOOR))


def by_librosa_ready():
    """The same with the filterbank made before."""
    spectrum = librosa.stft(given["window"], **FRAMES)
    return np.log(FILTERS @ (spectrum.real**2 + spectrum.imag**2) + np.float32(FLOOR))


def kaldi_options():
    """Frames of exactly 400 samples, no dither, no pre-emphasis, unit triangles over Hz on the HTK scale."""
    options = kaldi_native_fbank.FbankOptions()
    frame, mel = options.frame_opts, options.mel_opts
    frame.samp_freq, frame.frame_length_ms, frame.frame_shift_ms = RATE, 1000 * N_FFT / RATE, 1000 * HOP / RATE
    frame.dither, frame.preemph_coeff, frame.remove_dc_offset = 0.0, 0.0, False
    frame.window_type, frame.round_to_power_of_two, frame.snip_edges = "hann", False, True
    mel.num_bins, mel.low_freq, mel.high_freq = MELS, F_MIN, F_MAX
    mel.is_librosa, mel.norm, mel.use_slaney_mel_scale = True, "", False
    options.use_energy, options.use_log_fbank = False, True
    return options


KALDI = kaldi_options()


def by_kaldi():
    """A new extractor for the window, as kaldi's streams ask for; `[mels, frames]`."""
    fbank = kaldi_native_fbank.OnlineFbank(KALDI)
    fbank.accept_waveform(RATE, given["list"])
    fbank.input_finished()
    return np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)], axis=1)


SIDES = {"librosa": by_librosa, "librosa, filterbank ready": by_librosa_ready, "kaldi-native-fbank": by_kaldi}


def timed(name, calls):
    """Median seconds of a call."""
    function, spent = SIDES[name], []
    for _ in range(int(calls)):
        start = time.perf_counter_ns()
        function()
        spent.append(time.perf_counter_ns() - start)
    return float(np.median(spent)) / 1e9


def write(name, path):
    """The features, as float32."""
    features = SIDES[name]()
    features.astype(np.float32).tofile(path)
    return list(features.shape)


def keep_pages():
    """Tells the allocator to give nothing back to the kernel."""
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(-1, 1 << 30)) and bool(libc.mallopt(-3, 1 << 25))


if __name__ == "__main__":
    found = {name: version(name) for name in ("librosa", "kaldi-native-fbank")}
    found["NumPy of librosa"] = np.__version__
    serve({"load": load, "time": timed, "write": write, "keep": keep_pages, "versions": lambda: found})
