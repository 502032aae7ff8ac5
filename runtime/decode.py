"""From a model's output tensors to detections and events; the grid is decoded by the C++ core."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge.runtime import _core
from edge.runtime.errors import ModelError
from edge.runtime.model_io import EventOutput, GridOutput, ModelIO, RawOutput, SoftmaxOutput
from edge.runtime.preprocess.lidar_view import make_camera
from edge.runtime.preprocess.preprocessor import camera_resize
from edge.runtime.result import Decoded, Detection, Event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge.runtime.preprocess.image import Box
    from edge.runtime.rig import Rig

Outputs = dict[str, "NDArray[np.float32]"]
# Neighbouring cells belong to one object where their distances differ by no more than this factor.
DISTANCE_RATIO = 1.15


class GridObject(NamedTuple):
    """Connected cells of one class, in cells of the grid (right and bottom exclusive)."""

    class_index: int
    score: float
    log_distance: float
    box: tuple[int, int, int, int]


class GridDecoder:
    """Decodes one `GridOutput`. Re-entrant.

    A box is given in source pixels as edges: the image spans 0 to its width and height, so the centre of pixel 0
    lies at 0.5. Objects wholly outside the image are dropped. `xyz_m` is the ray through the box's centre at the
    object's optical depth.

    Raises:
        RigError: The rig lacks the camera or the output's frame.
    """

    def __init__(self, output: GridOutput, model_io: ModelIO, rig: Rig) -> None:
        intrinsics = rig.intrinsics(output.camera)
        self.output = output
        self._resize = camera_resize(model_io, rig, output.camera)
        self._camera = make_camera(intrinsics)
        self._size = (intrinsics.width, intrinsics.height)
        self._T_frame_from_camera = (
            np.asarray(rig.stream(output.camera).T_base_from_sensor, np.float64)
            if output.frame == "base"
            else rig.transform(output.frame, output.camera)
        )

    def decode(self, outputs: Mapping[str, NDArray[np.float32]]) -> list[Detection]:
        """Detections, in the row-major order of their first cells.

        Raises:
            ModelError: A tensor is missing, of another shape, or not finite.
        """
        item = self.output
        logits = _tensor(outputs, item.tensor, (1, 1 + len(item.classes), None, None))[0]
        distance = _tensor(outputs, item.distance_tensor, (1, 1, *logits.shape[1:]))[0, 0]
        cells = _core.decode_grid(logits, distance, item.threshold, DISTANCE_RATIO)
        found = [GridObject(index, score, d, (b[0], b[1], b[2], b[3])) for index, score, d, b in cells]
        boxed = [(o, self._source_box(o.box, logits.shape[1:])) for o in found]
        return [self._detection(o, box) for o, box in boxed if box[2] > box[0] and box[3] > box[1]]

    def _detection(self, found: GridObject, box: Box) -> Detection:
        left, top, right, bottom = box
        distance = self._distance(found.log_distance)
        return Detection(
            class_name=self.output.classes[found.class_index],
            score=found.score,
            box_px=box,
            distance_m=distance,
            xyz_m=self._position((left + right) / 2 - 0.5, (top + bottom) / 2 - 0.5, distance),
            frame=self.output.frame,
        )

    def _source_box(self, cells: tuple[int, int, int, int], grid: tuple[int, ...]) -> Box:
        (width, height), (w, h) = self._resize.model_size, self._size
        (sx, sy), (dx, dy) = self._resize.scale, self._resize.shift
        left, right = ((c * width / grid[1] - dx) / sx for c in (cells[0], cells[2]))
        top, bottom = ((c * height / grid[0] - dy) / sy for c in (cells[1], cells[3]))
        return _clip(left, w), _clip(top, h), _clip(right, w), _clip(bottom, h)

    def _distance(self, log_distance: float) -> float:
        try:
            return math.exp(log_distance)
        except OverflowError as error:
            raise ModelError(
                f"output '{self.output.distance_tensor}' stands for a distance of exp({log_distance:.0f}) m",
                "check the model and its quantization",
            ) from error

    def _position(self, u: float, v: float, distance: float) -> tuple[float, float, float]:
        x, y = self._camera.undistort(u, v)
        in_frame = self._T_frame_from_camera @ np.array([x * distance, y * distance, distance, 1.0])
        return float(in_frame[0]), float(in_frame[1]), float(in_frame[2])


class Decoder:
    """Decodes all outputs of a model as `io.yaml` says. Re-entrant.

    Args:
        model_io: The model's outputs, and its inputs for the map back to source pixels.
        rig: The sensors that it runs on.

    Raises:
        RigError: The rig lacks a camera or frame that an output speaks of.
    """

    def __init__(self, model_io: ModelIO, rig: Rig) -> None:
        self._outputs = model_io.outputs
        self._grids = {o.tensor: GridDecoder(o, model_io, rig) for o in model_io.outputs if isinstance(o, GridOutput)}

    def decode(self, outputs: Mapping[str, NDArray[np.float32]]) -> Decoded:
        """Detections, events and raw outputs of one inference (batch 1).

        Raises:
            ModelError: A tensor is missing, of another shape, or holds values that are not finite.
        """
        detections: list[Detection] = []
        events: list[Event] = []
        raw: Outputs = {}
        for item in self._outputs:
            if isinstance(item, GridOutput):
                detections += self._grids[item.tensor].decode(outputs)
            elif isinstance(item, EventOutput):
                events += _decode_events(item, outputs)
            elif isinstance(item, SoftmaxOutput):
                events += _decode_softmax(item, outputs)
            else:
                raw[item.tensor] = _raw(item, outputs)
        return Decoded(tuple(detections), tuple(events), raw)


def _decode_events(item: EventOutput, outputs: Mapping[str, NDArray[np.float32]]) -> list[Event]:
    logits = _tensor(outputs, item.tensor, (1, len(item.classes)))[0].astype(np.float64)
    # tanh cannot overflow, the plain form of the sigmoid can.
    scores = 0.5 + 0.5 * np.tanh(0.5 * logits)
    return [
        Event(name, float(score)) for name, score in zip(item.classes, scores, strict=True) if score >= item.threshold
    ]


def _decode_softmax(item: SoftmaxOutput, outputs: Mapping[str, NDArray[np.float32]]) -> list[Event]:
    logits = _tensor(outputs, item.tensor, (1, len(item.classes)))[0].astype(np.float64)
    weights = np.exp(logits - logits.max())
    best = int(weights.argmax())
    score = float(weights[best] / weights.sum())
    return [Event(item.classes[best], score)] if score >= item.threshold else []


def _raw(item: RawOutput, outputs: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    return _tensor(outputs, item.tensor, None)


def _tensor(
    outputs: Mapping[str, NDArray[np.float32]], name: str, shape: tuple[int | None, ...] | None
) -> NDArray[np.float32]:
    if name not in outputs:
        raise ModelError(
            f"the model gave no output '{name}' (it gave {', '.join(sorted(outputs)) or 'none'})",
            "use the io.yaml that belongs to this graph",
        )
    tensor = np.ascontiguousarray(outputs[name], np.float32)
    if shape is not None and not _fits(tensor.shape, shape):
        wanted = ["any" if size is None else size for size in shape]
        raise ModelError(
            f"output '{name}' has the shape {list(tensor.shape)}, but io.yaml asks for {wanted}",
            "use the io.yaml that belongs to this graph",
        )
    if not np.isfinite(tensor).all():
        raise ModelError(f"output '{name}' holds values that are not finite", "check the model and its quantization")
    return tensor


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(w is None or s == w for s, w in zip(shape, wanted, strict=True))


def _clip(value: float, high: float) -> float:
    return min(max(value, 0.0), high)
