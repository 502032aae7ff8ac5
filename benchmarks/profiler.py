"""The profiler's own figures: what it costs a sample, whether its intervals hold, and which differences it finds.

Run: python benchmarks/profiler.py [--trials 1000] [--repeats 5] [--out FILE.json]
Overhead is measured against a null engine, in turns with MLPerf LoadGen where `make bench-profile-peers` has installed
it; LoadGen answers to Python as well. Slowdowns are a busy wait after an ONNX Runtime call, of a share of what that
call took. Exit code 3 where something that must be reached is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from edge.profile.comparison.verdict import ComparisonConfig, judge
from edge.profile.sample_rule import SamplingConfig
from edge.profile.timed_loop import take_samples
from edge.runtime.engines.onnxruntime import OnnxRuntimeEngine
from edge.runtime.statistics import compare, paused_collector

sys.path.insert(0, str(Path(__file__).parent))
from interval_coverage import measure_coverage
from peers.process import Missing, Peer, loadgen
from results import write_result
from turns import take_turns

if TYPE_CHECKING:
    from collections.abc import Callable

RESULT = Path(__file__).parent / "results" / "profiler.json"
SAMPLES, ROUNDS = 20_000, 15
MOST_OVERHEAD_US, COVERAGE, COVERAGE_RANGE, MOST_APART = 1.5, 0.95, 0.03, 0.02
SLOWDOWNS = {"A against A": 0.0, "1 % slower": 0.01, "10 % slower": 0.10}


def null_engine() -> None:
    """Answers at once."""


def bare_loop_ns() -> float:
    """What a loop of the same calls takes without a profiler, a call."""
    with paused_collector():
        start = time.perf_counter_ns()
        for _ in range(SAMPLES):
            null_engine()
        return (time.perf_counter_ns() - start) / SAMPLES


def profiled_loop_ns() -> float:
    """What a sample of the profiler's loop takes, chunks and bookkeeping included."""
    return take_samples(null_engine, SamplingConfig(samples=SAMPLES)).elapsed_ns / SAMPLES


def measure_overhead(rounds: int) -> dict[str, Any]:
    """Microseconds a sample, ours and LoadGen's, in turns."""
    peer = loadgen()
    sides: dict[str, Callable[[], float]] = {
        "bare loop": lambda: bare_loop_ns() * 1e-9,
        "edge": lambda: profiled_loop_ns() * 1e-9,
    }
    if isinstance(peer, Missing):
        return {**overhead_of(take_turns(sides, rounds)), "loadgen": str(peer)}
    with peer:
        version = peer.ask("version")
        told: list[dict[str, float]] = []
        turns = take_turns({**sides, "loadgen": lambda: loadgen_turn(peer, told)}, rounds)
    means = [answer["mean_ns"] / 1e3 for answer in told]
    return {
        **overhead_of(turns),
        "loadgen_version": version,
        "loadgen_us": turns.median("loadgen") * 1e6,
        "loadgen_mean_latency_us": float(np.median(means)),
    }


def loadgen_turn(peer: Peer, told: list[dict[str, float]]) -> float:
    """Seconds a query, LoadGen's own time between queries included, without its start and its logs."""
    answer = peer.ask("turn", SAMPLES)
    told.append(answer)
    return 1.0 / float(answer["rate_hz"])


def overhead_of(turns: Any) -> dict[str, Any]:
    """Ours: with the calls of the null engine, and without them; and what a sample of nothing reads."""
    added = turns.seconds["edge"] - turns.seconds["bare loop"]
    durations = take_samples(null_engine, SamplingConfig(samples=SAMPLES)).durations_ns
    return {
        "rounds": len(added),
        "samples": SAMPLES,
        "edge_us": turns.median("edge") * 1e6,
        "added_us": float(np.median(added)) * 1e6,
        "added_range_us": [float(added.min()) * 1e6, float(added.max()) * 1e6],
        "null_sample_us": float(np.median(durations)) / 1e3,
    }


