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

def decode_grid(
    logits: NDArray[np.float32],
    log_distance: NDArray[np.float32],
    threshold: float,
    distance_ratio: float,
) -> list[tuple[int, float, float, tuple[int, int, int, int]]]: ...
