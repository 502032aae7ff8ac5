"""Several sources as one."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from edge.runtime.errors import SourceError
from edge.runtime.rig import Rig, Stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.runtime.sample import Sample
    from edge.runtime.sources.base import Source


class MergedSource:
    """Merges sources in the order of arrival; a `Source`.

    Samples that arrive at the same time come in the order of the sources. The rig has all streams; the anchor is
    that of the first source with a camera or a lidar, the budget the longest, `deskew` the first that is given.

    Args:
        sources: At least one; their arrivals are on the same time axis.

    Raises:
        SourceError: There is none, or two of them have a stream of the same name.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        if not sources:
            raise SourceError("there is no source to read", "name at least one, say sim")
        self._sources = tuple(sources)
        self._rig = _merged([source.rig for source in sources])

    @property
    def description(self) -> str:
        """One line for the report."""
        return "; ".join(source.description for source in self._sources)

    @property
    def sources(self) -> tuple[Source, ...]:
        """What was merged."""
        return self._sources

    @property
    def rig(self) -> Rig:
        """All sensors."""
        return self._rig

    def samples(self) -> Iterator[Sample]:
        """All samples, in the order of their arrival; one of each source is held at a time."""
        return heapq.merge(*(source.samples() for source in self._sources), key=lambda sample: sample.arrival_ns)


def _merged(rigs: list[Rig]) -> Rig:
    streams: dict[str, Stream] = {}
    for rig in rigs:
        twice = sorted(streams.keys() & rig.streams.keys())
        if twice:
            raise SourceError(f"two sources have a stream '{twice[0]}'", "rename one of them or leave it out")
        streams |= rig.streams
    return Rig(
        schema=1,
        name="+".join(rig.name for rig in rigs),
        anchor=next(filter(_sees, rigs), rigs[0]).anchor,
        budget_ms=max(rig.budget_ms for rig in rigs),
        streams=streams,
        deskew=next((rig.deskew for rig in rigs if rig.deskew), None),
    )


def _sees(rig: Rig) -> bool:
    return any(stream.kind in {"camera", "lidar"} for stream in rig.streams.values())
