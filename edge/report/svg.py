"""Matplotlib figures as inline SVG that takes its colours and fonts from the page, light or dark."""

from __future__ import annotations

import re
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

from edge.runtime.capabilities import require_module

if TYPE_CHECKING:
    from collections.abc import Callable

# Drawn in colours that nothing else uses, then replaced by the page's variables.
INK = "#010101"
MUTED = "#020202"
GRID = "#030303"
FIRST = "#040404"
LAST = "#050505"
BETWEEN = ("#060606", "#070707")
WARN = "#080808"
OLD = "#090909"
BAD = "#0a0a0a"
ACCENT = "#0b0b0b"
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    FIRST: "var(--first)",
    LAST: "var(--last)",
    BETWEEN[0]: "var(--between)",
    BETWEEN[1]: "var(--between-2)",
    WARN: "var(--warn)",
    OLD: "var(--old)",
    BAD: "var(--bad)",
    ACCENT: "var(--accent)",
}
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.parse_math": False,  # names of tensors and layers are no formulas
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
}


def themed_svg(draw: Callable[[Any], None], size: tuple[float, float], name: str, alt: str) -> str:
    """Draws one figure and returns it as an `<svg>` element.

    Args:
        draw: Gets an empty matplotlib Figure and draws on it, with the colours of this module.
        size: Width and height in inches.
        name: Unique on the page; keeps the element ids of several figures apart, and the same from run to run.
        alt: What a reader who cannot see the figure should know.

    Raises:
        MissingDependencyError: matplotlib is absent.
    """
    matplotlib = require_module("matplotlib")
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_alpha(0)
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return _inline(buffer.getvalue(), alt)


def _inline(text: str, alt: str) -> str:
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    text = re.sub(r"font:\s*([\d.]+)px[^;\"]*", r"font-size: \1px", text)
    opening = re.sub(r' (?:width|height)="[\d.]+pt"', "", text[: text.index(">")])
    label = f' role="img" aria-label="{escape(alt, quote=True)}"'
    return opening + label + text[text.index(">") :]
