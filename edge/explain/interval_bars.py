"""Bars with the intervals of their recordings, drawn like the other charts of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.report import svg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.explain.recording_draws import Quantity


def interval_chart(values: Mapping[str, Quantity], name: str, unit: str) -> str:
    """Horizontal bars as an SVG, in the order given.

    Args:
        values: By label.
        name: Unique on the page.
        unit: Of the values.
    """
    labels = list(values)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        heights = [values[label].value for label in labels]
        axes.barh(range(len(labels)), heights, color=[svg.LAST if v >= 0 else svg.BAD for v in heights], height=0.6)
        for at, label in enumerate(labels):
            interval = values[label].interval
            if interval is not None:
                axes.plot([interval.low, interval.high], [at, at], color=svg.INK, linewidth=1.6, solid_capstyle="butt")
        axes.set_yticks(range(len(labels)), labels)
        axes.invert_yaxis()
        axes.axvline(0, color=svg.GRID)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(unit)

    spoken = ", ".join(f"{label} {values[label].value:.1f}" for label in labels)
    return svg.themed_svg(draw, (9.6, 0.8 + 0.36 * len(labels)), name, f"Bars in {unit}: {spoken}.")
