"""What a viewer shows around the samples: frames and lenses of the rig, and detections in the image and in space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.capabilities import require_module
from edge.runtime.clock import NS_PER_MS
from edge.runtime.sinks.mcap_payloads import foxglove_class, serialized, timestamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.runtime.result import Detection, FusedResult
    from edge.runtime.rig import Distortion, Intrinsics, Rig

BASE_FRAME = "base"
MARKER_M = 0.6
_COLOR = {"r": 0.1, "g": 0.9, "b": 0.3, "a": 0.9}
_LINE_LOOP = 2  # PointsAnnotation.LINE_LOOP
_DELETE_ALL = 1  # SceneEntityDeletion.ALL
# Our names of the distortion models, as Foxglove and ROS call them, with the number of coefficients they take.
_MODELS = {
    "none": ("plumb_bob", 5),
    "plumb_bob": ("plumb_bob", 5),
    "rational": ("rational_polynomial", 8),
    "fisheye": ("kannala_brandt", 4),
}


def encode_transforms(rig: Rig, stamp_ns: int) -> bytes:
    """Where each sensor's frame lies in the base frame: `foxglove.FrameTransforms`."""
    transforms = []
    for name, stream in rig.streams.items():
        T = np.asarray(stream.T_base_from_sensor, np.float64)
        transforms.append(
            foxglove_class("FrameTransform")(
                timestamp=timestamp(stamp_ns),
                parent_frame_id=BASE_FRAME,
                child_frame_id=name,
                translation=foxglove_class("Vector3")(**dict(zip("xyz", map(float, T[:3, 3]), strict=True))),
                rotation=foxglove_class("Quaternion")(**dict(zip("wxyz", quaternion(T[:3, :3]), strict=True))),
            )
        )
    return serialized(foxglove_class("FrameTransforms")(transforms=transforms))


def quaternion(R: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """w, x, y, z of a rotation matrix: the eigenvector of Bar-Itzhack (2000), which also bears rounded matrices."""
    (a, b, c), (d, e, f), (g, h, i) = R.tolist()
    K = np.array(
        [
            [a - e - i, 0, 0, 0],
            [d + b, e - a - i, 0, 0],
            [g + c, h + f, i - a - e, 0],
            [h - f, c - g, d - b, a + e + i],
        ]
    )
    x, y, z, w = np.linalg.eigh(K / 3)[1][:, -1].tolist()
    sign = -1.0 if w < 0 else 1.0
    return sign * w, sign * x, sign * y, sign * z


def encode_calibration(stream: str, lens: Intrinsics, stamp_ns: int) -> bytes:
    """A camera's intrinsics: `foxglove.CameraCalibration`."""
    model, coefficients = _distortion(lens.distortion)
    K = [lens.fx, 0.0, lens.cx, 0.0, lens.fy, lens.cy, 0.0, 0.0, 1.0]
    message = foxglove_class("CameraCalibration")(
        timestamp=timestamp(stamp_ns),
        frame_id=stream,
        width=lens.width,
        height=lens.height,
        distortion_model=model,
        D=coefficients,
        K=K,
        R=np.eye(3).ravel().tolist(),
        P=[*K[:3], 0.0, *K[3:6], 0.0, *K[6:], 0.0],
    )
    return serialized(message)


def _distortion(distortion: Distortion) -> tuple[str, list[float]]:
    model, count = _MODELS[distortion.model]
    given = list(distortion.coefficients)
    return model, given + [0.0] * (count - len(given))


def encode_annotations(result: FusedResult, stamp_ns: int) -> bytes:
    """Boxes and labels over the camera's image: `foxglove.ImageAnnotations`.

    Args:
        result: Its boxes are in source pixels counted from the image's corner, as Foxglove's are.
        stamp_ns: The image's stamp, by which viewers find the image that they belong to.
    """
    found = result.decoded.detections
    message = foxglove_class("ImageAnnotations")(
        points=[_outline(detection, stamp_ns) for detection in found],
        texts=[_label(detection, stamp_ns) for detection in found],
    )
    return serialized(message)


def _color() -> Any:
    return foxglove_class("Color")(**_COLOR)


def _words(detection: Detection) -> str:
    return f"{detection.class_name} {detection.score:.2f} {detection.distance_m:.1f} m"


def _outline(detection: Detection, stamp_ns: int) -> Any:
    left, top, right, bottom = detection.box_px
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    return foxglove_class("PointsAnnotation")(
        timestamp=timestamp(stamp_ns),
        type=_LINE_LOOP,
        points=[foxglove_class("Point2")(x=x, y=y) for x, y in corners],
        outline_color=_color(),
        thickness=2.0,
    )


def _label(detection: Detection, stamp_ns: int) -> Any:
    return foxglove_class("TextAnnotation")(
        timestamp=timestamp(stamp_ns),
        position=foxglove_class("Point2")(x=detection.box_px[0], y=detection.box_px[1]),
        text=_words(detection),
        font_size=14.0,
        text_color=_color(),
        background_color=foxglove_class("Color")(a=0.6),
    )


def encode_scene(result: FusedResult) -> bytes:
    """A marker and a label at each detection's place, in place of those before: `foxglove.SceneUpdate`."""
    clear = foxglove_class("SceneEntityDeletion")(timestamp=timestamp(result.stamp_ns), type=_DELETE_ALL)
    entities = [_entity(f"{n}", d, result.stamp_ns) for n, d in enumerate(result.decoded.detections)]
    return serialized(foxglove_class("SceneUpdate")(deletions=[clear], entities=entities))


def _entity(name: str, detection: Detection, stamp_ns: int) -> Any:
    x, y, z = detection.xyz_m
    here = _pose(x, y, z)
    size = foxglove_class("Vector3")(x=MARKER_M, y=MARKER_M, z=MARKER_M)
    return foxglove_class("SceneEntity")(
        timestamp=timestamp(stamp_ns),
        frame_id=detection.frame,
        id=name,
        lifetime=require_module("google.protobuf.duration_pb2").Duration(seconds=1),
        spheres=[foxglove_class("SpherePrimitive")(pose=here, size=size, color=_color())],
        texts=[
            foxglove_class("TextPrimitive")(
                pose=_pose(x, y, z + MARKER_M),
                billboard=True,
                font_size=14.0,
                scale_invariant=True,
                color=_color(),
                text=_words(detection),
            )
        ],
    )


def _pose(x: float, y: float, z: float) -> Any:
    return foxglove_class("Pose")(
        position=foxglove_class("Vector3")(x=x, y=y, z=z), orientation=foxglove_class("Quaternion")(w=1.0)
    )


def ready_ns(result: FusedResult, anchor: str, otherwise_ns: int) -> int:
    """When a result was ready, on the axis of arrivals: its stamp there, plus the age of the anchor's sample."""
    if anchor in result.ages_ms and anchor not in result.held:
        return result.stamp_ns + round(result.ages_ms[anchor] * NS_PER_MS)
    return otherwise_ns
