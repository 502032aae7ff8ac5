"""Random payloads for the streams of any rig: as large as its sensors', and each unlike the one before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.model_io import ImageInput, SeriesInput, TensorInput
from edge.runtime.sample import AudioChunk, Image, PointCloud, Pose, Reading, Text, Twist

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.random import Generator

    from edge.runtime.model_io import ModelIO
    from edge.runtime.rig import Rig, Stream
    from edge.runtime.sample import Payload

DRAWN = 16  # of each stream, handed out in turns
POINTS = 60_000  # of a sweep, where the rig plans room for more
FARTHEST_M = 60.0
LOUDNESS = 0.1  # of the sound's noise, where 1 clips
MOST_WORDS = 64
_STILL, _UPRIGHT = np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0])


def drawn_payloads(rig: Rig, model_io: ModelIO, seed: int) -> dict[str, list[Payload]]:
    """So many of each stream of a rig, of the kind that it says.

    Args:
        rig: Sizes of images, sweeps, chunks and texts.
        model_io: Says whether images have colour, and around which values tables read.
        seed: Of all draws.
    """
    random = np.random.default_rng(seed)
    return {name: [_draw(name, stream, model_io, random) for _ in range(DRAWN)] for name, stream in rig.streams.items()}


def _draw(name: str, stream: Stream, model_io: ModelIO, random: Generator) -> Payload:
    draws: Mapping[str, Callable[[], Payload]] = {
        "camera": lambda: _image(name, stream, model_io, random),
        "lidar": lambda: _sweep(stream, random),
        "audio": lambda: _chunk(stream, random),
        "table": lambda: _reading(name, stream, model_io, random),
        "text": lambda: _text(stream, random),
        "twist": lambda: Twist(_STILL.copy(), _STILL.copy()),
        "pose": lambda: Pose(_STILL.copy(), _UPRIGHT.copy()),
    }
    return draws[stream.kind]()


def _image(name: str, stream: Stream, model_io: ModelIO, random: Generator) -> Image:
    item = next((i for i in model_io.inputs if isinstance(i, ImageInput) and i.stream == name), None)
    colours = 3 if item is None else item.shape[1]
    lens = stream.intrinsics
    size = (lens.height, lens.width) if lens is not None else (480, 640) if item is None else item.shape[2:]
    if colours == 1:
        return Image(random.integers(0, 256, size, dtype=np.uint8), "mono8")
    return Image(random.integers(0, 256, (*size, 3), dtype=np.uint8), "rgb8")


def _sweep(stream: Stream, random: Generator) -> PointCloud:
    points = random.random((min(POINTS, stream.max_points), 4), dtype=np.float32)
    points[:, :3] = (2 * points[:, :3] - 1) * np.array([FARTHEST_M, FARTHEST_M, 2], np.float32)
    return PointCloud(points)


def _chunk(stream: Stream, random: Generator) -> AudioChunk:
    rate = stream.sample_rate_hz or 16_000
    shape = stream.channels, round(rate / stream.rate_hz)
    return AudioChunk(random.normal(0, LOUDNESS, shape).clip(-1, 1).astype(np.float32), rate)


def _reading(name: str, stream: Stream, model_io: ModelIO, random: Generator) -> Reading:
    around: dict[str, tuple[float, float]] = {}
    for item in model_io.inputs:
        if isinstance(item, TensorInput | SeriesInput) and item.stream == name:
            around |= {field: (m, s) for field, m, s in zip(item.fields, item.mean, item.std, strict=True)}
    values = [random.normal(*around.get(field, (0.0, 1.0))) for field in stream.fields]
    return Reading(np.array(values, np.float32), stream.fields)


def _text(stream: Stream, random: Generator) -> Text:
    words = " ".join(f"word{n}" for n in random.integers(0, 1000, MOST_WORDS))
    return Text(words[: stream.max_text_bytes])
