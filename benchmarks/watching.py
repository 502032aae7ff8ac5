"""What watching over a run costs: the sanity gate a sample, level and trace a result, the histogram a value.

    python benchmarks/watching.py [--rounds 40] [--json]

Frames of 1242x375 and sweeps of 120,000 points are taken in turn from 16 of each, 22 and 31 MB, so that they come from
memory and not from a cache. `repeating` gives the same one again and again, which the gate compares byte by byte.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING

import numpy as np

from edge.runtime.clock import NS_PER_MS
from edge.runtime.health import HealthMonitor
from edge.runtime.levels import HealthPolicy
from edge.runtime.result import FusedResult
from edge.runtime.rig import Intrinsics, Rig, Stream
from edge.runtime.sample import AudioChunk, Image, Payload, PointCloud, Sample
from edge.runtime.sanity.gate import SanityGate
from edge.runtime.statistics import Distribution, LogHistogram
from edge.runtime.synchronize.synced import SyncedSet
from edge.runtime.trace.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

COPIES = 16
NS_PER_US = 1_000


def make_rig() -> Rig:
    """One stream of each kind."""
    lens = Intrinsics(width=1242, height=375, fx=700, fy=700, cx=600, cy=180)
    streams = {
        "camera": Stream(kind="camera", rate_hz=30, intrinsics=lens),
        "lidar": Stream(kind="lidar", rate_hz=10),
        "audio": Stream(kind="audio", rate_hz=50, sample_rate_hz=16_000),
    }
    return Rig(schema=1, anchor="lidar", streams=streams)


def make_payloads() -> dict[str, list[Payload]]:
    """Noise of the usual sizes."""
    draw = np.random.default_rng(0)
    sound = [AudioChunk(draw.normal(0, 0.1, (1, 320)).astype(np.float32), 16_000) for _ in range(COPIES)]
    return {
        "camera": [Image(draw.integers(0, 255, (375, 1242, 3), dtype=np.uint8)) for _ in range(COPIES)],
        "lidar": [PointCloud(draw.normal(0, 9, (120_000, 4)).astype(np.float32)) for _ in range(COPIES)],
        "audio": [*sound],
    }


def timed(call: Callable[[int], object], count: int) -> Distribution:
    """Microseconds a call."""
    taken = LogHistogram()
    for k in range(count):
        begin = time.perf_counter_ns()
        call(k)
        taken.add(time.perf_counter_ns() - begin)
    return Distribution.of_histogram(taken, NS_PER_US)


def gate_costs(rounds: int) -> dict[str, Distribution]:
    """One sample through the gate, by stream, changing and repeating."""
    found = {}
    for name, payloads in make_payloads().items():
        for label, step in (("changing", 1), ("repeating", 0)):
            gate = SanityGate(make_rig())
            samples = [Sample(name, k, k, k, payloads[k * step % COPIES]) for k in range(rounds * COPIES)]
            found[f"gate, {name}, {label}"] = timed(lambda k, g=gate, s=samples: g.refusal(s[k]), len(samples))
    return found


def result_costs(count: int) -> dict[str, Distribution]:
    """Level and trace of one result of three modalities, and one value into a histogram."""
    names = ("camera", "lidar", "audio")
    samples = {name: Sample(name, 0, 0, 0, AudioChunk(np.zeros((1, 1), np.float32), 1)) for name in names}
    synced = SyncedSet(0, 0, samples, dict.fromkeys(names, 0), (), {}, 5, 1.0, False, {})
    ages_ms = {"camera": 61.0, "lidar": 90.0, "audio": 70.0}
    result = FusedResult(0, 0, "all", names, (), ages_ms, 1.0, {}, True, "", "ok", dict.fromkeys(names, "ok"))
    monitor, trace, histogram = HealthMonitor(dict.fromkeys(names, 1), HealthPolicy()), Trace("lidar"), LogHistogram()
    return {
        "level of a result": timed(lambda _: monitor.judge(synced, names, ()), count),
        "trace of a result": timed(lambda k: trace.add_result(synced, result, k * NS_PER_MS), count),
        "histogram, a value": timed(histogram.add, count),
    }


def main() -> None:
    """Prints one line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    costs = {"timer alone": timed(lambda _: None, 4_000), **gate_costs(options.rounds), **result_costs(20_000)}
    if options.json:
        print(json.dumps({name: cost.to_json() for name, cost in costs.items()}, indent=1))
        return
    for name, cost in costs.items():
        shown = {key: value for key, value in cost.to_json().items() if key != "n" and value is not None}
        print(f"{name:26s} us: " + "  ".join(f"{key} {value:.2f}" for key, value in shown.items()))


if __name__ == "__main__":
    main()
