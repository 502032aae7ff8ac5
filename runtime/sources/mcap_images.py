"""Images as recordings hold them: rows of bytes in a named encoding, or compressed files."""

from __future__ import annotations

import numpy as np

from edge.runtime.capabilities import require_module
from edge.runtime.errors import SampleError
from edge.runtime.sample import Image, PixelFormat

_SENT = "the message is malformed: record it again, or leave the topic out"
# Encoding -> our format, bytes a pixel, how many of them are colour.
_ENCODINGS: dict[str, tuple[PixelFormat, int, int]] = {
    "rgb8": ("rgb8", 3, 3),
    "bgr8": ("bgr8", 3, 3),
    "8UC3": ("bgr8", 3, 3),
    "rgba8": ("rgb8", 4, 3),
    "bgra8": ("bgr8", 4, 3),
    "8UC4": ("bgr8", 4, 3),
    "mono8": ("mono8", 1, 1),
    "8UC1": ("mono8", 1, 1),
}


def raw_image(encoding: str, width: int, height: int, step: int, data: bytes) -> Image:
    """A view of the data as an image; rows may be padded, an alpha channel is left out.

    Raises:
        SampleError: The encoding is unknown here, or the data is shorter than the size says.
    """
    if encoding not in _ENCODINGS:
        raise SampleError(
            f"its encoding '{encoding}' is none of {', '.join(_ENCODINGS)}",
            "record a colour or mono topic, e.g. image_proc's image_color",
        )
    pixel_format, size, colours = _ENCODINGS[encoding]
    shape = (height, width) if size == 1 else (height, width, colours)
    if not width or not height:
        return Image(np.zeros(shape, np.uint8), pixel_format)
    needed = (height - 1) * step + width * size
    if step < width * size or needed > len(data):
        raise SampleError(
            f"{width} x {height} {encoding} pixels in rows of {step} bytes need {needed} bytes, {len(data)} are there",
            _SENT,
        )
    strides = (step, 1) if size == 1 else (step, size, 1)
    return Image(np.ndarray(shape, np.uint8, data, 0, strides), pixel_format)


def compressed_image(kind: str, data: bytes, wanted: PixelFormat = "bgr8") -> Image:
    """Decodes a JPEG, PNG or WebP.

    Args:
        kind: What the message calls it; ROS also appends the original encoding.
        data: The file's content.
        wanted: The pixel format to give.

    Raises:
        SampleError: It is something else, or truncated.
        MissingDependencyError: OpenCV is not installed.
    """
    if "compressedDepth" in kind:
        raise SampleError("it is a compressed depth image", "record a colour or mono topic")
    cv2 = require_module("cv2")
    flag = cv2.IMREAD_GRAYSCALE if wanted == "mono8" else cv2.IMREAD_COLOR
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag) if data else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise SampleError(f"its {len(data)} bytes of '{kind}' are no image that OpenCV can decode", _SENT)
    return Image(np.ascontiguousarray(pixels[..., ::-1]) if wanted == "rgb8" else pixels, wanted)
