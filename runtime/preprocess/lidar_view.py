"""Lidar in a camera: pixels of points for overlays, and the dense view that feeds a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.runtime import _core
from edge.runtime.errors import ConfigError, SampleError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.runtime.preprocess.image import ResizeMap
    from edge.runtime.rig import Intrinsics


def make_camera(intrinsics: Intrinsics) -> _core.Camera:
    """The core's camera; `max_radius2` bounds x^2 + y^2 at z = 1: beyond, the distortion folds back."""
    i, lens = intrinsics, intrinsics.distortion
    return _core.Camera(i.fx, i.fy, i.cx, i.cy, lens.model, lens.coefficients)


class PointProjector:
    """Projects points into a camera, for overlays and checks. Re-entrant.

    Args:
        intrinsics: The camera.
        T_camera_from_lidar: 4x4, from the points' frame into the camera's optical frame.
    """

    def __init__(self, intrinsics: Intrinsics, T_camera_from_lidar: NDArray[np.float64]) -> None:
        self._camera = make_camera(intrinsics)
        self._transform = _rows(T_camera_from_lidar)
        self._window = (-0.5, -0.5, intrinsics.width - 0.5, intrinsics.height - 0.5)

    def pixels(self, points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Pixels of points.

        Args:
            points: float32 `[N, 4]` x, y, z in metres and reflectance; copied once if not contiguous.

        Returns:
            float32 `[N, 3]` u, v (px, pixel centres at integers) and optical depth (m), and bool `[N]`: which are
            seen. A row is NaN where the point does not project: not finite, a zero return, not in front of the
            camera, or beyond the angle up to which the distortion is monotonic. A point can project outside the
            image; it is then not seen.

        Raises:
            SampleError: The points have another type or shape.
        """
        points = check_points(points)
        uvz = np.empty((len(points), 3), np.float32)
        seen = np.empty(len(points), np.uint8)
        _core.project_points(self._camera, self._transform, self._window, points, uvz, seen)
        return uvz, seen.view(np.bool_)


class LidarView:
    """A sweep seen by a camera, float32 `[4, h, w]` as `LidarViewInput` describes it. Re-entrant.

    A point falls into the cell `floor(u + 0.5), floor(v + 0.5)`. Nearer than the range's start its depth code is
    clipped to -1, beyond its end the point is dropped. Reflectance is clipped to 0..1, one that is no number is 0.
    Of points at exactly the same depth the more reflective wins, so the view does not depend on their order.

    Args:
        intrinsics: The camera, at its own size.
        resize: Where its pixels land in the view; what a letterbox pads stays empty.
        T_camera_from_lidar: 4x4, into the optical frame.
        T_base_from_lidar: 4x4; its third row gives heights.
        depth_range_m: Optical depths that the codes -1 and 1 stand for.
        height_range_m: Heights above the base frame's origin that -1 and 1 stand for.

    Raises:
        ConfigError: A range is empty, reversed or, for the depth, not positive.
    """

    def __init__(
        self,
        intrinsics: Intrinsics,
        resize: ResizeMap,
        T_camera_from_lidar: NDArray[np.float64],
        T_base_from_lidar: NDArray[np.float64],
        *,
        depth_range_m: tuple[float, float] = (1.0, 80.0),
        height_range_m: tuple[float, float] = (-1.0, 4.0),
    ) -> None:
        columns, rows = resize.model_size
        x, y, width, height = resize.content
        window = (x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5)
        base_z = [float(v) for v in T_base_from_lidar[2]]
        camera, transform = make_camera(resize.intrinsics(intrinsics)), _rows(T_camera_from_lidar)
        try:
            self._core = _core.LidarView(
                camera, transform, base_z, (*depth_range_m, *height_range_m), rows, columns, window
            )
        except ValueError as error:
            raise ConfigError(f"lidar view: {error}", "mend shape and ranges in io.yaml") from error
        self.shape = (4, rows, columns)

    def run(self, points: NDArray[np.float32], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """The view of one sweep.

        Args:
            points: float32 `[N, 4]` x, y, z in metres and reflectance; copied once if not contiguous.
            out: Contiguous float32 `[4, h, w]` to write into, or None for a new array.

        Raises:
            SampleError: The points have another type or shape.
        """
        out = np.empty(self.shape, np.float32) if out is None else out
        self._core.fill(check_points(points), out)
        return out


def check_points(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """The points as the core reads them: contiguous, copied only where they are not.

    Raises:
        SampleError: They are not float32 `[N, 4]`.
    """
    if points.dtype != np.float32 or points.ndim != 2 or points.shape[1] != 4:
        raise SampleError(
            f"points must be float32 [N, 4], not {points.dtype} {list(points.shape)}",
            "give x, y, z in metres and reflectance 0..1 as float32",
        )
    return np.ascontiguousarray(points)


def _rows(T: NDArray[np.float64]) -> list[float]:
    return [float(v) for v in np.asarray(T, np.float64)[:3].ravel()]
