"""A camera frame of 1242x375 to a normalised tensor of 640x192: ours, and OpenCV with NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.runtime.preprocess.image import ImageResizer, make_resize_map
from edge.runtime.sample import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SIZE = (640, 192)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GAIN = np.array([1 / (255 * s) for s in STD], np.float32)[:, None, None]
OFFSET = np.array([-m / s for m, s in zip(MEAN, STD, strict=True)], np.float32)[:, None, None]


def make_frame() -> NDArray[np.uint8]:
    """Smooth noise of KITTI's size."""
    noise = np.random.default_rng(0).integers(0, 256, (375, 1242, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (5, 5), 2), np.uint8)


def ours(frame: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
    """Into a buffer of its own, as a pipeline would."""
    resizer = ImageResizer(make_resize_map((frame.shape[1], frame.shape[0]), SIZE, "stretch"), MEAN, STD)
    image, planes = Image(frame), np.empty(resizer.shape, np.float32)
    return lambda: resizer.run(image, planes)


def by_opencv(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """cv2.resize and the leanest NumPy normalization found: planar, in place."""
    resized = cv2.resize(frame, SIZE, interpolation=cv2.INTER_LINEAR)
    out = resized.transpose(2, 0, 1).astype(np.float32, order="C")
    out *= GAIN
    out += OFFSET
    return np.asarray(out)


def by_blob(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """cv2.dnn.blobFromImage, which resizes and splits the channels in one call, then NumPy in place."""
    out = cv2.dnn.blobFromImage(frame, 1.0, SIZE)[0]
    out *= GAIN
    out += OFFSET
    return np.asarray(out)


def levels_apart(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Largest difference in levels of 0..255."""
    return float((np.abs(a - b) / GAIN).max())
