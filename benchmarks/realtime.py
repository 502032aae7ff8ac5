"""What real-time settings do to jitter: how late a thread wakes up, and how long its inference takes, under load.

    python benchmarks/realtime.py [--rounds 10] [--ticks 300] [--period-ms 10] [--out results/realtime.json]

One thread wakes up at fixed times, as the inference thread does when a set is due, and runs an engine (ONNX Runtime,
one thread, four convolutions). `late` is from the time that was due to the time that it ran, `engine` is the inference
alone, `done` is from the time that was due to the end of the inference; `missed` are times that were over, by a whole
period, before it was ready for them.

Sides, in turns of some seconds, in drawn order: `ordinary`; `priority` is SCHED_FIFO; `and core` also leaves the first
core to others and locks memory; `and switch` also lowers Python's switch interval to 0.5 ms. Loads: `none`, which is
whatever else the machine does; `busy`, one process of pure arithmetic for each core, at the benchmark's own niceness;
`python thread`, a thread of the same process that computes in Python and so holds the interpreter's lock, which no
priority takes away. What the kernel did not permit is in `refused`: that side is then no other than `ordinary`.
Reported of all turns of a side: percentiles that their number supports, and the 95 % interval of p99 by order
statistics, which takes samples as independent; the medians of the turns show how far they are not.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from results import write_result

from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.machine_state.reading import read_machine_state
from edge.runtime.realtime.applying import RealtimeScope
from edge.runtime.realtime.settings import RealtimeConfig
from edge.runtime.statistics import Distribution, paused_collector, percentile_interval

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Turn = dict[str, NDArray[np.float64]]

MS, US = 1_000_000, 1_000
PRIORITY = 50
SWITCH_MS = 0.5
FIGURES = {"late": US, "engine": MS, "done": MS}  # with the nanoseconds of their unit
INPUT = {"image": np.random.default_rng(1).normal(size=(1, 16, 96, 96)).astype(np.float32)}


def main() -> int:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--ticks", type=int, default=300)
    parser.add_argument("--period-ms", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "realtime.json")
    arguments = parser.parse_args()
    period_ns = round(arguments.period_ms * MS)
    loads = {}
    for name, load in (("none", nullcontext), ("busy", busy_processes), ("python thread", busy_thread)):
        with load():
            loads[name] = measure(arguments.rounds, arguments.ticks, period_ns)
        show(name, loads[name])
    write_result(arguments.out, {**described(arguments), "loads": loads})
    return 0


def described(arguments: argparse.Namespace) -> dict[str, Any]:
    """How it was measured."""
    return {
        **{name: getattr(arguments, name) for name in ("rounds", "ticks", "period_ms")},
        "priority": PRIORITY,
        "switch_interval_ms": SWITCH_MS,
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "machine": read_machine_state(threads={"engine": 1}).model_dump(mode="json"),
    }


def measure(rounds: int, ticks: int, period_ns: int, seed: int = 0) -> dict[str, Any]:
    """All sides in turns; of each its figures and what was refused."""
    draw = np.random.default_rng(seed)
    taken: dict[str, list[Turn]] = {name: [] for name in sides()}
    refused: dict[str, list[str]] = {}
    with paused_collector():
        for _ in range(rounds):
            for name in draw.permutation(list(taken)):
                turn, refused[name] = take_turn(sides()[name], ticks, period_ns)
                taken[name].append(turn)
    return {name: {**summary(turns), "refused": refused[name]} for name, turns in taken.items()}


def sides() -> dict[str, RealtimeConfig]:
    """Settings by name; on a single core there is none to leave to others."""
    cores = sorted(os.sched_getaffinity(0))
    apart = {"capture_cores": cores[:1] if len(cores) > 1 else (), "lock_memory": True}
    return {
        "ordinary": RealtimeConfig(required=False),
        "priority": RealtimeConfig(priority=PRIORITY, required=False),
        "and core": RealtimeConfig(priority=PRIORITY, required=False, engine_threads=1, **apart),
        "and switch": RealtimeConfig(
            priority=PRIORITY, required=False, engine_threads=1, switch_interval_ms=SWITCH_MS, **apart
        ),
    }


def take_turn(config: RealtimeConfig, ticks: int, period_ns: int) -> tuple[Turn, list[str]]:
    """Nanoseconds of each tick by figure, on a thread with the settings."""
    with RealtimeScope(config) as scope:
        return scope.made(lambda: tick(ticks, period_ns)), scope.notes


def tick(ticks: int, period_ns: int) -> Turn:
    """Wakes up and infers at fixed times; those that are over before it could, it skips, as the latest set wins."""
    engine = OnnxRuntimeEngine(graph())
    for _ in range(5):
        engine.run(INPUT)
    times = np.zeros((ticks, 3), np.int64)
    start = time.monotonic_ns()
    missed, due = 0, start
    for number in range(ticks):
        skipped = (time.monotonic_ns() - due) // period_ns
        missed, due = missed + skipped, due + (skipped + 1) * period_ns
        if (left := due - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)
        woken = time.monotonic_ns()
        engine.run(INPUT)
        times[number] = due, woken, time.monotonic_ns()
    due_ns, woken_ns, done_ns = times.T.astype(np.float64)
    return {
        "late": woken_ns - due_ns,
        "engine": done_ns - woken_ns,
        "done": done_ns - due_ns,
        "missed": np.array([missed], np.float64),
    }


def summary(turns: list[Turn]) -> dict[str, Any]:
    """What was missed, percentiles over all turns, the interval of p99, and the range of the turns' own medians."""
    missed = sum(float(turn["missed"][0]) for turn in turns)
    found: dict[str, Any] = {"missed_share": missed / (missed + sum(len(turn["late"]) for turn in turns))}
    for figure, unit in FIGURES.items():
        values = np.concatenate([turn[figure] for turn in turns]) / unit
        medians = [float(np.median(turn[figure])) / unit for turn in turns]
        found[f"{figure}_{'us' if unit == US else 'ms'}"] = {
            **Distribution.of(values).to_json(),
            "p99_interval": percentile_interval(values, 0.99),
            "medians_of_turns": [min(medians), max(medians)],
        }
    return found


