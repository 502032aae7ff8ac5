"""What live pushing costs, and whom a slow consumer delays.

    python benchmarks/live.py [--rounds 400] [--out FILE]

`push`: `LiveSynchronizer.push` of samples that exist already, payload adopted: camera 30 Hz, lidar 10 Hz (the anchor),
sound 50 Hz, in the order of their stamps, one anchor period at a time; between two periods the thread falls asleep, so
that it is woken as often as sensors would wake it. `with` keeps the interpreter's lock for the push, `without` gives it
up around ring and wake; both run in turns. Beside: nothing; a thread that computes in Python; a consumer that keeps the
interpreter's lock for 50 ms at a time (it sleeps in C). us a push, mean, p50, p99, p99.9.

`driver`: the same from C++ without the interpreter's lock, at 2 kHz and as fast as it goes, with a consumer that takes
each set at once and with one that keeps the lock for 50 ms each time, in turns.

`usual` figures are medians of the turns' (of `push`: the periods') own, because other programs' turns on the processor
are in all the others; the bounds are on them.

`latency`: from the push of the last message of a set to the set in a waiting consumer's hands, in Python.

Exit code 3 where a bound is missed.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from results import write_result

from edge.runtime.live_clock import ManualClock
from edge.runtime.rig import Intrinsics, Rig, Stream
from edge.runtime.sample import AudioChunk, Image, PointCloud, Sample
from edge.runtime.statistics import Distribution, paused_collector
from edge.runtime.synchronize.live import LiveSynchronizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MS, US = 1_000_000, 1_000
BLOCK_US = 50_000
PERIOD_NS = 100 * MS
WINDOWS = {"audio": 1000 * MS}
# What must be reached.
PUSH_US, DRIVER_US, SLOWER, LATENCY_MS = 2.0, 1.0, 1.2, 1.0
_LIBC = ctypes.PyDLL(None)  # calls keep the interpreter's lock


def make_rig() -> Rig:
    """The declared side of the streams."""
    lens = Intrinsics(width=8, height=8, fx=8, fy=8, cx=4, cy=4)
    return Rig(
        schema=1,
        anchor="lidar",
        streams={
            "camera": Stream(kind="camera", rate_hz=30, stamp="end", transport_ms=15, intrinsics=lens),
            "lidar": Stream(kind="lidar", rate_hz=10, stamp="end", transport_ms=30),
            "audio": Stream(kind="audio", rate_hz=50, transport_ms=5, sample_rate_hz=16_000),
        },
    )


def one_period(at_ns: int) -> list[Sample]:
    """Nine samples in the order of their arrival; the sweep comes last."""
    frame, sweep = Image(np.zeros((8, 8, 3), np.uint8)), PointCloud(np.ones((8, 4), np.float32))
    sound = AudioChunk(np.zeros((1, 320), np.float32), 16_000)
    samples = [Sample("camera", at_ns + k * PERIOD_NS // 3, 0, k, frame) for k in range(3)]
    samples += [Sample("audio", at_ns + k * PERIOD_NS // 5, 0, k, sound) for k in range(5)]
    samples += [Sample("lidar", at_ns + 70 * MS, 0, 0, sweep)]
    delays = {"camera": 15 * MS, "audio": 25 * MS, "lidar": 30 * MS}
    arriving = [Sample(s.stream, s.stamp_ns, s.stamp_ns + delays[s.stream], s.seq, s.payload) for s in samples]
    return sorted(arriving, key=lambda s: s.arrival_ns)


@dataclass
class Pusher:
    """Pushes period after period into a synchronizer of its own; keeps the nanoseconds that each push took."""

    without_gil: bool
    clock: ManualClock = field(default_factory=ManualClock)
    periods_ns: list[list[int]] = field(default_factory=list)
    at_ns: int = 0

    def __post_init__(self) -> None:
        self.sync = LiveSynchronizer(make_rig(), make_rig().streams, WINDOWS, clock=self.clock)
        if self.without_gil:
            self.sync._push = self.sync._core.push_without_gil

    def run(self) -> None:
        """One period."""
        samples, push, now_ns = one_period(self.at_ns), self.sync.push, time.perf_counter_ns
        self.clock.move_to(samples[-1].arrival_ns)
        self.sync.settle()
        taken_ns = []
        for sample in samples:
            start = now_ns()
            push(sample)
            taken_ns.append(now_ns() - start)
        self.periods_ns.append(taken_ns)
        self.sync.settle()
        self.at_ns += PERIOD_NS


@contextmanager
def in_thread(work: Callable[[], object]) -> Iterator[None]:
    """Repeats `work` in a thread meanwhile."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def compute() -> None:
    """Python that never waits."""
    sum(k * k for k in range(2000))


def keep_the_lock() -> None:
    """50 ms with the interpreter's lock, then a moment without."""
    _LIBC.usleep(BLOCK_US)
    time.sleep(0.001)


