"""The cumulative distribution of latencies, its tail stretched so that p99.9 can be read, with percentiles marked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from edge.profile.views.wording import SHARES, percentiles_of
from edge.report import svg
from edge.report.log_axis import millisecond_axis
from edge.report.page_templates import milliseconds

if TYPE_CHECKING:
    from edge.profile.contents import Measured
    from edge.profile.views.wording import Percentile

_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999)
_LEAST_MS = 1e-6  # a logarithmic axis has no place for 0


def draw_curve(measured: Measured) -> str:
    """The figure; empty where no curve was kept.

    The vertical axis is `-log10(1 - share)`: each nine takes as much room as the one before, as in
    HdrHistogram's plots. Percentiles are points of the line, so that it is true where the curve's points are far apart.
    """
    if not measured.curve:
        return ""
    n, marks = measured.distribution.n, [p for p in percentiles_of(measured) if p.value is not None]
    low, high = _shown_range(measured)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        line = sorted([*measured.curve, *((SHARES[m.name], m.value) for m in marks if m.value is not None)])
        heights = [_nines(share, n) for share, _ in line]
        axes.plot([max(ms, _LEAST_MS) for _, ms in line], heights, color=svg.LAST, linewidth=2)
        for mark in marks:
            _mark(axes, mark, n)
        axes.set_yticks([_nines(share, n) for share in _TICKS], [f"{100 * share:g} %" for share in _TICKS])
        axes.set_ylim(0, max(_nines(1.0, n), _nines(0.99, n)) * 1.08)
        axes.set_ylabel("done within")
        millisecond_axis(axes, low, high)

    return svg.themed_svg(draw, (9.6, 3.8), "latency-curve", _spoken(measured))


def _nines(share: float, n: int) -> float:
    """Height of a share; the largest of n stands where half a sample is left, for it has no end."""
    return -math.log10(max(1.0 - share, 0.5 / max(n, 1)))


def _shown_range(measured: Measured) -> tuple[float, float]:
    shown = [ms for _, ms in measured.curve] + [bound for pair in measured.intervals.values() for bound in pair]
    low = max(min(shown), _LEAST_MS)
    return low * 0.96, max(*shown, low * 1.1) * 1.06


def _mark(axes: Any, mark: Percentile, n: int) -> None:
    assert mark.value is not None, "only those that n supports are marked"
    at, height = max(mark.value, _LEAST_MS), _nines(SHARES[mark.name], n)
    if mark.interval is not None:
        low, high = (max(bound, _LEAST_MS) for bound in mark.interval)
        axes.plot([low, high], [height, height], color=svg.ACCENT, linewidth=5, alpha=0.45, solid_capstyle="butt")
    axes.plot([at], [height], "o", color=svg.ACCENT, markersize=6)
    words = f"{mark.name}  {milliseconds(mark.value)} ms"
    axes.annotate(words, (at, height), xytext=(9, -11), textcoords="offset points", color=svg.INK, fontsize=10)


def _spoken(measured: Measured) -> str:
    told = (f"{p.name} {milliseconds(p.value)} ms" for p in percentiles_of(measured) if p.value is not None)
    return f"Cumulative distribution of {measured.distribution.n} latencies: {', '.join(told) or 'too few to tell'}."
