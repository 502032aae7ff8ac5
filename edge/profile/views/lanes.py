"""Which spans of a track can be drawn on one line, and which need another below."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.profile.contents import Span

_SAME_US = 1e-3  # clocks count nanoseconds


def lanes_of(spans: Iterable[Span], *, nested: bool) -> dict[str, list[list[Span]]]:
    """Spans by track and line, so that on a line none overlaps another: steps of two samples may run at a time.

    Args:
        spans: In any order.
        nested: Whether a span may lie within another on the same line, as trace viewers draw it.

    Returns:
        By track, in the order in which tracks first begin; each line in order of time.
    """
    tracks: dict[str, list[list[Span]]] = {}
    open_until: dict[str, list[list[float]]] = {}
    for span in sorted(spans, key=lambda s: (s.start_us, -s.duration_us)):
        lines = tracks.setdefault(span.track, [])
        stacks = open_until.setdefault(span.track, [])
        line = next((i for i, stack in enumerate(stacks) if _fits(span, stack, nested)), None)
        if line is None:
            line = len(lines)
            lines.append([])
            stacks.append([])
        lines[line].append(span)
        stacks[line].append(span.start_us + span.duration_us)
    return tracks


def _fits(span: Span, open_until: list[float], nested: bool) -> bool:
    """Whether it begins after what is still open, or lies within; what has ended is closed."""
    while open_until and open_until[-1] <= span.start_us + _SAME_US:
        open_until.pop()
    return not open_until or (nested and span.start_us + span.duration_us <= open_until[-1] + _SAME_US)
