"""One fused moment as a picture: camera, lidar points by depth, detections, and the audio window below."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.runtime.capabilities import require_module

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.report.figures import FusedFrame
    from edge.runtime.result import Detection

_WIDTH_PX = 1280
_DPI = 100
_LABEL_SHARE = 0.08  # of the picture's height that a label takes
_DEPTH_SHOWN_M = (2.0, 80.0)
_BOX_COLOURS = ("#ffd23f", "#3ddbd9", "#ff7eb6", "#a6e22e", "#ff832b", "#be95ff")


def frame_png(frame: FusedFrame) -> bytes:
    """The frame as PNG bytes, 1280 pixels wide.

    Raises:
        MissingDependencyError: matplotlib is absent.
    """
    matplotlib = require_module("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = frame.image.shape[:2]
    with matplotlib.rc_context({"font.family": "sans-serif"}):
        figure = Figure(figsize=(_WIDTH_PX / _DPI, _WIDTH_PX / _DPI * height / width), dpi=_DPI)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        _draw_camera(axes, frame.image)
        _draw_points(axes, frame.points_px, frame.depth_m)
        for detection in frame.detections:
            _draw_detection(axes, detection, _colour_of(detection, frame))
        return _png(figure)


def logmel_png(logmel: NDArray[np.floating]) -> bytes:
    """A spectrogram as PNG bytes, low frequencies at the bottom; one cell of the input is several pixels."""
    matplotlib = require_module("matplotlib")
    low, high = np.quantile(logmel, (0.02, 0.998))
    span = max(float(high - low), 1e-9)
    scaled = np.clip((logmel[::-1] - low) / span, 0, 1)
    buffer = BytesIO()
    colours = matplotlib.colormaps["magma"](np.kron(scaled, np.ones((3, 6))))
    from matplotlib.image import imsave

    imsave(buffer, colours, format="png")
    return buffer.getvalue()


def data_uri(png: bytes) -> str:
    """PNG bytes as a `data:` address, so that the page needs no other file."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _png(figure: Any) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def _draw_camera(axes: Any, image: NDArray[np.uint8]) -> None:
    height, width = image.shape[:2]
    axes.imshow(image, interpolation="bilinear", aspect="auto")
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_axis_off()


def _draw_points(axes: Any, points_px: NDArray[np.floating], depth_m: NDArray[np.floating]) -> None:
    from matplotlib.colors import LogNorm

    far_first = np.argsort(-depth_m)
    axes.scatter(
        points_px[far_first, 0],
        points_px[far_first, 1],
        c=depth_m[far_first],
        s=5,
        cmap="turbo_r",
        norm=LogNorm(*_DEPTH_SHOWN_M, clip=True),
        linewidths=0,
        alpha=0.75,
    )


def _colour_of(detection: Detection, frame: FusedFrame) -> str:
    classes = sorted({d.class_name for d in frame.detections})
    return _BOX_COLOURS[classes.index(detection.class_name) % len(_BOX_COLOURS)]


def _draw_detection(axes: Any, detection: Detection, colour: str) -> None:
    from matplotlib.patches import Rectangle

    left, top, right, bottom = (edge - 0.5 for edge in detection.box_px)  # edges; pixel centres at integers
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=2.2))
    height = axes.get_ylim()[0]
    above = top > _LABEL_SHARE * height  # at the picture's upper edge the label goes inside the box
    axes.text(
        left,
        top - 3 if above else max(top, 0.0) + 3,
        f"{detection.class_name} {detection.distance_m:.1f} m",
        color="#111",
        fontsize=10,
        va="bottom" if above else "top",
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 2.0, "alpha": 0.92},
        clip_on=True,
    )
