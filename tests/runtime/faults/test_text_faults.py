"""Faults of text: what a source is broken by never passes the sanity gate."""

from __future__ import annotations

import numpy as np
import pytest

from edge.runtime.faults import FaultySource, parse_fault
from edge.runtime.faults.payloads import emptied, resized
from edge.runtime.sample import Series, Text
from edge.runtime.sanity.gate import SanityGate
from tests.runtime.text_bundle import PlantSource, text_rig


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("report:nan@2s+5s", "unreadable"),
        ("report:nan@2s+5s,share=.4", "unreadable"),
        ("report:empty@2s+5s", "empty"),
        ("report:wrong-size@2s+5s", "wrong_size"),
    ],
)
def test_a_broken_text_is_refused_and_others_are_not(fault: str, reason: str) -> None:
    source, gate = FaultySource(PlantSource(10), [parse_fault(fault)]), SanityGate(text_rig())
    first = next(iter(PlantSource(10).samples())).arrival_ns
    for sample in source.samples():
        hit = sample.stream == "report" and 2 <= (sample.arrival_ns - first) / 1e9 < 7
        assert gate.refusal(sample) == (reason if hit else "")
    assert source.hits == {str(parse_fault(fault)): 5}


def test_the_same_seed_loses_the_same_letters() -> None:
    runs = [
        [s.payload for s in FaultySource(PlantSource(6), [parse_fault("report:nan@0s,share=.3")], seed=4).samples()]
        for _ in range(2)
    ]
    texts = [[one.text for one in run if isinstance(one, Text)] for run in runs]
    assert texts[0] == texts[1]
    assert any("\0" in text and text.strip("\0") for text in texts[0])


def test_a_frozen_text_comes_again_and_is_no_fault_of_its_own() -> None:
    samples = FaultySource(PlantSource(6), [parse_fault("report:frozen@1s")]).samples()
    texts = [s.payload.text for s in samples if isinstance(s.payload, Text)]
    assert len(texts) == 6 and len(set(texts[2:])) == 1


def test_a_series_is_broken_as_a_reading_is() -> None:
    series = Series(np.ones((4, 2), np.float32), ("a", "b"))
    assert emptied(series).values.shape == (0, 2)  # type: ignore[union-attr]
    assert resized(series).values.shape == (4, 1)  # type: ignore[union-attr]
