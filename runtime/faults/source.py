"""A source with faults in it."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from edge.runtime.errors import FaultError
from edge.runtime.faults.base import ALL, random_words
from edge.runtime.faults.grammar import check_streams

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.runtime.faults.base import Fault, Injector
    from edge.runtime.rig import Rig
    from edge.runtime.sample import Sample
    from edge.runtime.sources.base import Source


class FaultySource:
    """Breaks another source on purpose; a `Source`.

    What comes out is a function of what goes in, of the faults and of the seed. The order in which faults are listed
    does not matter: they work in that of a sample's way from the sensor to the host (payload, stamp, losses and
    copies, delays), each with a random stream of its own on each stream. Samples stay in the order of arrival; where
    two arrive at once, the one that left the source first comes first. Only delayed samples are held, each until its
    arrival.

    Args:
        source: The healthy source.
        faults: What goes wrong, and when.
        seed: Of all random streams, not negative.

    Attributes:
        source: The healthy source.
        faults: What goes wrong.
        seed: Of all random streams.

    Raises:
        FaultError: A fault's stream is unknown, a fault is given twice, or the seed is negative.
    """

    def __init__(self, source: Source, faults: Sequence[Fault], seed: int = 0) -> None:
        if seed < 0:
            raise FaultError(f"faults cannot be drawn by the seed {seed}", "use 0 or above")
        check_streams(faults, source.rig.streams)
        self.source, self.faults, self.seed = source, tuple(faults), seed
        self._origin_ns: int | None = None
        self._last_ns: int | None = None
        self._injectors: dict[str, list[Injector]] = {}

    @property
    def description(self) -> str:
        """One line for the report: the source, and what is wrong with it."""
        if not self.faults:
            return self.source.description
        injected = ", ".join(str(fault) for fault in self.faults)
        return f"{self.source.description}; faults injected (seed {self.seed}): {injected}"

    @property
    def rig(self) -> Rig:
        """The sensors of the source, as they should be."""
        return self.source.rig

    @property
    def hits(self) -> dict[str, int]:
        """Samples that each fault has hit in the last run over `samples`, by the fault's text."""
        counts = {str(fault): 0 for fault in self.faults}
        for injectors in self._injectors.values():
            for injector in injectors:
                counts[str(injector.fault)] += injector.hits
        return counts

    @property
    def recoverable_ns(self) -> int | None:
        """Arrival from which on results can be complete again; None where a fault lasts, or no sample has come."""
        ends = [fault.recoverable_ns for fault in self.faults]
        lasting = [end for end in ends if end is None]
        if self._origin_ns is None or lasting or not ends:
            return None
        return self._origin_ns + max(end for end in ends if end is not None)

    @property
    def last_arrival_ns(self) -> int | None:
        """When the newest sample came, or would have come had nothing been wrong; None before the first."""
        return self._last_ns

    def samples(self) -> Iterator[Sample]:
        """All samples that are left, in the order of their arrival; each call begins anew.

        Raises:
            SourceError: The recording is missing, truncated or malformed.
        """
        self._origin_ns, self._last_ns, self._injectors = None, None, {}
        held: list[tuple[int, int, Sample]] = []
        number = arrival_ns = 0
        for sample in self.source.samples():
            self._last_ns = arrival_ns = sample.arrival_ns
            for altered in self._inject(sample):
                heapq.heappush(held, (altered.arrival_ns, number, altered))
                number += 1
            while held and held[0][0] <= arrival_ns:
                yield heapq.heappop(held)[2]
        for sample in self._remaining(arrival_ns):
            heapq.heappush(held, (sample.arrival_ns, number, sample))
            number += 1
        while held:
            yield heapq.heappop(held)[2]

    def _inject(self, sample: Sample) -> list[Sample]:
        if self._origin_ns is None:
            self._origin_ns = sample.arrival_ns
        injectors = self._injectors.get(sample.stream)
        if injectors is None:
            injectors = self._injectors[sample.stream] = self._injectors_of(sample.stream, self._origin_ns)
        altered = [sample]
        for injector in injectors:
            altered = injector.inject(altered, sample.arrival_ns)
        return altered

    def _injectors_of(self, stream: str, origin_ns: int) -> list[Injector]:
        here = [fault for fault in self.faults if fault.stream in (ALL, stream)]
        here.sort(key=lambda fault: (fault.order, str(fault)))
        return [fault.injector(origin_ns, random_words(self.seed, fault, stream)) for fault in here]

    def _remaining(self, arrival_ns: int) -> Iterator[Sample]:
        """What still waits for its turn; nothing delays it any further, for changing turns is the last of all."""
        for injectors in self._injectors.values():
            for injector in injectors:
                yield from injector.remaining(arrival_ns)
