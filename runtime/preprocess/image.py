"""Camera frames for a model: resized and normalized by the core, and the map between source and model pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from edge.runtime import _core
from edge.runtime.errors import ConfigError, SampleError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.runtime.rig import Intrinsics
    from edge.runtime.sample import Image

ResizeMode: TypeAlias = Literal["stretch", "letterbox", "crop"]
Box: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ResizeMap:
    """Where a camera's pixels land in a model's input.

    Pixel centres lie at integers: `u_model = (u_source + 0.5) * scale_x - 0.5 + shift_x`, and v likewise.

    Attributes:
        source_size: Width and height of the camera's image.
        model_size: Width and height of the model's input.
        crop: The part of the source that is used: x, y, width, height in whole pixels.
        content: The part of the model's input that it fills: x, y, width, height in pixels (edges).
    """

    source_size: tuple[int, int]
    model_size: tuple[int, int]
    crop: tuple[int, int, int, int]
    content: Box

    @property
    def scale(self) -> tuple[float, float]:
        """Model pixels per source pixel, in x and y."""
        return self.content[2] / self.crop[2], self.content[3] / self.crop[3]

    @property
    def shift(self) -> tuple[float, float]:
        """Added after scaling, in model pixels."""
        (sx, sy), (cx, cy, _, _), (x, y, _, _) = self.scale, self.crop, self.content
        return x - cx * sx, y - cy * sy

    def to_model(self, u: float, v: float) -> tuple[float, float]:
        """Model pixel of a source pixel."""
        (sx, sy), (dx, dy) = self.scale, self.shift
        return (u + 0.5) * sx - 0.5 + dx, (v + 0.5) * sy - 0.5 + dy

    def to_source(self, u: float, v: float) -> tuple[float, float]:
        """Source pixel of a model pixel."""
        (sx, sy), (dx, dy) = self.scale, self.shift
        return (u - dx + 0.5) / sx - 0.5, (v - dy + 0.5) / sy - 0.5

    def intrinsics(self, source: Intrinsics) -> Intrinsics:
        """The lens seen through this map; for a plain stretch the same as `Intrinsics.scaled`."""
        (sx, sy), (cx, cy) = self.scale, self.to_model(source.cx, source.cy)
        width, height = self.model_size
        update = {"width": width, "height": height, "fx": source.fx * sx, "fy": source.fy * sy, "cx": cx, "cy": cy}
        return source.model_copy(update=update)

    def resized(self, width: int, height: int) -> ResizeMap:
        """The map into a model input of another size that shows exactly the same view."""
        sx, sy = width / self.model_size[0], height / self.model_size[1]
        x, y, w, h = self.content
        return ResizeMap(self.source_size, (width, height), self.crop, (x * sx, y * sy, w * sx, h * sy))


def make_resize_map(source_size: tuple[int, int], model_size: tuple[int, int], mode: ResizeMode) -> ResizeMap:
    """The map of a resize mode.

    Args:
        source_size: Width and height of the camera's image.
        model_size: Width and height of the model's input.
        mode: `stretch` fills the input, `letterbox` keeps the aspect and pads, `crop` keeps it and cuts the sides.
    """
    (w, h), (mw, mh) = source_size, model_size
    if mode == "letterbox":
        scale = min(mw / w, mh / h)
        cw, ch = min(mw, max(1, round(w * scale))), min(mh, max(1, round(h * scale)))
        return ResizeMap(source_size, model_size, (0, 0, w, h), ((mw - cw) // 2, (mh - ch) // 2, cw, ch))
    if mode == "crop":
        cw, ch = min(w, max(1, round(h * mw / mh))), min(h, max(1, round(w * mh / mw)))
        return ResizeMap(source_size, model_size, ((w - cw) // 2, (h - ch) // 2, cw, ch), (0, 0, mw, mh))
    return ResizeMap(source_size, model_size, (0, 0, w, h), (0, 0, mw, mh))


class ImageResizer:
    """Makes model inputs of one camera's frames: bilinear resize, then `(x / 255 - mean) / std`, in RGB order.

    Sampling is that of cv2.INTER_LINEAR; what a letterbox pads holds the mean, hence 0. Re-entrant.

    Args:
        resize: Where pixels go, from `make_resize_map`.
        mean: One per output channel (1 or 3), on the 0..1 scale.
        std: Likewise.

    Raises:
        ConfigError: `mean` and `std` do not fit each other.
    """

    def __init__(self, resize: ResizeMap, mean: Sequence[float], std: Sequence[float]) -> None:
        x, y, width, height = (round(v) for v in resize.content)
        columns, rows = resize.model_size
        try:
            self._core = _core.ImageResizer(resize.crop, (x, y, width, height), rows, columns, mean, std)
        except ValueError as error:
            raise ConfigError(f"image input: {error}", "mend shape, mean and std in io.yaml") from error
        self._size = resize.source_size
        self.shape = (len(mean), rows, columns)

    def run(self, image: Image, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Resizes one frame; rows, columns and channels may be strided and are not copied.

        Args:
            image: A frame of the map's source size.
            out: Contiguous float32 `[channels, h, w]` to write into, or None for a new array.

        Raises:
            SampleError: The frame has another size, type or number of channels than the input needs.
        """
        _check_pixels(image, self._size, self.shape[0])
        out = np.empty(self.shape, np.float32) if out is None else out
        self._core.run(image.pixels, image.format == "bgr8", out)
        return out


def _size(width_height: tuple[int, ...]) -> str:
    return "x".join(str(v) for v in width_height)


def _check_pixels(image: Image, size: tuple[int, int], channels: int) -> None:
    pixels, width_height = image.pixels, (*image.pixels.shape[1::-1],)
    planes = 1 if image.format == "mono8" else 3
    if pixels.dtype != np.uint8 or pixels.ndim < 2 or pixels.shape[2:] != ((3,) if planes == 3 else ()):
        expected = "[H, W]" if planes == 1 else "[H, W, 3]"
        raise SampleError(
            f"a {image.format} image must be uint8 {expected}, not {pixels.dtype} {list(pixels.shape)}",
            "convert the frame or name its true format",
        )
    if width_height != size:
        raise SampleError(
            f"the image is {_size(width_height)}, but the rig's intrinsics are for {_size(size)}",
            "use the rig of this recording or resize its intrinsics",
        )
    if planes > channels:
        raise SampleError(f"the model input takes one channel, but the image is {image.format}", "give a mono8 image")
