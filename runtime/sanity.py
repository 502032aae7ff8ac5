"""Samples that no model should see: empty, of another size than the rig says, or not finite. They count as missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.sample import AudioChunk, Image, PointCloud, Reading

if TYPE_CHECKING:
    from edge.runtime.rig import Rig
    from edge.runtime.sample import Payload, Sample

# Every so many rows and columns of an image are looked at; a lens cap blackens all of them.
_STEP = 16
_KINDS: dict[type, str] = {Image: "camera", PointCloud: "lidar", AudioChunk: "audio", Reading: "table"}


def refusal(sample: Sample, rig: Rig) -> str:
    """Why a sample cannot be used, as a short reason for counting; empty where it can.

    `wrong_kind`: no payload of the stream's kind. `wrong_size`: another resolution, rate or layout than the rig's.
    `empty`: a sweep without points, a black image, no sound. `not_finite`: no number can be relied on.
    """
    stream = rig.stream(sample.stream)
    payload = sample.payload
    if _KINDS.get(type(payload)) != stream.kind:
        return "wrong_kind"
    if isinstance(payload, Image):
        lens = rig.intrinsics(sample.stream)
        size = (lens.height, lens.width)
        return _image_refusal(payload, size)
    if isinstance(payload, AudioChunk) and payload.rate_hz != stream.sample_rate_hz:
        return "wrong_size"
    return _array_refusal(payload)


def _image_refusal(image: Image, size: tuple[int, int]) -> str:
    channels = () if image.format == "mono8" else (3,)
    if image.pixels.dtype != np.uint8 or image.pixels.shape != (*size, *channels):
        return "wrong_size"
    return "" if image.pixels[::_STEP, ::_STEP].any() else "empty"


def _array_refusal(payload: Payload) -> str:
    if isinstance(payload, PointCloud):
        points = payload.points
        if points.dtype != np.float32 or points.ndim != 2 or points.shape[1] != 4:
            return "wrong_size"
        # Single returns that are not finite are usual, and the projection skips them.
        return "" if len(points) and np.isfinite(points[:: max(1, len(points) // 256)]).any() else "empty"
    values = payload.samples if isinstance(payload, AudioChunk) else None
    if isinstance(payload, Reading):
        values = payload.values
    assert values is not None  # images and sweeps were looked at above
    if not values.size:
        return "empty"
    return "" if np.isfinite(values).all() else "not_finite"