def push_costs(beside: Callable[[], object] | None, rounds: int) -> dict[str, dict[str, Any]]:
    """Both ways of pushing in turns, beside something."""
    sides = {"with": Pusher(False), "without": Pusher(True)}
    draw = np.random.default_rng(0)

    def turns(count: int) -> None:
        for _ in range(count):
            for name in draw.permutation(list(sides)):
                sides[name].run()

    with paused_collector():
        turns(20)
        for side in sides.values():
            side.periods_ns.clear()
        if beside is None:
            turns(rounds)
        else:
            with in_thread(beside):
                turns(rounds)
    for side in sides.values():
        side.sync.close()
    return {name: of_turns(side.periods_ns) for name, side in sides.items()}


def figures(taken_ns: list[int], unit: float) -> dict[str, Any]:
    """Mean and percentiles."""
    return {"mean": float(np.mean(taken_ns)) / unit, **Distribution.of(taken_ns, unit).to_json()}


def of_turns(turns: list[list[int]]) -> dict[str, Any]:
    """Figures of all turns, in us, and the medians of the turns' own."""
    return {
        **figures([ns for turn in turns for ns in turn], US),
        "usual mean": float(np.median([np.mean(turn) for turn in turns])) / US,
        "usual p99": float(np.median([np.quantile(turn, 0.99) for turn in turns])) / US,
    }


def driver_costs(rounds: int, period_ns: int, count: int) -> dict[str, dict[str, Any]]:
    """A producer in C++ beside a consumer that takes sets at once, or keeps the lock for 50 ms each; in turns."""
    taken: dict[str, list[list[int]]] = {"quick": [], "blocking": []}
    rig, sample = make_rig(), one_period(0)[-1]
    with paused_collector():
        for _ in range(rounds):
            for name, turns in taken.items():
                with LiveSynchronizer(rig, ["lidar"], {}, policy="latest", ring=4096) as sync:

                    def consume(sync: LiveSynchronizer = sync, blocks: bool = name == "blocking") -> None:
                        for _ in sync:
                            if blocks:
                                _LIBC.usleep(BLOCK_US)

                    thread = threading.Thread(target=consume)
                    thread.start()
                    turns.append(sync._core.timed_pushes(0, count, period_ns, sample)[count // 10 :])
                    sync.close()
                    thread.join()
    return {name: of_turns(turns) for name, turns in taken.items()}


def latency(count: int) -> dict[str, Any]:
    """From a push to the set in the consumer's hands, ms."""
    found: list[int] = []
    with LiveSynchronizer(make_rig(), ["lidar"], {}, depth=8) as sync:

        def consume() -> None:
            for one in sync:
                found.append(time.monotonic_ns() - one.samples["lidar"].arrival_ns)

        thread = threading.Thread(target=consume)
        thread.start()
        sweep = PointCloud(np.ones((8, 4), np.float32))
        for _ in range(count):
            time.sleep(0.002)
            sync.push("lidar", time.monotonic_ns(), sweep)
        sync.finish()
        thread.join()
    return figures(found, MS)


def missed(found: dict[str, Any]) -> list[str]:
    """The bounds that were not kept."""
    paced = found["driver"]["2 kHz"]
    bounds = {
        f"push from Python: mean <= {PUSH_US} us": found["push"]["nothing"]["with"]["usual mean"] <= PUSH_US,
        f"push from C++, awake: mean <= {DRIVER_US} us": found["driver"]["full speed"]["quick"]["usual mean"]
        <= DRIVER_US,
        f"producer's p99 beside a blocking consumer <= {SLOWER} x": (
            paced["blocking"]["usual p99"] <= SLOWER * paced["quick"]["usual p99"]
        ),
        f"latency to the consumer: p50 <= {LATENCY_MS} ms": found["latency_ms"]["p50"] <= LATENCY_MS,
    }
    return [name for name, kept in bounds.items() if not kept]


def show(what: str, row: dict[str, Any], unit: str) -> None:
    """One line."""
    values = " ".join(f"{k}={row[k]:8.3f}" if row[k] is not None else f"{k}=    none" for k in _SHOWN)
    usual = f" usual mean={row['usual mean']:7.3f}" if "usual mean" in row else ""
    usual += f" usual p99={row['usual p99']:7.3f}" if "driver" in what else ""
    print(f"{what:44s} {unit}: {values}{usual}", flush=True)


_SHOWN = ("mean", "p50", "p99", "p99.9", "max")


def main() -> int:
    """Measures everything and prints one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    besides = {"nothing": None, "computing": compute, "lock kept 50 ms": keep_the_lock}
    found: dict[str, Any] = {"push": {}, "driver": {}}
    for name, beside in besides.items():
        rounds = arguments.rounds if beside is not keep_the_lock else max(40, arguments.rounds // 8)
        found["push"][name] = push_costs(beside, rounds)
        for way, row in found["push"][name].items():
            show(f"push {way} the lock, beside {name}", row, "us")
    speeds = {"2 kHz": (500_000, 1000), "full speed": (0, 4000)}
    for name, (period_ns, count) in speeds.items():
        found["driver"][name] = driver_costs(max(5, arguments.rounds // 20), period_ns, count)
        for consumer, row in found["driver"][name].items():
            show(f"driver at {name}, consumer {consumer}", row, "us")
    found["latency_ms"] = latency(1000)
    show("latency from push to consumer", found["latency_ms"], "ms")
    found["missed"] = missed(found)
    for name in found["missed"]:
        print(f"MISSED {name}")
    if arguments.out:
        write_result(arguments.out, found)
    return 3 if found["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
