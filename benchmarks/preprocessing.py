"""Preprocessing against NumPy and OpenCV on the same work: one thread, interleaved, once both gave one result.

Run: OPENBLAS_NUM_THREADS=1 python benchmarks/preprocessing.py [--rounds 100] [--json]
NumPy's temporaries are large, and what the C library's allocator does with them decides its speed. So all is
measured twice: with the allocator as it comes, where each call may get fresh pages from the kernel, and with one
told to keep its pages, the best case for NumPy. Ours writes into a buffer of its own, as a pipeline would.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.runtime.image import ImageResizer, make_resize_map
from edge.runtime.lidar_view import LidarView
from edge.runtime.logmel import LogMel
from edge.runtime.model_io import LogMelInput
from edge.runtime.rig import Intrinsics
from edge.runtime.sample import Image
from edge.runtime.statistics import Comparison, compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Side = Callable[[], NDArray[np.float32]]

WIDTH, HEIGHT = 640, 192
CAMERA = Intrinsics(width=1242, height=375, fx=721.5, fy=721.5, cx=609.6, cy=172.9)
T_CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0.06], [0, 0, -1, -0.08], [1, 0, 0, -0.27], [0, 0, 0, 1]], np.float64)
T_BASE_FROM_LIDAR = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1.73], [0, 0, 0, 1]], np.float64)
DEPTH, LIDAR_HEIGHT = (1.0, 80.0), (-1.0, 4.0)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_sweep(rings: int = 64, columns: int = 1875) -> NDArray[np.float32]:
    """A spinning lidar's 120,000 points in the order it fires: a flat ground, walls at random distances."""
    rng = np.random.default_rng(0)
    elevation = np.radians(np.linspace(2.0, -24.8, rings))[:, None]
    azimuth = np.linspace(np.pi, -np.pi, columns, endpoint=False)[None]
    walls = np.repeat(rng.uniform(6, 75, columns // 15), 15)[None]
    with np.errstate(divide="ignore"):
        ground = np.where(elevation < 0, 1.73 / np.abs(np.sin(elevation)), np.inf)
    distance = np.minimum(ground, walls) * rng.normal(1, 2e-3, (rings, columns))
    x, y = distance * np.cos(elevation) * np.cos(azimuth), distance * np.cos(elevation) * np.sin(azimuth)
    z = distance * np.sin(elevation) + 0 * azimuth
    return np.stack([x, y, z, rng.random((rings, columns))], axis=-1).reshape(-1, 4).astype(np.float32)


def numpy_view(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Projection with a depth test in plain NumPy: far to near, so that the nearest is written last."""
    camera = CAMERA.scaled(WIDTH, HEIGHT)
    homogeneous = np.column_stack([points[:, :3], np.ones(len(points))])
    x, y, z = T_CAMERA_FROM_LIDAR[:3] @ homogeneous.T
    with np.errstate(divide="ignore", invalid="ignore"):
        column = np.floor(camera.fx * x / z + camera.cx + 0.5)
        row = np.floor(camera.fy * y / z + camera.cy + 0.5)
        seen = (z > 0) & (z <= DEPTH[1]) & (column >= 0) & (column < WIDTH) & (row >= 0) & (row < HEIGHT)
    order = np.flatnonzero(seen)[np.argsort(-z[seen], kind="stable")]
    cells = row[order].astype(np.int64) * WIDTH + column[order].astype(np.int64)
    height = homogeneous[order] @ T_BASE_FROM_LIDAR[2]
    middle, half = sum(LIDAR_HEIGHT) / 2, (LIDAR_HEIGHT[1] - LIDAR_HEIGHT[0]) / 2
    view = np.zeros((4, HEIGHT * WIDTH), np.float32)
    view[0, cells] = np.clip(2 * np.log(z[order] / DEPTH[0]) / np.log(DEPTH[1] / DEPTH[0]) - 1, -1, 1)
    view[1, cells] = np.clip((height - middle) / half, -1, 1)
    view[2, cells] = 2 * points[order, 3] - 1
    view[3, cells] = 1
    return view.reshape(4, HEIGHT, WIDTH)


def lidar_sides() -> tuple[Side, Side, float]:
    """Ours, NumPy's, and how far apart they may be."""
    sweep = make_sweep()
    resize = make_resize_map((CAMERA.width, CAMERA.height), (WIDTH, HEIGHT), "stretch")
    view = LidarView(
        CAMERA, resize, T_CAMERA_FROM_LIDAR, T_BASE_FROM_LIDAR, depth_range_m=DEPTH, height_range_m=LIDAR_HEIGHT
    )
    out = np.empty(view.shape, np.float32)
    return lambda: view.run(sweep, out), lambda: numpy_view(sweep), 1e-5


def normalization() -> tuple[list[float], list[float]]:
    """Gain and offset of each channel, from 0..255."""
    return [1 / (255 * s) for s in STD], [-m / s for m, s in zip(MEAN, STD, strict=True)]


def image_sides() -> tuple[Side, Side, float]:
    """Ours against cv2.resize and the leanest NumPy normalization found: planar, in place."""
    frame = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (375, 1242, 3), dtype=np.uint8), (5, 5), 2)
    resizer = ImageResizer(make_resize_map((1242, 375), (WIDTH, HEIGHT), "stretch"), MEAN, STD)
    gain, offset = (np.array(v, np.float32)[:, None, None] for v in normalization())

    def opencv() -> NDArray[np.float32]:
        resized = cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        out = resized.transpose(2, 0, 1).astype(np.float32, order="C")
        out *= gain
        out += offset
        return np.asarray(out)

    image, planes = Image(np.asarray(frame)), np.empty(resizer.shape, np.float32)
    return lambda: resizer.run(image, planes), opencv, 1.0 / (255 * min(STD))


def logmel_sides() -> tuple[Side, Side, float]:
    """Ours against NumPy's rfft of all frames and a dense filterbank, both made ready before the clock starts."""
    config = LogMelInput(tensor="mel", stream="audio", shape=(1, 1, 64, 98))
    logmel = LogMel(config)
    window = (np.random.default_rng(0).standard_normal(config.window_samples) * 0.1).astype(np.float32)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(config.n_fft) / config.n_fft)
    low, high = (2595 * np.log10(1 + f / 700) for f in (config.f_min_hz, config.f_max_hz))
    edges = 700 * (10 ** (np.linspace(low, high, 66) / 2595) - 1)
    hz = np.arange(config.n_fft // 2 + 1) * config.rate_hz / config.n_fft
    rise, fall = (hz - edges[:-2, None]), (edges[2:, None] - hz)
    widths = np.diff(edges)[:, None]
    filters = np.maximum(0, np.minimum(rise / widths[:-1], fall / widths[1:]))

    def reference() -> NDArray[np.float32]:
        frames = np.lib.stride_tricks.sliding_window_view(window, config.n_fft)[:: config.hop]
        spectrum = np.fft.rfft(frames * hann, axis=1)
        power = filters @ (spectrum.real**2 + spectrum.imag**2).T
        return np.asarray((np.log(power + config.floor) - config.mean) / config.std, np.float32)

    features = np.empty(logmel.shape, np.float32)
    return lambda: logmel.features(window, features), reference, 1e-5


SIDES = {
    "lidar view of 120,000 points over NumPy": lidar_sides,
    "image 1242x375 to 640x192 over cv2 and NumPy": image_sides,
    "log-mel of 1 s, 64 mels over NumPy": logmel_sides,
}


def keep_pages() -> bool:
    """Tells the allocator to give nothing back to the kernel; False where the C library has no such setting."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    trim_threshold, mmap_threshold = -1, -3
    return mallopt is not None and bool(mallopt(trim_threshold, 1 << 30)) and bool(mallopt(mmap_threshold, 1 << 25))


def measure(rounds: int) -> dict[str, Comparison]:
    """Compares results, then durations.

    Raises:
        SystemExit: The two sides do not give the same numbers.
    """
    found = {}
    for name, make_sides in SIDES.items():
        ours, theirs, tolerance = make_sides()
        apart = np.abs(ours() - theirs()) > tolerance
        # A point on the very edge of a cell may fall to either side of it.
        if apart.mean() > 1e-5:
            raise SystemExit(f"{name}: {int(apart.sum())} values differ by more than {tolerance:g}")
        found[name] = compare(ours, theirs, rounds=rounds)
    return found


def main() -> None:
    """Prints a line a feature, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        sys.stderr.write("note: set OPENBLAS_NUM_THREADS=1, or NumPy's matrix products may use more than one thread\n")
    results = {f"{name}, allocator as it comes": result for name, result in measure(arguments.rounds).items()}
    if keep_pages():
        results |= {f"{name}, allocator keeps pages": result for name, result in measure(arguments.rounds).items()}
    if arguments.json:
        print(json.dumps({name: result.to_json() for name, result in results.items()}, indent=2))
        return
    for name, r in results.items():
        ours, theirs, (low, high) = r.a.distribution_ms.p50, r.b.distribution_ms.p50, r.interval
        print(f"{name}: {r.ratio:.1f}x [{low:.1f}, {high:.1f}], {ours:.3f} ms over {theirs:.3f} ms")


if __name__ == "__main__":
    main()
