"""A run's levels and states over time, as strips of the page: widths in per cent and words for who cannot see them."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.report.contents import RuntimeReport, TimelineSegment

_MOST_SPOKEN = 12


class Span(NamedTuple):
    """One stretch of a strip: what it shows, its share of the width, and when it was."""

    shown: str
    share: float
    from_s: float
    to_s: float


class Strips(NamedTuple):
    """Two strips over one axis.

    Attributes:
        levels: By level.
        states: By modality state.
        seconds: Length of the axis.
        spoken: What the strip of levels shows, in words.
    """

    levels: tuple[Span, ...]
    states: tuple[Span, ...]
    seconds: float
    spoken: str


def strips_of(run: RuntimeReport) -> Strips | None:
    """The strips of a run, or None where it has no timeline."""
    if not run.timeline:
        return None
    seconds = run.timeline[-1].to_s
    levels = _spans(((segment.level, segment) for segment in run.timeline), seconds)
    states = _spans(((segment.state, segment) for segment in run.timeline), seconds)
    return Strips(levels, states, seconds, _spoken(levels))


def _spans(shown: Iterable[tuple[str, TimelineSegment]], seconds: float) -> tuple[Span, ...]:
    spans = []
    for what, group in groupby(shown, key=lambda pair: pair[0]):
        segments = [segment for _, segment in group]
        begin, end = segments[0].from_s, segments[-1].to_s
        spans.append(Span(what, (end - begin) / seconds, begin, end))
    return tuple(spans)


def _spoken(levels: Sequence[Span]) -> str:
    words = [f"{span.shown} until {span.to_s:.4g} s" for span in levels[:_MOST_SPOKEN]]
    more = len(levels) - len(words)
    return ", ".join(words) + (f" and {more} more changes" if more else "")
