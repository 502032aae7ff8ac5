"""Logarithmic axes with round numbers on them, in plain digits."""

from __future__ import annotations

import math
from typing import Any


def millisecond_axis(axes: Any, low: float, high: float) -> None:
    """Makes the x axis of matplotlib's `axes` logarithmic, in milliseconds from `low` to `high`."""
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    put_ticks(axes.xaxis, low, high)
    axes.set_xlabel("milliseconds, logarithmic")


def put_ticks(axis: Any, low: float, high: float) -> None:
    """Round numbers between `low` and `high` on a logarithmic axis, and no others."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    axis.set_ticks(_round_ticks(low, high))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.0f}" if tick >= 1000 else f"{tick:.3g}"))


def _round_ticks(low: float, high: float) -> list[float]:
    """About four to eight round numbers between `low` and `high`."""
    from matplotlib.ticker import MaxNLocator

    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        ticks = [step * 10.0**decade for decade in decades for step in steps]
        shown = [tick for tick in ticks if low <= tick <= high]
        if len(shown) >= 4:
            return shown[:: math.ceil(len(shown) / 9)]
    return [float(tick) for tick in MaxNLocator(6).tick_values(low, high) if low <= tick <= high]
