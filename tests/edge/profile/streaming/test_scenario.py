"""The scenario `stream` on a small bundle: short runs in real time, and what is made of roads that are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.profile.contents import STAGES, Profile
from edge.profile.sample_rule import SamplingConfig
from edge.profile.streaming.scenario import profile_stream, run_length_s, span_excerpt
from edge.run_engine import RunEngine, open_engine
from edge.runtime.bundle import Bundle
from edge.runtime.errors import ConfigError, DataError, ModelError
from edge.runtime.rig import Rig
from edge.runtime.sample import Sample
from edge.runtime.simulate.rig import street_rig
from edge.runtime.sources.simulator import SimulatorSource
from edge.runtime.statistics import WarmUp
from edge.runtime.trace.road_recorder import FIELDS, Roads
from tests.edge.profile.synthetic import QUICK

LENGTH_S, SETTLE_S = 2.0, 0.5


class Street:
    """The simulated street, with another rate of the lidar in its rig."""

    description = "street"

    def __init__(self, lidar_hz: float = 10.0, streams: tuple[str, ...] = ("camera", "lidar", "audio")) -> None:
        self._street = SimulatorSource(seed=1, duration_s=LENGTH_S + SETTLE_S)
        rig = self._street.rig
        lidar = rig.stream("lidar").model_copy(update={"rate_hz": lidar_hz})
        self.rig: Rig = rig.model_copy(update={"streams": {**rig.streams, "lidar": lidar}})
        self._streams = streams

    def samples(self) -> Iterator[Sample]:
        return (sample for sample in self._street.samples() if sample.stream in self._streams)


class Broken:
    """Fails from the third call on."""

    name = "broken"
    runs = 0

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        self.runs += 1
        if self.runs > 2:
            raise ModelError("out of memory", "free some")
        events = np.zeros((1, 2), np.float32)
        return {"objects": np.zeros((1, 3, 4, 13), np.float32), "distance": np.zeros((1, 1, 4, 13), np.float32)} | {
            "events": events
        }


@pytest.fixture
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


def streamed(bundle: Bundle, source: Street, rule: SamplingConfig, warm_up: WarmUp = QUICK) -> Profile:
    return profile_stream(bundle, source, open_engine(bundle), rule, settle_s=SETTLE_S, warm_up=warm_up)


def test_what_a_run_is_made_of(bundle: Bundle) -> None:
    found = streamed(bundle, Street(), SamplingConfig(duration_s=LENGTH_S))
    assert found.scenario == "stream" and found.subject.digest == bundle.id
    assert 10 <= found.latency_ms.distribution.n <= 21  # 20 sweeps, less those at the ends and those that gave way
    assert found.latency_ms.distribution.p50 is not None and found.latency_ms.distribution.p50 > 0
    assert tuple(found.stages_ms) == tuple(name for name in STAGES if name != "transfer")  # the CPU moves nothing
    arrival = found.stages_ms["arrival"].distribution.p50
    assert arrival is not None and 70 < arrival < 100  # half a turn of 100 ms, and 30 ms of transport
    assert found.age_ms.keys() == {"camera", "lidar", "audio", "result"}
    assert found.asked_hz == 10 and found.delivered_hz == pytest.approx(10, rel=0.1)
    assert found.energy is None or found.energy.millijoules > 0
    assert found.memory_peak_mib is not None and found.memory_peak_mib > 20
    assert {span.name for span in found.spans} <= set(STAGES)
    assert {span.track for span in found.spans} == {"camera", "lidar", "audio", "matching", "inference"}
    assert "results are too few for p99" in "\n".join(found.notes).replace("p90 (takes 29) and p99", "p99")
    assert found.latency_ms.distribution.p99 is None and "p99" not in found.latency_ms.intervals
    assert Profile.model_validate(found.to_json()) == found


def test_a_source_slower_than_its_rig_says_is_told(bundle: Bundle) -> None:
    found = streamed(bundle, Street(lidar_hz=20.0), SamplingConfig(duration_s=LENGTH_S))
    assert found.asked_hz == 20 and found.delivered_hz is not None and found.delivered_hz < 12
    assert [note for note in found.notes if note.startswith("The source is slower than the scenario")] != []


def test_fewer_results_than_the_percentile_needs_are_an_error(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="p99 needs at least 299 samples"):
        streamed(bundle, Street(), SamplingConfig(duration_s=1.0, percentile="p99"))


def test_a_source_without_what_the_model_reads_is_an_error(bundle: Bundle) -> None:
    with pytest.raises(DataError, match="no result after the first"):
        streamed(bundle, Street(streams=()), SamplingConfig(duration_s=1.0))


def test_a_broken_engine_is_an_error_and_no_profile(bundle: Bundle) -> None:
    engine = RunEngine(Broken(), "asked for")
    with pytest.raises(ModelError, match="out of memory"):
        profile_stream(bundle, Street(), engine, SamplingConfig(duration_s=LENGTH_S), warm_up=WarmUp(1, 0.05, 1, 1.0))


@pytest.mark.parametrize(
    ("rule", "length_s"),
    [
        (SamplingConfig(), 32.0),
        (SamplingConfig(duration_s=7.0), 9.0),
        (SamplingConfig(samples=98), 12.0),
        (SamplingConfig(samples=98, duration_s=7.0), 9.0),
    ],
)
def test_how_long_a_source_must_deliver(rule: SamplingConfig, length_s: float) -> None:
    assert run_length_s(rule, street_rig()) == pytest.approx(length_s)


@pytest.mark.parametrize(("results", "most", "kept"), [(400, 90, 10), (5, 90, 5), (0, 90, 0), (30, 1, 1)])
def test_the_excerpt_is_of_the_last_whole_results(results: int, most: int, kept: int) -> None:
    number = np.arange(results, dtype=np.int64)
    fields = {name: number * 1000 + i for i, name in enumerate(FIELDS)} | {"number": number}
    stamps = np.stack([number * 1000 - 50] * 3, axis=1)
    spans = span_excerpt(Roads(("a", "b", "c"), fields, stamps, stamps + 20, 0), most)
    assert len({span.number for span in spans}) == kept and len(spans) <= max(most, 9)
    if results:
        assert max(span.number or 0 for span in spans) == results - 1
        assert min(span.start_us for span in spans) == 0