def show(load: str, sides_found: dict[str, Any]) -> None:
    """Prints a load's figures."""
    for name, found in sides_found.items():
        print(f"{load:13} {name:18} missed     {found['missed_share']:.1%}")
        for figure, values in ((key, value) for key, value in found.items() if isinstance(value, dict)):
            told = "  ".join(f"{key} {values[key]:.3g}" for key in ("p50", "p99", "p99.9", "max") if values[key])
            print(f"{load:13} {name:18} {figure:10} {told}")
        for line in found["refused"]:
            print(f"{load:13} {name:18} {line}")


@contextmanager
def busy_thread() -> Iterator[None]:
    """A thread of this process that does nothing but arithmetic."""
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(number * number for number in range(1000))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def busy_processes() -> Iterator[None]:
    """A process for each core that does nothing but arithmetic."""
    with ExitStack() as stack:
        for _ in os.sched_getaffinity(0):
            process = multiprocessing.get_context("spawn").Process(target=spin, args=(os.getpid(),), daemon=True)
            process.start()
            stack.callback(process.join)
            stack.callback(process.kill)
        yield


def spin(parent: int) -> None:
    """Computes for as long as its parent lives."""
    total = 0
    while os.getppid() == parent:
        for number in range(1_000_000):
            total ^= number * number


def graph() -> bytes:
    """Four convolutions of 3x3, 16 channels, on 96x96: some milliseconds of one core."""
    random = np.random.default_rng(0)
    weights = [random.normal(size=(16, 16, 3, 3)).astype(np.float32) / 12 for _ in range(4)]
    nodes = [
        helper.make_node("Conv", [f"x{n}" if n else "image", f"w{n}"], [f"x{n + 1}"], pads=[1, 1, 1, 1])
        for n in range(len(weights))
    ]
    shape = list(INPUT["image"].shape)
    image, out = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "x4"))
    constants = [numpy_helper.from_array(weight, f"w{n}") for n, weight in enumerate(weights)]
    body = helper.make_graph(nodes, "four", [image], [out], constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


if __name__ == "__main__":
    sys.exit(main())
