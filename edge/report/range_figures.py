"""A tensor's histogram as a small inline SVG: magnitudes on a logarithmic axis, the ceiling, and what it clips."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from edge.calibration.observers import EDGES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.calibration.tensor_range import TensorRange

WIDTH, HEIGHT = 420, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 6, 6, 20, 20
_OCTAVES = 10  # below the largest magnitude; what is smaller stands in the first bar
_PER_OCTAVE = 8


def range_svg(found: TensorRange, ceiling: float, name: str) -> str:
    """Draws one histogram; heights are the shares' square roots, so that a thin tail can be seen.

    Args:
        found: What was seen.
        ceiling: Magnitude of the largest INT8 level.
        name: Of the tensor, for whoever cannot see the figure.
    """
    largest = found.histogram.largest
    clipped = found.histogram.share_above(ceiling)
    alt = f"Histogram of {name}: ceiling {ceiling:.3g}, largest {largest:.3g}, {clipped:.2%} clipped."
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(alt, quote=True)}">'
    if largest <= 0:
        return f"{head}{_text(WIDTH / 2, HEIGHT / 2, 'zero everywhere', 'middle')}</svg>"
    end = max(math.ceil(_PER_OCTAVE * math.log2(max(largest, ceiling))) / _PER_OCTAVE + 1 / _PER_OCTAVE, -126)
    edges = 2.0 ** np.linspace(end - _OCTAVES, end, _OCTAVES * _PER_OCTAVE + 1)
    heights = np.sqrt(_shares(found, edges))
    inside, outside = _bars(heights, edges, ceiling if clipped else float(edges[-1]))
    line = _x(ceiling, edges)
    parts = [
        f'<path d="{inside}" fill="var(--last)"/>',
        f'<path d="{outside}" fill="var(--bad)"/>',
        f'<path d="M{line:.1f} {_TOP - 8}V{HEIGHT - _BOTTOM}" stroke="var(--ink)" stroke-width="1.5"/>',
        _text(line - 5, _TOP - 2, f"{ceiling:.3g}", "end", "var(--ink)"),
        f'<path d="M{_LEFT} {HEIGHT - _BOTTOM}H{WIDTH - _RIGHT}" stroke="var(--line)"/>',
        *(_text(_x(tick, edges), HEIGHT - 5, f"{tick:g}", "middle") for tick in _ticks(edges)),
    ]
    return head + "".join(parts) + "</svg>"


def _shares(found: TensorRange, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the values in each bar; zeros are left out, the report has them as a number."""
    counts = found.histogram.counts.astype(np.float64)
    counts[0] = 0
    middles = (EDGES[:-1] + np.minimum(EDGES[1:], np.finfo(np.float32).max)) / 2
    places = np.clip(np.searchsorted(edges, middles, side="right") - 1, 0, len(edges) - 2)
    summed = np.bincount(places, counts, len(edges) - 1)
    return np.asarray(summed / max(float(summed.sum()), 1.0))


def _bars(heights: NDArray[np.float64], edges: NDArray[np.float64], ceiling: float) -> tuple[str, str]:
    """Paths of the bars below and above the ceiling; the bar that it cuts is in both."""
    paths = {False: "", True: ""}
    room = HEIGHT - _TOP - _BOTTOM
    for height, low, high in zip(heights / max(heights.max(), 1e-9), edges[:-1], edges[1:], strict=True):
        for above, first, last in ((False, low, min(high, ceiling)), (True, max(low, ceiling), high)):
            if height > 0 and last > first:
                left, right, tall = _x(first, edges), _x(last, edges), max(height * room, 1.0)
                paths[above] += f"M{left:.1f} {HEIGHT - _BOTTOM}v{-tall:.1f}h{right - left:.1f}v{tall:.1f}z"
    return paths[False], paths[True]


def _x(magnitude: float, edges: NDArray[np.float64]) -> float:
    low, high = math.log2(edges[0]), math.log2(edges[-1])
    place = (math.log2(max(magnitude, float(edges[0]))) - low) / (high - low)
    return _LEFT + min(place, 1.0) * (WIDTH - _LEFT - _RIGHT)


def _ticks(edges: NDArray[np.float64]) -> list[float]:
    decades = range(math.ceil(math.log10(edges[0] * 1.2)), math.floor(math.log10(edges[-1] / 1.2)) + 1)
    return [10.0**decade for decade in decades]


def _text(x: float, y: float, words: str, anchor: str, colour: str = "var(--muted)") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-size="11" fill="{colour}">{escape(words)}</text>'