def reference_run() -> Callable[[], object]:
    """A convolutional ONNX graph of about a millisecond, on one thread."""
    random = np.random.default_rng(0)
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    weights = [
        onnx.numpy_helper.from_array((random.standard_normal(shape) * 0.1).astype(np.float32), name)
        for name, shape in (("w0", (24, 3, 3, 3)), ("w1", (24, 24, 3, 3)))
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w0"], ["y0"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["y0"], ["z0"]),
            helper.make_node("Conv", ["z0", "w1"], ["y1"], pads=[1, 1, 1, 1]),
        ],
        "reference",
        [helper.make_tensor_value_info("x", floats, (1, 3, 64, 64))],
        [helper.make_tensor_value_info("y1", floats, (1, 24, 64, 64))],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    engine = OnnxRuntimeEngine(model.SerializeToString(), "fp32")
    feed = {"x": random.standard_normal((1, 3, 64, 64)).astype(np.float32)}
    return lambda: engine.run(feed)


def slower(run: Callable[[], object], share: float) -> Callable[[], object]:
    """The same call, and then a busy wait of a share of what that very call took."""

    def both() -> object:
        start = time.perf_counter_ns()
        made = run()
        ended = time.perf_counter_ns()
        until = ended + share * (ended - start)
        while time.perf_counter_ns() < until:
            pass
        return made

    return both if share else run


def measure_slowdowns(repeats: int, rounds: int) -> dict[str, Any]:
    """What comparisons in turns say of differences that are known."""
    run, config = reference_run(), ComparisonConfig()
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in SLOWDOWNS}
    for seed in range(repeats):
        for name, share in SLOWDOWNS.items():
            compared = compare(run, slower(run, share), rounds=rounds, seed=seed)
            found[name].append(
                {
                    "ratio": compared.ratio,
                    "interval": list(compared.interval),
                    "verdict": judge(compared.interval, config.tolerance),
                    "a_p50_ms": compared.a.distribution_ms.p50,
                }
            )
    return {"rounds": rounds, "tolerance": config.tolerance, **found}


def shortfalls(result: dict[str, Any]) -> list[str]:
    """What must be reached and was not."""
    missed = []
    if result["overhead"]["added_us"] > MOST_OVERHEAD_US:
        missed.append(f"overhead {result['overhead']['added_us']:.2f} us a sample, over {MOST_OVERHEAD_US}")
    for process, found in result["coverage"]["processes"].items():
        shares = {name: entry["coverage"] for name, entry in found["profile"].items()}
        for name, held in {**shares, "ratio": found["ratio in turns"]}.items():
            if held is None:
                missed.append(f"there is no interval of {name}, {process}")
            elif abs(held - COVERAGE) > COVERAGE_RANGE:
                missed.append(f"intervals of {name} hold in {held:.1%} of runs, {process}")
    found = result["slowdowns"]
    missed += [f"A/A is {run['ratio']:.3f}" for run in found["A against A"] if abs(run["ratio"] - 1.0) > MOST_APART]
    for name, wanted in (("A against A", False), ("1 % slower", False), ("10 % slower", True)):
        wrong = sum((run["verdict"] == "slower") != wanted for run in found[name])
        if wrong:
            missed.append(f"{name}: the verdict is wrong in {wrong} of {len(found[name])}")
    return missed


def main() -> None:
    """Measures all, writes the result, and says what is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    result = {
        "overhead": measure_overhead(ROUNDS),
        "slowdowns": measure_slowdowns(arguments.repeats, arguments.rounds),
        "coverage": measure_coverage(arguments.trials, 2_000, 200),
    }
    result["shortfalls"] = shortfalls(result)
    write_result(arguments.out, result)
    print(json.dumps({key: result[key] for key in ("overhead", "slowdowns", "shortfalls")}, indent=1))
    if result["shortfalls"]:
        sys.exit(3)


if __name__ == "__main__":
    main()
