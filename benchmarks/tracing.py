"""What keeping the road of every result costs a live run.

    python benchmarks/tracing.py BUNDLE [--rounds 8] [--seconds 6] [--out FILE.json]

`add`: nanoseconds that `RoadRecorder.add` takes for a result's row with all of the model's streams, on sets that a run
has made. `road`: the same with the clock reading that a run makes besides. Times the anchor's rate that is the share of
a core that tracing takes, which must be below 1 %.

`run`: the bundle in the live runtime in real time, sensors at the simulated vehicle's rates, with and without a
recorder, in turns drawn anew: processor time of the whole process over the time, and the difference of the pairs. The
interval of the difference says how much of it could be seen at all.

Exit code 3 where the bound is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from results import write_result

from edge.profile.load.config import LoadConfig
from edge.profile.load.sensors import captured, synthetic_sensors
from edge.run_engine import open_engine
from edge.runtime.bundle import Bundle
from edge.runtime.clock import NS_PER_MS, NS_PER_S
from edge.runtime.fusion import Fusion, Inference, complete_rig
from edge.runtime.live.runtime import Runtime
from edge.runtime.live_clock import HostClock
from edge.runtime.statistics import Distribution, median_interval, paused_collector
from edge.runtime.trace.road_recorder import RoadRecorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.profile.load.sensors import SyntheticSensors
    from edge.runtime.result import FusedResult
    from edge.runtime.rig import Rig

BOUND = 0.01  # of a core
LEAD_NS = 50 * NS_PER_MS
CALLS = 20_000


def run(
    fusion: Fusion,
    rig: Rig,
    sensors: SyntheticSensors,
    seconds: float,
    roads: RoadRecorder | None,
    on_fused: Callable[[Inference, FusedResult], None] | None = None,
) -> float:
    """Share of a core that the process took while sensors delivered."""
    clock = HostClock()
    with Runtime(fusion, rig, clock=clock, roads=roads, on_fused=on_fused) as runtime:
        runtime.on_result(lambda _result: None)
        begin_ns = clock.now_ns() + LEAD_NS
        before_ns, started_ns = time.process_time_ns(), clock.now_ns()
        for sample in sensors.samples(1.0, begin_ns, begin_ns + round(seconds * NS_PER_S)):
            clock.wait_until_ns(sample.arrival_ns)
            runtime.push(captured(sample, clock.now_ns()))
        taken_ns, elapsed_ns = time.process_time_ns() - before_ns, clock.now_ns() - started_ns
    return taken_ns / elapsed_ns


def runs_in_turns(fusion: Fusion, rig: Rig, sensors: SyntheticSensors, rounds: int, seconds: float) -> dict[str, Any]:
    """Both ways, each pair in an order of its own."""
    shares: dict[bool, list[float]] = {True: [], False: []}
    draw = np.random.default_rng(0)
    for _ in range(rounds):
        for traced in draw.permutation([True, False]).tolist():
            roads = RoadRecorder(fusion.model_io.modalities) if traced else None
            shares[traced].append(run(fusion, rig, sensors, seconds, roads))
        print(f"with {shares[True][-1]:.4f}, without {shares[False][-1]:.4f} of a core", flush=True)
    difference = median_interval(np.subtract(shares[True], shares[False]), seed=0)
    return {
        "with": float(np.median(shares[True])),
        "without": float(np.median(shares[False])),
        "difference": difference.to_json(),
        "rounds": rounds,
        "seconds": seconds,
    }


def add_costs(inferences: list[Inference], streams: tuple[str, ...]) -> dict[str, Any]:
    """Nanoseconds a row, and with the clock reading."""
    recorder, clock = RoadRecorder(streams), HostClock()
    found: dict[str, list[int]] = {"add": [], "road": []}
    with paused_collector():
        for number in range(CALLS):
            inference = inferences[number % len(inferences)]
            begin = time.perf_counter_ns()
            recorder.add(number, inference, begin, begin)
            middle = time.perf_counter_ns()
            recorder.add(number, inference, clock.now_ns(), begin)
            found["add"].append(middle - begin)
            found["road"].append(time.perf_counter_ns() - middle)
    return {name: {"mean": float(np.mean(ns)), **Distribution.of(ns).to_json()} for name, ns in found.items()}


def main() -> int:
    """Measures both and prints them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    bundle, sensors = Bundle.open(arguments.bundle), synthetic_sensors(LoadConfig())
    rig = complete_rig(sensors.rig, bundle)
    fusion = Fusion(bundle, rig, open_engine(bundle).engine)
    kept: list[Inference] = []
    run(fusion, rig, sensors, 3.0, None, lambda inference, _result: kept.append(inference))
    costs = add_costs([one for one in kept if one.times is not None], fusion.model_io.modalities)
    rate_hz = rig.stream(rig.anchor).rate_hz
    share = costs["road"]["mean"] * rate_hz / NS_PER_S
    print(f"a row {costs['add']['p50']:.0f} ns, with the clock {costs['road']['p50']:.0f} ns (medians)")
    print(f"{share:.2e} of a core at {rate_hz:g} results a second", flush=True)
    runs = runs_in_turns(fusion, rig, sensors, arguments.rounds, arguments.seconds)
    difference = runs["difference"]
    print(f"difference {difference['estimate']:+.4f} [{difference['low']:+.4f}, {difference['high']:+.4f}] of a core")
    missed = share >= BOUND
    if arguments.out:
        result = {"bundle": bundle.manifest.name, "results_hz": rate_hz, "ns": costs, "share_of_a_core": share}
        write_result(arguments.out, {**result, "run": runs, "bound": BOUND, "missed": missed})
    return 3 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
