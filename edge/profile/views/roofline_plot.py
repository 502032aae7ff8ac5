"""Layers against the ceilings of a device: what arithmetic and memory would allow at most.

Williams, Waterman and Patterson, *Roofline: an insightful visual performance model for multicore architectures*, 2009.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edge.profile.views.layer_bars import PRECISION_COLOURS, PRECISION_WORDS, add_precision_legend
from edge.report import svg
from edge.report.log_axis import put_ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.devices.profile import DeviceProfile
    from edge.profile.contents import LayerTime

NUMBERED = 5
_OPERATIONS = 2  # of a multiply-accumulate, as devices' peaks count


class RooflinePoint(NamedTuple):
    """A layer in the plane.

    Attributes:
        layer: Of which the work, the traffic and the time are known.
        intensity: Operations for each byte that it moves.
        giga: 1e9 operations a second that it reached.
    """

    layer: LayerTime
    intensity: float
    giga: float


class Ceilings(NamedTuple):
    """What a device could do at most, in 1e9 a second.

    Attributes:
        operations: By precision; those that somebody published.
        bytes: Of its memory.
    """

    operations: dict[str, float]
    bytes: float


def ceilings_of(device: DeviceProfile | None) -> Ceilings | None:
    """Published peaks; None of a host, whose profile stands for a class of machines and not for this one."""
    if device is None or device.kind == "cpu":
        return None
    peak = {"int8": device.peak.int8_tops, "fp16": device.peak.fp16_tflops, "fp32": device.peak.fp32_tflops}
    known = {precision: tera * 1e3 for precision, tera in peak.items() if tera is not None}
    return Ceilings(known, device.memory.bandwidth_gb_s) if known else None


def points_of(layers: Sequence[LayerTime]) -> list[RooflinePoint]:
    """Those layers whose MACs, bytes and time are known and not nothing, the slowest first."""
    return [
        RooflinePoint(layer, _OPERATIONS * layer.macs / layer.bytes, _OPERATIONS * layer.macs / layer.ms / 1e6)
        for layer in sorted(layers, key=lambda layer: -layer.ms)
        if layer.macs and layer.bytes and layer.ms > 0
    ]


def draw_roofline(points: Sequence[RooflinePoint], ceilings: Ceilings | None, ranks: Sequence[str]) -> str:
    """Draws the points, those of the slowest layers numbered as in the bars; empty without points.

    Args:
        points: The slowest first.
        ceilings: None draws none.
        ranks: Number of each point's layer in the bars; empty for one that has none.
    """
    if not points:
        return ""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        low, high = _shown_range([p.intensity for p in points], _ridges(ceilings))
        if ceilings is not None:
            _draw_ceilings(axes, ceilings, low, high)
        slowest = max(p.layer.ms for p in points)
        for point, rank in zip(points, ranks, strict=True):
            size = 20 + 160 * point.layer.ms / slowest
            axes.scatter([point.intensity], [point.giga], s=size, color=_colour(point), alpha=0.85, linewidths=0)
            if rank:
                axes.annotate(rank, (point.intensity, point.giga), xytext=(7, 5), textcoords="offset points")
        _scale(axes, low, high, [p.giga for p in points], ceilings)
        add_precision_legend(figure, {p.layer.precision for p in points})

    return svg.themed_svg(draw, (9.6, 4.2), "roofline", _spoken(points, ceilings))


def _draw_ceilings(axes: Any, ceilings: Ceilings, low: float, high: float) -> None:
    highest = max(ceilings.operations.values())
    axes.plot([low, highest / ceilings.bytes], [low * ceilings.bytes, highest], color=svg.INK, linewidth=1.4)
    for precision, giga in ceilings.operations.items():
        ridge = max(giga / ceilings.bytes, low)
        colour = PRECISION_COLOURS[precision]
        axes.plot([ridge, high], [giga, giga], color=colour, linewidth=1.8, linestyle="--")
        words = f"{PRECISION_WORDS[precision]}  {giga / 1e3:.3g} T"
        axes.annotate(words, (high, giga), xytext=(-4, 3), textcoords="offset points", ha="right", fontsize=10)
    words = f"memory {ceilings.bytes:.4g} GB/s"
    axes.annotate(words, (low, low * ceilings.bytes), xytext=(6, -2), textcoords="offset points", va="top", fontsize=10)


def _ridges(ceilings: Ceilings | None) -> list[float]:
    return [] if ceilings is None else [giga / ceilings.bytes for giga in ceilings.operations.values()]


def _shown_range(values: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    return min(*values, *others, values[0]) * 0.5, max(*values, *others, values[0]) * 3


def _scale(axes: Any, low: float, high: float, reached: Sequence[float], ceilings: Ceilings | None) -> None:
    tops = [] if ceilings is None else list(ceilings.operations.values())
    bottom, top = _shown_range(reached, tops)
    for name, first, last in (("x", low, high), ("y", bottom, top)):
        getattr(axes, f"set_{name}scale")("log")
        getattr(axes, f"set_{name}lim")(first, last)
        put_ticks(getattr(axes, f"{name}axis"), first, last)
    axes.set_xlabel("operations for each byte moved")
    axes.set_ylabel("1e9 operations a second")


def _colour(point: RooflinePoint) -> str:
    return PRECISION_COLOURS[point.layer.precision]


def _spoken(points: Sequence[RooflinePoint], ceilings: Ceilings | None) -> str:
    best = max(points, key=lambda point: point.giga)
    told = f"{len(points)} layers by operations a byte and operations a second; the most is {best.giga:.3g}e9 a second."
    if ceilings is None:
        return told + " No ceilings."
    tops = ", ".join(f"{PRECISION_WORDS[p]} {giga:.4g}e9" for p, giga in ceilings.operations.items())
    return f"{told} Ceilings: {tops} operations, memory {ceilings.bytes:.4g}e9 bytes a second."
