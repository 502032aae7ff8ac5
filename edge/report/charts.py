"""The charts of a report: scores by modality state, and latencies of the first and the last stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge.report import svg
from edge.report.contents import SCORE, StageReport, states_of
from edge.report.log_axis import millisecond_axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_BINS = 60


def score_chart(stages: Sequence[StageReport]) -> str:
    """Bars of the score, grouped by state, a bar for each stage."""
    states = states_of(stages)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        width = 0.8 / len(stages)
        places = np.arange(len(states))
        for number, stage in enumerate(stages):
            shift = (number - (len(stages) - 1) / 2) * width
            heights = [stage.metrics.get(state, {}).get(SCORE, 0.0) for state in states]
            axes.bar(places + shift, heights, width * 0.86, label=stage.name, color=_bar_colour(number, len(stages)))
        axes.set_xticks(places, [state.replace("_", " ") for state in states])
        axes.set_ylabel("score, points")
        axes.set_ylim(0, 100)
        axes.grid(visible=False, axis="x")
        axes.spines["left"].set_visible(False)
        figure.legend(ncols=len(stages), loc="outside upper left", handlelength=1, handleheight=0.8)

    alt = "Bars of the score by modality state. " + " ".join(_spoken_scores(stage) for stage in stages)
    return svg.themed_svg(draw, (9.6, 3.3), "scores", alt)


def latency_chart(first: NDArray[np.floating], last: NDArray[np.floating], names: tuple[str, str]) -> str:
    """Histogram and cumulative share of two sets of latencies in milliseconds, on one logarithmic axis."""
    low, high = _shown_range(first, last)

    def draw(figure: Any) -> None:
        histogram, cumulative = figure.subplots(1, 2)
        edges = np.geomspace(low, high, _BINS + 1)
        for values, name, colour in ((first, names[0], svg.FIRST), (last, names[1], svg.LAST)):
            weights = np.full(len(values), 100 / len(values))
            histogram.hist(values, edges, weights=weights, color=colour, alpha=0.75, label=name)
            cumulative.plot(np.sort(values), _cumulative(len(values)), color=colour, linewidth=2)
        histogram.set_title("How often")
        histogram.set_ylabel("% of inferences")
        cumulative.set_title("How many are done within")
        cumulative.set_ylim(0, 101)
        for axes in (histogram, cumulative):
            millisecond_axis(axes, low, high)
        figure.legend(*histogram.get_legend_handles_labels(), ncols=2, loc="outside upper left", handlelength=1)

    spoken = (f"{n}: median {np.median(v):.2f} ms" for n, v in zip(names, (first, last), strict=True))
    alt = f"Histogram and cumulative distribution of inference latency. {'; '.join(spoken)}."
    return svg.themed_svg(draw, (9.6, 3.3), "latency", alt)


def _bar_colour(number: int, count: int) -> str:
    """The first and the last stage have colours of their own, the same as in the latency chart."""
    if number == 0:
        return svg.FIRST
    return svg.LAST if number == count - 1 else svg.BETWEEN[(number - 1) % len(svg.BETWEEN)]


def _spoken_scores(stage: StageReport) -> str:
    return f"{stage.name}: " + ", ".join(f"{s} {m[SCORE]:.1f}" for s, m in stage.metrics.items()) + "."


def _shown_range(first: NDArray[np.floating], last: NDArray[np.floating]) -> tuple[float, float]:
    """All but the slowest half percent of each side, so that one outlier does not flatten the rest."""
    low = min(float(first.min()), float(last.min()))
    high = max(float(np.quantile(first, 0.995)), float(np.quantile(last, 0.995)))
    return low * 0.95, max(high, low * 1.2) * 1.05


def _cumulative(n: int) -> NDArray[np.float64]:
    return np.asarray(np.arange(1, n + 1) * (100.0 / n))
