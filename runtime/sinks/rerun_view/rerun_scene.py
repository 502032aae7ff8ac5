"""Draws moments with rerun: cameras under lidar and detections, spectrograms, latencies, ages, level and state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.capabilities import require_module
from edge.runtime.levels import LEVELS
from edge.runtime.model_io import GridOutput, LidarViewInput, LogMelInput
from edge.runtime.preprocess.lidar_view import PointProjector
from edge.runtime.preprocess.logmel import LogMel
from edge.runtime.sample import AudioChunk, Image, PointCloud, Text
from edge.runtime.sinks.rerun_view import layout
from edge.runtime.sinks.rerun_view.colour_ramps import depth_colours, sound_colours

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.runtime.fusion import Inference
    from edge.runtime.model_io import ModelIO
    from edge.runtime.result import FusedResult
    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample
    from edge.runtime.sinks.rerun_view.live_view import Moment
    from edge.runtime.sinks.rerun_view.output import ViewOutput

MOST_POINTS = 20_000  # of a sweep; every second, third, ... of more
JPEG_QUALITY = 80
_MS = 1e6
_FLUSH_S = 2.0
_COLOUR = (255, 210, 63)
_NO_POINTS = np.empty((0, 4), np.float32)


class RerunScene:
    """A `Scene` on one recording of rerun.

    Args:
        output: Where it goes to.
        rig: The run's sensors.
        model_io: What the model takes and gives, which says what is drawn over which camera.

    Raises:
        MissingDependencyError: The extra `viewer` is not installed.
    """

    def __init__(self, output: ViewOutput, rig: Rig, model_io: ModelIO) -> None:
        self._rerun = require_module("rerun")
        self._output, self._stream = output, output.stream
        self._over = next((o.camera for o in model_io.outputs if isinstance(o, GridOutput)), None)
        self._projectors = _projectors(rig, model_io)
        self._sounds = {i.stream: LogMel(i) for i in model_io.inputs if isinstance(i, LogMelInput)}
        self._first_ns: int | None = None
        self._told: tuple[str, ...] = ()
        self._shown = {name: layout.sound_path(name) for name in self._sounds}
        cameras, texts = (_read_streams(rig, model_io, kind) for kind in ("camera", "text"))
        self._shown |= {name: layout.camera_path(name) for name in cameras}
        self._shown |= {name: layout.text_path(name) for name in texts}
        self._stream.send_blueprint(layout.first_layout(cameras, list(self._sounds), texts))

    def draw(self, moment: Moment) -> None:
        """Draws everything of a moment, and waits until it was handed on: what piles up is the view's to drop."""
        inference, result = moment.inference, moment.result
        self._set_time(result)
        for name, sample in inference.synced.samples.items():
            self._draw_sample(name, sample)
        for name in self._shown.keys() - inference.synced.samples.keys():  # an old picture would pass for a new one
            self._log(self._shown[name], self._rerun.Clear(recursive=False))
        self._draw_points(inference)
        self._draw_detections(result)
        self._draw_figures(inference, result)
        self._draw_words(result)
        self._stream.flush(timeout_sec=_FLUSH_S)

    def close(self, *, complete: bool) -> None:
        """Ends the recording; see `ViewOutput.close`."""
        self._output.close(complete=complete)

    def _log(self, path: str, drawn: Any) -> None:
        self._stream.log(path, drawn, strict=True)

    def _set_time(self, result: FusedResult) -> None:
        if self._first_ns is None:
            self._first_ns = result.stamp_ns
        since = np.timedelta64(result.stamp_ns - self._first_ns, "ns")
        self._stream.set_time(layout.RESULT, sequence=result.seq)
        self._stream.set_time(layout.TIME, duration=since)

    def _draw_sample(self, name: str, sample: Sample) -> None:
        payload = sample.payload
        if isinstance(payload, Image):
            picture = self._rerun.Image(_shown_pixels(payload)).compress(jpeg_quality=JPEG_QUALITY)
            self._log(layout.camera_path(name), picture)
        elif isinstance(payload, AudioChunk) and name in self._sounds:
            logmel = self._sounds[name]
            window = payload.samples[..., payload.samples.shape[-1] - logmel.window_samples :]
            self._log(layout.sound_path(name), self._rerun.Image(sound_colours(logmel.features(window))))
        elif isinstance(payload, Text):
            self._log(layout.text_path(name), self._rerun.TextDocument(payload.text))

    def _draw_points(self, inference: Inference) -> None:
        """Over each camera that the model sees a lidar in; nothing where the lidar is missing."""
        for (camera, lidar), projector in self._projectors.items():
            sample = inference.synced.samples.get(lidar)
            payload = None if sample is None else sample.payload
            points = payload.points if isinstance(payload, PointCloud) else _NO_POINTS
            pixels, seen = projector.pixels(_thinned(points))
            shown = pixels[seen]
            drawn = self._rerun.Points2D(shown[:, :2] + 0.5, colors=depth_colours(shown[:, 2]), radii=1.5)
            self._log(f"{layout.camera_path(camera)}/{layout.escaped(lidar)}", drawn)

    def _draw_detections(self, result: FusedResult) -> None:
        if self._over is None:
            return
        found = result.decoded.detections
        boxes = np.array([d.box_px for d in found], np.float32).reshape(-1, 4)
        drawn = self._rerun.Boxes2D(
            mins=boxes[:, :2],
            sizes=boxes[:, 2:] - boxes[:, :2],
            labels=[f"{d.class_name} {d.score:.2f} {d.distance_m:.1f} m" for d in found],
            colors=[_COLOUR] * len(found),
        )
        self._log(f"{layout.camera_path(self._over)}/detections", drawn)

    def _draw_figures(self, inference: Inference, result: FusedResult) -> None:
        figures: dict[str, float | None] = {
            f"{layout.AGE}/{layout.escaped(name)}": age for name, age in result.ages_ms.items()
        }
        taken_ns = {} if inference.times is None else inference.times._asdict()
        figures |= {
            f"{layout.LATENCY}/{field.removesuffix('_ns')}": taken / _MS
            for field, taken in taken_ns.items()
            if taken is not None
        }
        figures[f"{layout.LATENCY}/sync_wait"] = _sync_wait_ms(inference)
        figures[layout.LEVEL] = LEVELS.index(result.level)
        for path, value in figures.items():
            if value is not None:
                self._log(path, self._rerun.Scalars([float(value)]))

    def _draw_words(self, result: FusedResult) -> None:
        """State and level when they change, and what was heard when that does."""
        heard = tuple(event.class_name for event in result.decoded.events)
        told = (result.state, result.level, *heard)
        if told == self._told:
            return
        why = f": {result.reason}" if result.reason else ""
        if told[:2] != self._told[:2]:
            self._log(layout.STATE, self._rerun.TextLog(f"{result.state}, {result.level}{why}"))
        if told[2:] != self._told[2:]:
            self._log(layout.HEARD, self._rerun.TextLog(", ".join(heard) or "no event"))
        self._told = told


def _read_streams(rig: Rig, model_io: ModelIO, kind: str) -> list[str]:
    return [name for name in model_io.modalities if name in rig.streams and rig.stream(name).kind == kind]


def _projectors(rig: Rig, model_io: ModelIO) -> dict[tuple[str, str], PointProjector]:
    return {
        (i.camera, i.stream): PointProjector(rig.intrinsics(i.camera), rig.transform(i.camera, i.stream))
        for i in model_io.inputs
        if isinstance(i, LidarViewInput)
    }


def _shown_pixels(image: Image) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image.pixels[..., ::-1] if image.format == "bgr8" else image.pixels)


def _thinned(points: NDArray[np.float32]) -> NDArray[np.float32]:
    step = -(-len(points) // MOST_POINTS) or 1
    return np.ascontiguousarray(points[::step], np.float32)


def _sync_wait_ms(inference: Inference) -> float | None:
    arrivals = [sample.arrival_ns for sample in inference.synced.samples.values()]
    return (inference.synced.emitted_ns - max(arrivals)) / _MS if arrivals else None
