"""The benchmark of the live view: kinds of blocks in turns, and a verdict that says when it cannot tell."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("live_view")
    sys.modules.pop("live_view", None)


def test_every_kind_gets_as_many_blocks_and_the_view_only_its_own(benchmark: Any) -> None:
    shown: list[int] = []
    view = SimpleNamespace(show=lambda _inference, result: shown.append(result.seq))
    blocks = benchmark.Blocks(view, seed=1)
    results = 3 * 10 * benchmark.BLOCK
    for seq in range(results):
        inference = SimpleNamespace(times=(1_000_000, 2_000_000, 0, None))
        blocks.note(inference, SimpleNamespace(seq=seq, ages_ms={"camera": 5.0, "lidar": 7.0}))
    assert [len(rows) for rows in blocks.taken.values()] == [10, 10, 10]
    assert len(shown) == results // 3 == len(blocks.handed_ns)
    kept = sum(len(values) for kind in benchmark.KINDS for values in blocks.values(kind, 0))
    assert kept == (30 - benchmark.COLD_BLOCKS) * (benchmark.BLOCK - benchmark.CARRIED)
    assert {v for values in blocks.values("with", 0) for v in values} == {3.0}
    assert {v for values in blocks.values("with", 1) for v in values} == {7.0}


def test_a_ratio_holds_what_was_put_in(benchmark: Any) -> None:
    random = np.random.default_rng(0)
    base = [random.gamma(30, 1, 18) for _ in range(60)]
    slower = [1.2 * random.gamma(30, 1, 18) for _ in range(60)]
    same = benchmark.ratio(base, base, 0.99, 0)
    assert same["ratio"] == 1 and same["interval"][0] <= 1 <= same["interval"][1]
    low, high = benchmark.ratio(slower, base, 0.99, 0)["interval"]
    assert low <= 1.2 <= high and low > 1


@pytest.mark.parametrize(
    ("interval", "says"), [((0.9, 1.04), "within"), ((0.9, 1.2), "undecided"), ((1.06, 1.2), "beyond")]
)
def test_an_interval_that_holds_the_limit_decides_nothing(
    benchmark: Any, interval: tuple[float, float], says: str
) -> None:
    assert benchmark.verdict(*interval) == says


def test_the_repeated_street_goes_on_with_fresh_stamps(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "RENDERED_S", 1)
    street = benchmark.RepeatedStreet(3)
    samples, count = street.samples(), len(street._samples)
    found = [next(samples) for _ in range(3 * count)]
    for stream in street.rig.streams:
        stamps = [s.stamp_ns for s in found if s.stream == stream]
        assert stamps == sorted(set(stamps)), stream
    assert found[count].payload is found[0].payload and found[count].seq > found[0].seq
