"""A stretch of the timeline: a row for each stream or thread, a bar for each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edge.profile.contents import STAGES
from edge.profile.views.lanes import lanes_of
from edge.profile.views.stage_waterfall import STAGE_COLOURS
from edge.profile.views.wording import shortened, stage_words
from edge.report import svg
from edge.report.page_templates import milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.profile.contents import Span

MOST_SPANS = 96  # drawn: about a dozen results, for a bar that is one pixel says nothing; the trace has them all
MOST_LINES = 24
_US_PER_MS = 1e3
_NAME_LENGTH = 24


class Stretch(NamedTuple):
    """A figure and what it leaves out.

    Attributes:
        figure: SVG; empty where there are no spans.
        left_out: Spans that are not drawn.
    """

    figure: str
    left_out: int


def draw_timeline(spans: Sequence[Span]) -> Stretch:
    """Draws the first spans; steps of different samples that overlap have lines of their own."""
    first = sorted(spans, key=lambda span: span.start_us)[:MOST_SPANS]
    lines = [(track, line) for track, found in lanes_of(first, nested=False).items() for line in found][:MOST_LINES]
    drawn = [span for _, line in lines for span in line]
    if not drawn:
        return Stretch("", len(spans))

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        end_ms = max(span.start_us + span.duration_us for span in drawn) / _US_PER_MS
        for row, (_, line) in enumerate(lines):
            _draw_line(axes, row, line)
        named = [track if row == 0 or lines[row - 1][0] != track else "" for row, (track, _) in enumerate(lines)]
        axes.set_yticks(range(len(lines)), [shortened(stage_words(track), _NAME_LENGTH) for track in named])
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.set_xlim(min(0.0, min(span.start_us for span in drawn) / _US_PER_MS), max(end_ms, 1e-6))
        axes.set_xlabel("milliseconds from the first span")
        axes.grid(visible=False, axis="y")
        _legend(figure, {span.name for span in drawn})

    tracks = ", ".join(stage_words(track) for track in dict.fromkeys(track for track, _ in lines))
    length = milliseconds(max(span.start_us + span.duration_us for span in drawn) / _US_PER_MS)
    alt = f"Timeline of {len(drawn)} steps over {length} ms, by {tracks}."
    height = 1.1 + 0.3 * len(lines)
    return Stretch(svg.themed_svg(draw, (9.6, height), "span-timeline", alt), len(spans) - len(drawn))


def _draw_line(axes: Any, row: int, line: Sequence[Span]) -> None:
    bars = [(span.start_us / _US_PER_MS, span.duration_us / _US_PER_MS) for span in line]
    colours = [STAGE_COLOURS.get(span.name, svg.MUTED) for span in line]
    axes.broken_barh(bars, (row - 0.4, 0.8), facecolors=colours, edgecolors=colours, linewidths=0.6)


def _legend(figure: Any, names: set[str]) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=STAGE_COLOURS[name], label=stage_words(name)) for name in STAGES if name in names]
    if names - set(STAGES):
        patches.append(Patch(color=svg.MUTED, label="others"))
    figure.legend(handles=patches, ncols=len(patches), loc="outside upper left", handlelength=1, handleheight=0.8)
