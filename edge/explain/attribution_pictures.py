"""Attributions as pictures: a modality's tensor in grey, what speaks for the answer and what against it in colour."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.report import svg
from edge.runtime.capabilities import require_module
from edge.runtime.model_io import ImageInput, LidarViewInput, LogMelInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from edge.runtime.model_io import SensorInput

_SHOWN_PIXELS = 240  # of the longer side, at least
_BRIGHTEST = 0.99  # quantile of magnitudes that has the full colour
_FOR, _AGAINST = (0.04, 0.48, 0.46), (0.70, 0.15, 0.12)
_GREYS = (0.25, 0.95)


def overlay_png(item: ImageInput | LidarViewInput | LogMelInput, x: Tensor, part: Tensor) -> bytes:
    """PNG bytes of one sample.

    Args:
        item: What the tensor is.
        x: `[C, H, W]`, as the model gets it.
        part: Attributions, alike; channels are added up.

    Raises:
        MissingDependencyError: matplotlib is absent.
    """
    require_module("matplotlib")
    from matplotlib.image import imsave

    grey, parts = _backdrop(item, x), part.sum(0).double().numpy()
    if isinstance(item, LogMelInput):
        grey, parts = grey[::-1], parts[::-1]  # low frequencies at the bottom
    strength = np.clip(np.abs(parts) / max(float(np.quantile(np.abs(parts), _BRIGHTEST)), 1e-12), 0.0, 1.0)[..., None]
    colour = np.where(parts[..., None] >= 0, _FOR, _AGAINST)
    mixed = (1 - strength) * grey[..., None] + strength * colour
    zoom = max(1, -(-_SHOWN_PIXELS // max(mixed.shape[:2])))
    buffer = BytesIO()
    imsave(buffer, np.kron(mixed, np.ones((zoom, zoom, 1))), format="png")
    return buffer.getvalue()


def field_bars(fields: Mapping[str, float], name: str) -> str:
    """What each field of a table or series adds to the answer, as an SVG, the largest first.

    Args:
        fields: Parts in logits.
        name: Unique on the page.
    """
    order = sorted(fields, key=lambda field: -abs(fields[field]))

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        values = [fields[field] for field in order]
        axes.barh(range(len(order)), values, color=[svg.LAST if v >= 0 else svg.BAD for v in values], height=0.7)
        axes.set_yticks(range(len(order)), order)
        axes.invert_yaxis()
        axes.axvline(0, color=svg.GRID)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("adds to the answer, logits")

    spoken = ", ".join(f"{field} {fields[field]:+.2f}" for field in order)
    return svg.themed_svg(draw, (4.6, 0.5 + 0.28 * len(order)), name, f"Parts by field: {spoken}.")


def is_drawn(item: SensorInput) -> bool:
    """Whether attributions of such a tensor are a picture."""
    return isinstance(item, ImageInput | LidarViewInput | LogMelInput)


def _backdrop(item: ImageInput | LidarViewInput | LogMelInput, x: Tensor) -> NDArray[np.float64]:
    """`[H, W]` in greys: the mean of a picture's channels, the depth of a lidar view, a log-mel as it is."""
    plane = x[0] if isinstance(item, LidarViewInput | LogMelInput) else x.mean(0)
    values = plane.double().numpy()
    low, high = (float(np.quantile(values, q)) for q in (0.02, 0.98))
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0.0, 1.0)
    return np.asarray(_GREYS[0] + (_GREYS[1] - _GREYS[0]) * scaled)
