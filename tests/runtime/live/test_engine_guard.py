"""A broken engine is let go of before a new one is made: a board may not have the memory for two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.runtime.bundle import Bundle
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.engines.tensorrt import RunnerConfig
from edge.runtime.errors import ModelError
from edge.runtime.fusion import Fusion
from edge.runtime.live.engine_guard import FAILURES, EngineGuard
from edge.runtime.live.runtime import Runtime
from edge.runtime.live_clock import ManualClock
from edge.runtime.sample import PointCloud, Sample
from edge.runtime.simulate.rig import street_rig
from edge.runtime.synchronize.synced import SyncedSet
from tests.runtime.engines.simulated_board import SimulatedBoard
from tests.runtime.engines.simulated_tensorrt import SCRATCH_BYTES, make_plan
from tests.runtime.live.test_runtime import MS, PATIENCE_S, recording

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.runtime.engines.tensorrt import TensorRTEngine


class Breaking:
    """An engine that works while `works` says so, and writes down what is done to it."""

    def __init__(self, name: str, works: Callable[[], bool], diary: list[str]) -> None:
        self.name, self._works, self._diary = name, works, diary

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        self._diary.append(f"{self.name} ran")
        if not self._works():
            raise ModelError(f"{self.name} is broken", "wait")
        objects = np.zeros((1, 3, 4, 13), np.float32)
        events = np.zeros((1, 2), np.float32)
        return {"objects": objects, "distance": np.zeros((1, 1, 4, 13), np.float32), "events": events}


class Closing(Breaking):
    """One that can be closed, but only once."""

    def close(self) -> None:
        self._diary.append(f"{self.name} closed")
        if self._diary.count(f"{self.name} closed") > 1:
            raise RuntimeError("closed twice")


@pytest.fixture
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


def a_set(k: int = 0) -> SyncedSet:
    points = np.tile(np.array([10, 1, k % 2, 0.5], np.float32), (50, 1))
    sample = Sample("lidar", k * 100 * MS, k * 100 * MS, k, PointCloud(points))
    stamp_ns = sample.stamp_ns
    return SyncedSet(k, stamp_ns, {"lidar": sample}, {"lidar": stamp_ns}, (), {}, stamp_ns, 0.0, False)


class Guarded:
    """A guard over engines that all break at once, on a clock of its own.

    Args:
        bundle: The model.
        make: Makes the engine of a name; the second and later ones may fail to be made.
    """

    def __init__(self, bundle: Bundle, make: Callable[[str, list[str]], Any]) -> None:
        self.diary: list[str] = []
        self.now_ns, self.fails_to_open, self._made = 0, 0, 0
        self._make = make
        fusion = Fusion(bundle, street_rig(), make("engine 0", self.diary))
        self.guard = EngineGuard(fusion, self._reopen, lambda: self.now_ns)

    def _reopen(self) -> Any:
        self._made += 1
        self.diary.append(f"opening {self._made}")
        if self._made <= self.fails_to_open:
            raise ModelError("no memory", "wait")
        return self._make(f"engine {self._made}", self.diary)

    def run(self, times: int) -> list[str]:
        """So many sets, a second apart; what was done meanwhile."""
        before = len(self.diary)
        for k in range(times):
            self.now_ns += 1000 * MS
            self.guard.run(a_set(k))
        return self.diary[before:]


def broken(kind: type[Breaking]) -> Callable[[str, list[str]], Breaking]:
    return lambda name, diary: kind(name, lambda: name != "engine 0", diary)


def test_the_old_engine_is_closed_before_the_new_one_is_made(bundle: Bundle) -> None:
    guarded = Guarded(bundle, broken(Closing))
    assert guarded.run(FAILURES) == ["engine 0 ran"] * FAILURES
    assert guarded.run(2) == ["engine 0 closed", "opening 1", "engine 1 ran", "engine 1 ran"]
    assert (guarded.guard.reopened, guarded.guard.failures) == (1, FAILURES)


def test_an_engine_without_close_is_left_alone(bundle: Bundle) -> None:
    guarded = Guarded(bundle, broken(Breaking))
    guarded.run(FAILURES)
    assert guarded.run(1) == ["opening 1", "engine 1 ran"]


def test_while_it_cannot_be_reopened_it_is_closed_once_and_never_run(bundle: Bundle) -> None:
    guarded = Guarded(bundle, broken(Closing))
    guarded.fails_to_open = 3
    guarded.run(FAILURES)
    assert guarded.run(4) == [
        "engine 0 closed",
        *[f"opening {i}" for i in range(1, 5)],
        "engine 4 ran",
    ]
    assert str(guarded.guard.last_error) == "no memory; wait"


def test_each_engine_that_breaks_is_closed(bundle: Bundle) -> None:
    guarded = Guarded(bundle, lambda name, diary: Closing(name, lambda: False, diary))
    guarded.run(FAILURES)
    assert guarded.run(2) == [
        *["engine 0 closed", "opening 1", "engine 1 ran"],
        *["engine 1 closed", "opening 2", "engine 2 ran"],
    ]


def test_what_closing_raises_stops_nothing(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn(Breaking):
        def close(self) -> None:
            raise OSError("the driver is gone")

    guarded = Guarded(bundle, broken(Stubborn))
    guarded.run(FAILURES)
    assert guarded.run(1) == ["opening 1", "engine 1 ran"]
    assert "the broken engine could not be closed" in caplog.text


def live(bundle: Bundle, engine: Any, reopen: Any = None, on_sweep: Callable[[int], None] | None = None) -> Any:
    """All results of a second and a half, one taken after each sweep, and what was counted."""
    clock, results = ManualClock(), []
    with Runtime(bundle, street_rig(), engine, reopen=reopen, clock=clock) as runtime:
        given = iter(runtime)
        for sample in recording(1.5):
            clock.move_to(sample.arrival_ns)
            runtime.push(sample)
            assert runtime.settle(PATIENCE_S)
            if sample.stream == "lidar":
                results.append(next(given))
                if on_sweep is not None:
                    on_sweep(sample.seq)
        return results, runtime.counts


def test_a_live_run_gives_the_same_on_the_board(bundle: Bundle, small_graph: bytes, no_leak: None) -> None:
    board = SimulatedBoard(integrated=True)
    with board.open(make_plan(small_graph), model_io=bundle.model_io) as engine:
        on_board, _ = live(bundle, engine)
    on_cpu, _ = live(bundle, OnnxRuntimeEngine(small_graph, model_io=bundle.model_io))
    assert [r.decoded for r in on_board] == [r.decoded for r in on_cpu]
    assert len(on_board) == 15 and all(r.valid for r in on_board)
    assert board.left_behind() == {}


def test_a_device_with_room_for_one_engine_recovers(bundle: Bundle, small_graph: bytes, no_leak: None) -> None:
    """Buffers on both sides: with the old engine still there a new one would not get its memory."""
    board = SimulatedBoard()
    opened: list[TensorRTEngine] = []

    def reopen() -> TensorRTEngine:
        config = RunnerConfig(memory="pinned", cuda_graph=False)
        opened.append(board.open(make_plan(small_graph), model_io=bundle.model_io, config=config))
        return opened[-1]

    first = reopen()
    board.cuda.memory_bytes = first.buffer_bytes // 2 + SCRATCH_BYTES + 64

    def fail_for_a_while(sweep: int) -> None:
        if sweep == 4:
            board.trt.refuses.add("execute_async_v3")
        if sweep == 7:
            board.trt.refuses.clear()

    results, counts = live(bundle, first, reopen, fail_for_a_while)
    valid = [r.valid for r in results]
    assert valid[:5] == [True] * 5
    assert valid[5:8] == [False] * 3
    assert valid[-1] and counts["engine:reopened"] == 1
    assert len(opened) == 2
    opened[-1].close()
    assert board.left_behind() == {}
