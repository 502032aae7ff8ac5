"""Picks moments of a run to show: camera frame, lidar points in it, detections, and what the audio looked like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.report.figures import FusedFrame
from edge.report.picture import frame_png
from edge.runtime.atomic import atomic_file
from edge.runtime.decode import Decoder
from edge.runtime.errors import SourceError
from edge.runtime.fusion import sound_windows_ns
from edge.runtime.model_io import LidarViewInput, LogMelInput, ModelIO
from edge.runtime.preprocess.deskew import MotionCompensation
from edge.runtime.preprocess.lidar_view import PointProjector
from edge.runtime.preprocess.preprocessor import Preprocessor
from edge.runtime.result import Decoded
from edge.runtime.sample import Image, PointCloud
from edge.runtime.synchronizer import Synchronizer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.runtime.engines.base import Engine
    from edge.runtime.rig import Rig
    from edge.runtime.sources.base import Source
    from edge.runtime.synchronize.synced import SyncedSet

SKIPPED = 5  # sets between two moments, so that they differ


def fused_moments(
    source: Source, model_io: ModelIO, engine: Engine | None = None, count: int = 3, rig: Rig | None = None
) -> tuple[FusedFrame, ...]:
    """Synchronizes `source` and renders `count` complete moments, with detections where an engine is given.

    `rig` is the source's, completed by the streams of the model that it lacks; the source's own by default.

    Raises:
        SourceError: No moment of the source has camera and lidar together.
    """
    rig = rig or source.rig
    streams = [s for s in model_io.modalities if s in source.rig.streams]
    preprocessor, decoder = Preprocessor(model_io, rig), Decoder(model_io, rig)
    frames: list[FusedFrame] = []
    for at, synced in enumerate(_synced(source, streams, model_io, rig)):
        if at % SKIPPED or len(synced.samples) < len(streams) or not _has_view(synced, model_io):
            continue
        inputs = preprocessor.inputs({name: sample.payload for name, sample in synced.samples.items()})
        decoded = decoder.decode(engine.run(inputs)) if engine else Decoded()
        frames.append(_frame(synced, rig, model_io, inputs, decoded))
        if len(frames) == count:
            break
    if not frames:
        raise SourceError("the source never shows camera and lidar together", "check its rig and its stamps")
    return tuple(frames)


def draw_rig(source: Source, model_io: ModelIO, out: Path, rig: Rig | None = None) -> None:
    """Writes a PNG of the first complete moment: a wrong extrinsic shows at once.

    Raises:
        SourceError: No moment of the source has camera and lidar together.
    """
    (frame,) = fused_moments(source, model_io, count=1, rig=rig)
    with atomic_file(out) as partial:
        partial.write_bytes(frame_png(frame))


def _synced(source: Source, streams: list[str], model_io: ModelIO, rig: Rig) -> Iterator[SyncedSet]:
    synchronizer = Synchronizer(source.rig, streams, sound_windows_ns(model_io))
    motion = MotionCompensation(rig)
    for sample in source.samples():
        if motion.observe(sample) is None and sample.stream in streams:
            yield from map(motion.compensate, synchronizer.push(sample))
    yield from map(motion.compensate, synchronizer.flush())


def _has_view(synced: SyncedSet, model_io: ModelIO) -> bool:
    view = next((i for i in model_io.inputs if isinstance(i, LidarViewInput)), None)
    return view is not None and {view.stream, view.camera} <= set(synced.samples)


def _frame(
    synced: SyncedSet,
    rig: Rig,
    model_io: ModelIO,
    inputs: dict[str, NDArray[np.float32]],
    decoded: Decoded,
) -> FusedFrame:
    view = next(i for i in model_io.inputs if isinstance(i, LidarViewInput))
    camera, lidar = synced.samples[view.camera].payload, synced.samples[view.stream].payload
    assert isinstance(camera, Image) and isinstance(lidar, PointCloud)
    projector = PointProjector(rig.intrinsics(view.camera), rig.transform(view.camera, view.stream))
    pixels, seen = projector.pixels(lidar.points)
    mel = next((i for i in model_io.inputs if isinstance(i, LogMelInput) and i.stream in synced.samples), None)
    return FusedFrame(
        image=_rgb(camera),
        points_px=pixels[seen, :2],
        depth_m=pixels[seen, 2],
        detections=decoded.detections,
        events=decoded.events,
        logmel=None if mel is None else inputs[mel.tensor][0, 0],
        audio_window_s=None if mel is None else mel.window_samples / mel.rate_hz,
        caption=f"Fused at {synced.stamp_ns / 1e9:.2f} s, {len(synced.samples)} modalities, "
        f"spread {synced.spread_ms:.1f} ms.",
    )


def _rgb(image: Image) -> NDArray[np.uint8]:
    if image.format == "mono8":
        return np.repeat(image.pixels[..., None], 3, axis=2)
    return image.pixels if image.format == "rgb8" else image.pixels[..., ::-1]
