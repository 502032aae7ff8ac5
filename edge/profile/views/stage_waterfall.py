"""The road of a sample as a waterfall: each stage begins where the one before ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.profile.contents import STAGES
from edge.profile.views.wording import shortened, stage_words
from edge.report import svg
from edge.report.page_templates import milliseconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.profile.contents import Measured

STAGE_COLOURS = dict(
    zip(STAGES, (svg.FIRST, svg.BETWEEN[0], svg.BETWEEN[1], svg.WARN, svg.OLD, svg.LAST, svg.ACCENT), strict=True)
)
_ROW_INCHES = 0.42
_NAME_LENGTH = 28


def draw_waterfall(stages: Mapping[str, Measured]) -> str:
    """Bars of means, which add up; empty where no stage has a mean.

    Args:
        stages: By name; those of `STAGES` are drawn in that order, others after them.
    """
    order = [name for name in STAGES if name in stages] + [name for name in stages if name not in STAGES]
    means = {name: mean for name in order if (mean := stages[name].mean) is not None}
    if not means:
        return ""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        begin, total = 0.0, sum(means.values())
        for row, (name, mean) in enumerate(means.items()):
            axes.barh(row, mean, 0.62, left=begin, color=STAGE_COLOURS.get(name, svg.BETWEEN[1]))
            axes.text(begin + mean + 0.008 * total, row, f"{milliseconds(mean)} ms", va="center", fontsize=10)
            begin += mean
        axes.set_yticks(range(len(means)), [shortened(stage_words(name), _NAME_LENGTH) for name in means])
        axes.invert_yaxis()
        axes.set_xlim(0, max(total * 1.12, 1e-6))
        axes.set_xlabel("milliseconds, mean")
        axes.grid(visible=False, axis="y")

    spoken = ", ".join(f"{stage_words(name)} {milliseconds(mean)} ms" for name, mean in means.items())
    size = (9.6, 0.9 + _ROW_INCHES * len(means))
    return svg.themed_svg(draw, size, "stage-waterfall", f"Mean time of each stage, one after the other: {spoken}.")
