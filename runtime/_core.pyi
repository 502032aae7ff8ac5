"""C++ core of edge.runtime; users meet the wrappers in image, lidar_view, logmel and decode."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

class Camera:
    def __init__(
        self, fx: float, fy: float, cx: float, cy: float, lens: str, coefficients: Sequence[float]
    ) -> None: ...
    @property
    def max_radius2(self) -> float: ...
    def undistort(self, u: float, v: float) -> tuple[float, float]: ...

def project_points(
    camera: Camera,
    camera_from_lidar: Sequence[float],
    window: Sequence[float],
    points: NDArray[np.float32],
    uvz: NDArray[np.float32],
    visible: NDArray[np.uint8],
) -> None: ...

class LidarView:
    def __init__(
        self,
        camera: Camera,
        camera_from_lidar: Sequence[float],
        base_z: Sequence[float],
        ranges: Sequence[float],
        rows: int,
        columns: int,
        window: Sequence[float],
    ) -> None: ...
    def fill(self, points: NDArray[np.float32], view: NDArray[np.float32]) -> None: ...

class ImageResizer:
    def __init__(
        self,
        source: Sequence[int],
        target: Sequence[int],
        rows: int,
        columns: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None: ...
    def run(self, image: NDArray[np.uint8], reverse: bool, output: NDArray[np.float32]) -> None: ...

class LogMel:
    def __init__(
        self,
        mels: int,
        frames: int,
        rate_hz: float,
        n_fft: int,
        hop: int,
        f_min_hz: float,
        f_max_hz: float,
        floor: float,
        mean: float,
        std: float,
    ) -> None: ...
    def features(self, samples: NDArray[np.float32], output: NDArray[np.float32]) -> None: ...

def image_glance(image: NDArray[np.uint8]) -> tuple[int, bool, bool]: ...
def image_fingerprint(image: NDArray[np.uint8]) -> tuple[int, bool, bool]: ...
def cloud_glance(points: NDArray[np.float32]) -> tuple[int, bool, bool]: ...
def cloud_fingerprint(points: NDArray[np.float32]) -> tuple[int, bool, bool]: ...
def cloud_has_returns(points: NDArray[np.float32]) -> bool: ...
def sound_levels(samples: NDArray[np.float32], full_scale: float) -> tuple[int, bool, bool, float]: ...

class SyncStream:
    def __init__(
        self,
        period_ns: int,
        min_period_ns: int,
        tolerance_ns: int,
        latency_offset_ns: int,
        transport_ns: int | None,
        max_age_ns: int,
        window_ns: int,
        conceal_ns: int,
        absence: int,
        clock: int,
    ) -> None: ...

class Synchronization:
    def push(self, stream: int, stamp_ns: int, arrival_ns: int, handle: int, duration_ns: int, now_ns: int) -> bool: ...
    def advance(self, now_ns: int) -> bool: ...
    def flush(self, now_ns: int) -> bool: ...
    def next_deadline_ns(self) -> int | None: ...
    def take_sets(self) -> list[tuple[int, int, int, int, bool, list[tuple[int, int, int, list[int], list[int]]]]]: ...
    def take_released(self) -> list[tuple[int, int, int]]: ...
    def replay(
        self,
        streams: NDArray[np.int64],
        stamps_ns: NDArray[np.int64],
        arrivals_ns: NDArray[np.int64],
        durations_ns: NDArray[np.int64],
    ) -> None: ...
    def timed_replay(
        self,
        streams: NDArray[np.int64],
        stamps_ns: NDArray[np.int64],
        arrivals_ns: NDArray[np.int64],
        durations_ns: NDArray[np.int64],
    ) -> tuple[float, int]: ...
    def health(self, stream: int) -> tuple[int, list[int], int, int, int, int, bool, int, int, int, float]: ...

class AnchoredSync(Synchronization):
    def __init__(
        self, streams: Sequence[SyncStream], anchor: int, budget_ns: int, remap: bool, startup_ns: int
    ) -> None: ...
    @property
    def budget_ns(self) -> int: ...
    @property
    def ticks_skipped(self) -> int: ...

class ExactSync(Synchronization):
    def __init__(self, streams: Sequence[SyncStream], queue_size: int, monotonic: bool, remap: bool) -> None: ...

class LatestSync(Synchronization):
    def __init__(self, streams: Sequence[SyncStream], anchor: int, remap: bool) -> None: ...

class OptimalSync(Synchronization):
    def __init__(
        self,
        streams: Sequence[SyncStream],
        anchor: int,
        queue_size: int,
        age_penalty: float,
        max_interval_ns: int | None,
        lower_bounds_ns: Sequence[int],
        remap: bool,
    ) -> None: ...

class LogHistogram:
    def __init__(self) -> None: ...
    def add(self, ns: int) -> None: ...
    def merge(self, other: LogHistogram) -> None: ...
    def clear(self) -> None: ...
    def percentile(self, share: float) -> int: ...
    def __len__(self) -> int: ...
    @property
    def count(self) -> int: ...
    @property
    def underflow(self) -> int: ...
    @property
    def overflow(self) -> int: ...
    @property
    def min(self) -> int: ...
    @property
    def max(self) -> int: ...
    @property
    def sum(self) -> int: ...

def decode_grid(
    logits: NDArray[np.float32],
    log_distance: NDArray[np.float32],
    threshold: float,
    distance_ratio: float,
) -> list[tuple[int, float, float, list[int]]]: ...
