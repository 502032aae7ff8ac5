"""The benchmark of real-time settings: what it counts as missed, and what it says of the turns."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MS = 1_000_000


@pytest.fixture(scope="module")
def realtime() -> Iterator[Any]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("realtime")
    finally:
        sys.path.remove(str(BENCHMARKS))


class Clock:
    """Time that moves when something sleeps or infers; a sleep ends so much too late."""

    def __init__(self, late_ns: int) -> None:
        self.now_ns, self._late_ns = 0, late_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9) + self._late_ns


def _ticked(realtime: Any, monkeypatch: pytest.MonkeyPatch, late_ms: int, engine_ms: list[int]) -> Any:
    clock, durations = Clock(late_ms * MS), iter([0] * 5 + engine_ms)

    def run(_inputs: object) -> None:
        clock.now_ns += next(durations) * MS

    monkeypatch.setattr(realtime, "time", clock)
    monkeypatch.setattr(realtime, "OnnxRuntimeEngine", lambda _graph: SimpleNamespace(run=run))
    return realtime.tick(len(engine_ms), 10 * MS)


def test_late_engine_and_done_are_told_apart(realtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = _ticked(realtime, monkeypatch, 1, [3, 3, 3])
    figures = {name: list(values / MS) for name, values in turn.items() if name != "missed"}
    assert figures == {"late": [1, 1, 1], "engine": [3, 3, 3], "done": [4, 4, 4]}
    assert turn["missed"] == 0


def test_times_that_were_over_are_missed_and_make_no_backlog(realtime: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = _ticked(realtime, monkeypatch, 0, [3, 38, 3, 3])
    assert turn["missed"] == 3
    assert list(turn["late"]) == [0, 0, 0, 0]
    found = realtime.summary([turn])
    assert found["missed_share"] == pytest.approx(3 / 7)
    assert found["engine_ms"]["max"] == 38
    assert found["engine_ms"]["p99"] is None  # four samples say nothing of it
    assert found["engine_ms"]["medians_of_turns"] == [3, 3]


def test_every_side_runs_for_real(realtime: Any) -> None:
    found = realtime.measure(1, 6, MS)
    assert list(found) == ["ordinary", "priority", "and core", "and switch"]
    assert all(side["engine_ms"]["p50"] > 0 and side["late_us"]["n"] == 6 for side in found.values())
    assert found["ordinary"]["refused"] == []
