"""What the figures of a report are drawn from; arrays, so that `report.json` stays small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.runtime.clock import NS_PER_MS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.runtime.result import Detection, Event
    from edge.runtime.statistics import Comparison


@dataclass(frozen=True, slots=True, eq=False)
class FusedFrame:
    """One moment as the model saw it.

    Attributes:
        image: Camera frame, uint8 RGB `[H, W, 3]`.
        points_px: Lidar points in the image, float `[N, 2]` u, v in its pixels.
        depth_m: Their optical depth, float `[N]`.
        detections: What the model found, boxes in pixels of `image`.
        events: What it heard.
        logmel: The audio window as the model got it, float `[mels, frames]`, or None.
        audio_window_s: Length of that window.
        caption: One sentence for the reader, e.g. where the frame is from.
    """

    image: NDArray[np.uint8]
    points_px: NDArray[np.floating]
    depth_m: NDArray[np.floating]
    detections: tuple[Detection, ...] = ()
    events: tuple[Event, ...] = ()
    logmel: NDArray[np.floating] | None = None
    audio_window_s: float | None = None
    caption: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ReportFigures:
    """Material for the figures; what is left out is left out of the page.

    Attributes:
        first_ms: Latencies of the first stage (teacher), float `[n]`, timed alternately with `last_ms`.
        last_ms: Latencies of the bundle.
        frames: Moments to show, the first one largest.
    """

    first_ms: NDArray[np.floating] | None = None
    last_ms: NDArray[np.floating] | None = None
    frames: tuple[FusedFrame, ...] = ()

    @classmethod
    def from_comparison(cls, comparison: Comparison, frames: tuple[FusedFrame, ...] = ()) -> ReportFigures:
        """Of `compare(bundle, teacher)`, whose A is the last stage and whose B is the first."""
        first, last = (side.samples_ns.ravel() / NS_PER_MS for side in (comparison.b, comparison.a))
        return cls(first, last, frames)
