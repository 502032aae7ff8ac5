"""Several sources as one: order, ties, rigs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.runtime.errors import SourceError
from edge.runtime.rig import Rig, Stream
from edge.runtime.sample import Reading, Sample
from edge.runtime.sources.base import Source
from edge.runtime.sources.merge import MergedSource
from edge.runtime.sources.simulator import SimulatorSource

PAYLOAD = Reading(np.zeros(1, np.float32), ("x",))


class ListSource:
    """Samples with the given arrivals."""

    def __init__(self, stream: str, arrivals: Sequence[int], kind: str = "table", budget_ms: float = 60.0) -> None:
        self.description = f"list of {stream}"
        extra = {"sample_rate_hz": 16_000} if kind == "audio" else {}
        streams = {stream: Stream.model_validate({"kind": kind, "rate_hz": 10.0, **extra})}
        self.rig = Rig(schema=1, name=stream, anchor=stream, budget_ms=budget_ms, streams=streams)
        self.given = 0
        self._stream, self._arrivals = stream, arrivals

    def samples(self) -> Iterator[Sample]:
        for seq, arrival in enumerate(self._arrivals):
            self.given += 1
            yield Sample(self._stream, arrival - 5, arrival, seq, PAYLOAD)


@given(st.lists(st.lists(st.integers(0, 50)).map(sorted), min_size=1, max_size=4))
def test_samples_come_by_arrival_and_ties_by_source(arrivals: list[list[int]]) -> None:
    sources: list[Source] = [ListSource(str(at), times) for at, times in enumerate(arrivals)]
    merged = [(s.arrival_ns, int(s.stream), s.seq) for s in MergedSource(sources).samples()]
    assert merged == sorted((time, at, seq) for at, times in enumerate(arrivals) for seq, time in enumerate(times))


def test_samples_are_asked_for_one_at_a_time() -> None:
    sources = [ListSource("a", range(0, 1000, 2)), ListSource("b", range(1, 1000, 2))]
    samples = MergedSource(sources).samples()
    for _ in range(10):
        next(samples)
    assert max(source.given for source in sources) <= 6


def test_the_rigs_become_one() -> None:
    sources = [ListSource("sound", [], "audio", 90.0), ListSource("roof", [], "lidar"), ListSource("top", [], "lidar")]
    merged = MergedSource(sources)
    assert list(merged.rig.streams) == ["sound", "roof", "top"]
    assert merged.rig.stream("roof") == sources[1].rig.stream("roof")
    assert (merged.rig.anchor, merged.rig.budget_ms, merged.rig.name) == ("roof", 90.0, "sound+roof+top")
    assert merged.description == "list of sound; list of roof; list of top"


def test_without_camera_and_lidar_the_first_source_is_the_anchor() -> None:
    assert MergedSource([ListSource("left", []), ListSource("right", [])]).rig.anchor == "left"


def test_the_simulators_samples_stay_the_same_beside_others() -> None:
    simulator = SimulatorSource(seed=1, duration_s=0.3)
    merged = MergedSource([simulator, ListSource("gauge", [0, 10**8])])
    alone = [(s.stream, s.seq, s.stamp_ns) for s in simulator.samples()]
    assert [(s.stream, s.seq, s.stamp_ns) for s in merged.samples() if s.stream != "gauge"] == alone


def test_a_stream_may_be_in_one_source_only() -> None:
    with pytest.raises(SourceError, match="two sources have a stream 'a'"):
        MergedSource([ListSource("a", []), ListSource("b", []), ListSource("a", [])])


def test_there_must_be_a_source() -> None:
    with pytest.raises(SourceError, match="no source"):
        MergedSource([])
