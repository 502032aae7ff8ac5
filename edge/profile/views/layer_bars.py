"""The slowest layers as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.profile.views.wording import shortened
from edge.report import svg
from edge.report.page_templates import milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.profile.contents import LayerTime

SHOWN = 20
PRECISION_COLOURS = {"int8": svg.LAST, "fp16": svg.BETWEEN[1], "fp32": svg.FIRST, None: svg.BETWEEN[0]}
PRECISION_WORDS = {"int8": "INT8", "fp16": "FP16", "fp32": "FP32", None: "precision not known"}
_NAME_LENGTH = 40


def draw_layers(layers: Sequence[LayerTime]) -> str:
    """Mean time of each, the slowest first, at most `SHOWN`; empty without layers. Colours are precisions."""
    slowest = sorted(layers, key=lambda layer: -layer.ms)[:SHOWN]
    if not slowest:
        return ""
    total = sum(layer.ms for layer in layers)

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        colours = [PRECISION_COLOURS[layer.precision] for layer in slowest]
        axes.barh(range(len(slowest)), [layer.ms for layer in slowest], 0.7, color=colours)
        for row, layer in enumerate(slowest):
            taken = f"{milliseconds(layer.ms)} ms" + (f", {layer.ms / total:.0%}" if total else "")
            axes.text(layer.ms + 0.006 * slowest[0].ms, row, taken, va="center", fontsize=9)
        names = [f"{shortened(layer.name, _NAME_LENGTH)}  {row}" for row, layer in enumerate(slowest, start=1)]
        axes.set_yticks(range(len(slowest)), names, fontsize=9)
        axes.set_ylim(len(slowest) - 0.4, -0.6)
        axes.set_xlim(0, max(slowest[0].ms * 1.2, 1e-6))
        axes.set_xlabel("milliseconds, mean of a run")
        axes.grid(visible=False, axis="y")
        add_precision_legend(figure, {layer.precision for layer in slowest})

    spoken = ", ".join(f"{shortened(layer.name, _NAME_LENGTH)} {milliseconds(layer.ms)} ms" for layer in slowest[:5])
    size = (9.6, 1.2 + 0.27 * len(slowest))
    return svg.themed_svg(draw, size, "layer-bars", f"Slowest of {len(layers)} layers: {spoken}.")


def add_precision_legend(figure: Any, found: set[Any]) -> None:
    """Says which colour is which precision."""
    from matplotlib.patches import Patch

    shown = [precision for precision in PRECISION_COLOURS if precision in found]
    patches = [Patch(color=PRECISION_COLOURS[p], label=PRECISION_WORDS[p]) for p in shown]
    figure.legend(handles=patches, ncols=len(patches), loc="outside upper left", handlelength=1, handleheight=0.8)
